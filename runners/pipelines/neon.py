"""Neon edges: the outlines of things as glowing tubes in the dark."""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, Plane, colourize, gray, reduced, shrink, uint8
from runners.pipelines.palettes import glow, hues
from runners.sdk import BaseParams, Picture

# Tubes drawn at half of 720p come out two pixels wide and smooth.
_LONGEST_SIDE: Final = 640

# How fast the rainbow wanders, in hues (256 are all of them) per second.
_RAINBOW_SPEED: Final = 60


class Neon(Effect):
    """Outlines glow like neon tubes in the dark."""

    name = "neon"
    title = "Neon edges"

    class Params(BaseParams):
        palette: Literal["synthwave", "ice", "fire", "matrix", "gold", "rainbow", "picture"] = (
            Field(
                "synthwave",
                title="Palette",
                description="The colour of the tubes; 'picture' takes each thing's own.",
            )
        )
        detail: float = Field(
            0.55,
            ge=0,
            le=1,
            title="Detail",
            description="How faint an edge may be and still light up.",
            json_schema_extra={"x-step": 0.05},
        )
        glow: float = Field(
            0.6,
            ge=0,
            le=1,
            title="Glow",
            description="How bright the air around a tube is.",
            json_schema_extra={"x-step": 0.05},
        )
        backdrop: float = Field(
            0.12,
            ge=0,
            le=1,
            title="Backdrop",
            description="How much of the picture is seen behind the tubes.",
            json_schema_extra={"x-step": 0.02},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._out = self.blank()
        width, height = self._size
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        self._slope = ((x + y) * 256 // max(width, height)).astype(np.uint8)
        self._turn = 0.0

    def tune(self) -> None:
        palette = self.params.palette
        self._hues = hues()
        self._table = None if palette in ("picture", "rainbow") else glow(palette)

    def draw(self, rgb: Picture) -> Picture:
        small = shrink(rgb, self._size)
        self._turn = (self._turn + self.elapsed_s * _RAINBOW_SPEED) % 256
        light = self._light(gray(small))
        lit = self._coloured(light, small)
        cv2.resize(lit, (self.width, self.height), dst=self._out)
        cv2.addWeighted(self._out, 1, rgb, self.params.backdrop, 0, dst=self._out)
        return self._out

    def _light(self, plane: Plane) -> Plane:
        # At 0 only the strongest outlines; at 1 nearly every one.
        high = 260 - 220 * self.params.detail
        edges = cv2.Canny(cv2.GaussianBlur(plane, (3, 3), 0), high * 0.45, high)
        reach = max(3, max(self._size) // 45) | 1
        # Two box filters are as good as a wide Gaussian, and cost nothing.
        air = cv2.blur(cv2.blur(edges, (reach, reach)), (reach, reach))
        tube = cv2.GaussianBlur(edges, (3, 3), 0)
        return uint8(cv2.addWeighted(tube, 1.3, air, 2.2 * self.params.glow, 0))

    def _coloured(self, light: Plane, small: Picture) -> Picture:
        if self._table is not None:
            return colourize(light, self._table)
        if self.params.palette == "rainbow":
            colour = colourize(self._slope + np.uint8(self._turn), self._hues)
        else:
            hsv = cv2.cvtColor(cv2.blur(small, (5, 5)), cv2.COLOR_RGB2HSV)
            hsv[..., 2] = 255
            cv2.LUT(hsv, _VIVID, dst=hsv)
            colour = uint8(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
        lit = cv2.multiply(colour, cv2.merge([light, light, light]), scale=1 / 255)
        # The core of a tube is white whatever its colour.
        core = cv2.threshold(light, 200, 255, cv2.THRESH_TOZERO)[1]
        return uint8(cv2.addWeighted(lit, 1, cv2.merge([core, core, core]), 0.45, 0))


_VIVID: Final = (
    np.stack([np.arange(256), np.clip(np.arange(256) * 3, 0, 255), np.arange(256)], -1)
    .astype(np.uint8)
    .reshape(1, 256, 3)
)
