"""Motion heat: what moves glows, and cools down when it stops."""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, Plane, colourize, decay, gray, reduced, shrink, uint8
from runners.pipelines.palettes import glow
from runners.sdk import BaseParams, Picture

# Heat is blurred by nature.
_LONGEST_SIDE: Final = 640

# Differences below this are the camera's noise.
_NOISE: Final = 6


class Heat(Effect):
    """Motion glows like embers and cools down; what stands still goes grey and dark."""

    name = "heat"
    title = "Motion heat"

    class Params(BaseParams):
        palette: Literal["fire", "ice", "synthwave", "aurora", "matrix", "gold", "rainbow"] = Field(
            "fire", title="Palette", description="The colours from cold to hot."
        )
        gain: float = Field(
            5,
            ge=0.5,
            le=20,
            title="Gain",
            description="How much heat a change of brightness makes.",
            json_schema_extra={"x-step": 0.5},
        )
        cooling: float = Field(
            0.4,
            ge=0.05,
            le=5,
            title="Cooling time",
            description="How long half the heat lasts.",
            json_schema_extra={"x-step": 0.05, "x-unit": "s"},
        )
        backdrop: float = Field(
            0.45,
            ge=0,
            le=1,
            title="Backdrop",
            description="How much of the picture is seen, in grey, behind the heat.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._before: Plane | None = None
        width, height = self._size
        self._heat = np.zeros((height, width), np.uint8)
        self._out = self.blank()
        self._grey = self.blank()

    def tune(self) -> None:
        self._table = glow(self.params.palette)

    def draw(self, rgb: Picture) -> Picture:
        plane = uint8(cv2.blur(gray(shrink(rgb, self._size)), (3, 3)))
        if self._before is not None:
            change = cv2.subtract(cv2.absdiff(plane, self._before), np.full(1, _NOISE, np.uint8))
            fresh = cv2.convertScaleAbs(change, alpha=self.params.gain)
            left = decay(self.elapsed_s, self.params.cooling)
            # Half a step more than the rounding gives back, or the last warmth would stay.
            cooled = cv2.addWeighted(self._heat, left, self._heat, 0, -0.5)
            self._heat = uint8(cv2.max(cooled, fresh))
        self._before = plane
        glowing = colourize(uint8(cv2.blur(self._heat, (7, 7))), self._table)
        cv2.resize(glowing, (self.width, self.height), dst=self._out)
        cv2.cvtColor(gray(rgb), cv2.COLOR_GRAY2RGB, dst=self._grey)
        cv2.addWeighted(self._out, 1, self._grey, self.params.backdrop, 0, dst=self._out)
        return self._out
