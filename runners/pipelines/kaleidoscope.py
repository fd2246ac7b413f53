"""Kaleidoscope: one wedge of the picture, mirrored all around."""

import math
from typing import Final

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, FloatPlane, reduced, uint8
from runners.sdk import BaseParams, Picture

_FULL_TURN: Final = 2 * math.pi

# Between two mirrors the map is linear, so a coarse one that is enlarged is exact there.
_LONGEST_SIDE: Final = 640


class Kaleidoscope(Effect):
    """Mirrors turn a piece of the picture into a star that moves with it."""

    name = "kaleidoscope"
    title = "Kaleidoscope"

    class Params(BaseParams):
        mirrors: int = Field(
            6, ge=2, le=24, title="Mirrors", description="How many times the piece is repeated."
        )
        spin: float = Field(
            12,
            ge=-90,
            le=90,
            title="Spin",
            description="How fast the piece wanders around the picture.",
            json_schema_extra={"x-step": 2, "x-unit": "degrees/s"},
        )
        zoom: float = Field(
            0.7,
            ge=0.3,
            le=3,
            title="Zoom",
            description="How large the piece is shown.",
            json_schema_extra={"x-step": 0.1},
        )
        x: float = Field(
            0.5,
            ge=0,
            le=1,
            title="Centre, across",
            description="Where in the picture the mirrors meet, from the left.",
            json_schema_extra={"x-step": 0.02},
        )
        y: float = Field(
            0.5,
            ge=0,
            le=1,
            title="Centre, down",
            description="Where in the picture the mirrors meet, from the top.",
            json_schema_extra={"x-step": 0.02},
        )

    params: Params

    def resize(self) -> None:
        self._turned = 0.0
        self._out = self.blank()

    def tune(self) -> None:
        self._along, self._aside = self._wedge()

    def draw(self, rgb: Picture) -> Picture:
        # One turn is exact, so that the angle does not lose precision in the course of days.
        self._turned = (self._turned + math.radians(self.params.spin) * self.elapsed_s) % _FULL_TURN
        cosine, sine = math.cos(self._turned), math.sin(self._turned)
        centre_x = self.params.x * (self.width - 1)
        centre_y = self.params.y * (self.height - 1)
        full = (self.width, self.height)
        from_x = cv2.addWeighted(self._along, cosine, self._aside, -sine, centre_x)
        from_y = cv2.addWeighted(self._along, sine, self._aside, cosine, centre_y)
        maps = cv2.resize(from_x, full), cv2.resize(from_y, full)
        edge = cv2.BORDER_REFLECT
        return uint8(cv2.remap(rgb, *maps, cv2.INTER_LINEAR, dst=self._out, borderMode=edge))

    def _wedge(self) -> tuple[FloatPlane, FloatPlane]:
        """Says for each place where in the wedge it looks: along its edge, and aside from it."""
        columns, rows = reduced(self.width, self.height, _LONGEST_SIDE)
        x = ((np.arange(columns) + 0.5) / columns - 0.5)[None, :] * self.width
        y = ((np.arange(rows) + 0.5) / rows - 0.5)[:, None] * self.height
        radius = np.hypot(x, y) / self.params.zoom
        wedge = _FULL_TURN / self.params.mirrors
        folded = np.abs(np.mod(np.arctan2(y, x), wedge) - wedge / 2)
        return (
            (radius * np.cos(folded)).astype(np.float32),
            (radius * np.sin(folded)).astype(np.float32),
        )
