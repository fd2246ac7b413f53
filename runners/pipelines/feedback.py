"""Infinite feedback: a camera that films its own screen, turned and enlarged at each round."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from runners.pipelines.effect import Effect, reduced, shrink, uint8
from runners.sdk import BaseParams, Picture

# The tunnel is blurred by its own rounds; half of 720p is enough for it.
_LONGEST_SIDE: Final = 640

# The window's edge is soft over this share of its size, or each round would draw an outline.
_SOFT_EDGE: Final = 0.35


class Feedback(Effect):
    """A tunnel of the picture inside itself, turning and fading into the distance."""

    name = "feedback"
    title = "Infinite feedback"

    class Params(BaseParams):
        amount: float = Field(
            0.96,
            ge=0,
            le=1,
            title="Amount",
            description="How much light each round leaves for the next.",
            json_schema_extra={"x-step": 0.02},
        )
        zoom: float = Field(
            1.06,
            ge=0.85,
            le=1.2,
            title="Zoom",
            description="How much larger each round is; below 1 the tunnel goes inwards.",
            json_schema_extra={"x-step": 0.01},
        )
        spin: float = Field(
            2,
            ge=-15,
            le=15,
            title="Spin",
            description="How far each round is turned.",
            json_schema_extra={"x-step": 0.5, "x-unit": "degrees"},
        )
        hue: float = Field(
            0.15,
            ge=0,
            le=1,
            title="Colour drift",
            description="How fast colours wander from round to round.",
            json_schema_extra={"x-step": 0.05},
        )
        window: float = Field(
            0.6,
            ge=0.1,
            le=1.2,
            title="Window",
            description="How large a part of the picture is seen as it comes.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._tunnel: Picture | None = None
        self._out = self.blank()
        self._clear = self.blank()

    def tune(self) -> None:
        width, height = self._size
        centre = ((width - 1) / 2, (height - 1) / 2)
        self._turn = cv2.getRotationMatrix2D(centre, self.params.spin, self.params.zoom)
        self._drift = _hue_rotation(self.params.hue * np.pi / 3)
        self._window = self._soft_window()
        self._around = 255 - self._window

    def draw(self, rgb: Picture) -> Picture:
        if self._tunnel is None:
            self._tunnel = shrink(rgb, self._size)
        turned = cv2.warpAffine(self._tunnel, self._turn, self._size, borderMode=cv2.BORDER_REFLECT)
        dimmed = cv2.convertScaleAbs(cv2.transform(turned, self._drift), alpha=self.params.amount)
        cv2.resize(dimmed, (self.width, self.height), dst=self._out)
        cv2.multiply(self._out, self._around, scale=1 / 255, dst=self._out)
        cv2.multiply(rgb, self._window, scale=1 / 255, dst=self._clear)
        cv2.add(self._out, self._clear, dst=self._out)
        self._tunnel = shrink(self._out, self._size).copy()
        return self._out

    def _soft_window(self) -> Picture:
        """Returns white where the picture is seen as it comes, black where its echoes are.

        Echoes that grow leave from a window in the middle; echoes that shrink fall into a hole.
        """
        x = np.linspace(-1, 1, self.width, dtype=np.float32)[None, :]
        y = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        away = np.sqrt(x * x + y * y) / self.params.window
        inside = np.clip((1 - away) / _SOFT_EDGE + 0.5, 0, 1)
        if self.params.zoom < 1:
            inside = 1 - inside
        plane = (inside * 255).astype(np.uint8)
        return uint8(cv2.merge([plane, plane, plane]))


def _hue_rotation(angle: float) -> npt.NDArray[np.float32]:
    """Returns the matrix that turns every colour by `angle` around grey."""
    cosine, sine = np.cos(angle), np.sin(angle) / np.sqrt(3)
    third = (1 - cosine) / 3
    straight, forth, back = cosine + third, third - sine, third + sine
    return np.array(
        [[straight, forth, back], [back, straight, forth], [forth, back, straight]], np.float32
    )
