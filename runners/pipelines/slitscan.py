"""Slit-scan: each line of the picture is from another moment.

The last frames are kept in a ring whose memory is bounded whatever the size of the picture.
"""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, reduced, shrink, uint8
from runners.sdk import BaseParams, Picture

# The frames one can reach back: 1.6 s at 30 fps, 133 MB at 720p.
_FRAMES: Final = 48

# A larger picture is kept smaller, so that no size needs more memory than that.
_LONGEST_SIDE: Final = 1280

# So many lines share a moment: thinner would cost more and show no more.
_LINES: Final = 4


class SlitScan(Effect):
    """Time runs across the picture: what moves bends like rubber."""

    name = "slitscan"
    title = "Time warp"

    class Params(BaseParams):
        direction: Literal["down", "up", "right", "left", "outwards"] = Field(
            "down", title="Direction", description="Where the past lies."
        )
        depth: int = Field(
            36,
            ge=1,
            le=_FRAMES - 2,
            title="Depth",
            description="How far back the last line is.",
            json_schema_extra={"x-step": 1, "x-unit": "frames"},
        )
        curve: float = Field(
            1,
            ge=0.25,
            le=4,
            title="Curve",
            description="Above 1 most of the picture stays in the present.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._ring: list[Picture] = []
        self._next = 0
        self._warped = self.blank(self._size)
        self._out = self.blank()

    def tune(self) -> None:
        width, height = self._size
        across = self.params.direction in ("right", "left")
        count = width if across else height
        starts = np.arange(0, count, _LINES)
        places = np.minimum(starts + _LINES / 2, count) / count
        match self.params.direction:
            case "up" | "left":
                places = 1 - places
            case "outwards":
                places = np.abs(2 * places - 1)
            case "down" | "right":
                pass
        delays = places**self.params.curve * self.params.depth
        whole = np.floor(delays)
        self._across = across
        self._bands = list(
            zip(starts.tolist(), whole.astype(int).tolist(), (delays - whole).tolist(), strict=True)
        )

    def draw(self, rgb: Picture) -> Picture:
        self._keep(rgb)
        for start, delay, share in self._bands:
            lines = slice(start, start + _LINES)
            band = (slice(None), lines) if self._across else (lines, slice(None))
            newer, older = self._before(delay)[band], self._before(delay + 1)[band]
            cv2.addWeighted(newer, 1 - share, older, share, 0, dst=self._warped[band])
        if self._size == (self.width, self.height):
            return self._warped
        return uint8(cv2.resize(self._warped, (self.width, self.height), dst=self._out))

    def _keep(self, rgb: Picture) -> None:
        small = shrink(rgb, self._size)
        if len(self._ring) < _FRAMES:
            self._ring.append(small.copy())
        else:
            np.copyto(self._ring[self._next], small)
        self._next = (self._next + 1) % _FRAMES

    def _before(self, frames: int) -> Picture:
        """Returns the picture of so many frames ago, or the oldest there is."""
        back = min(frames, len(self._ring) - 1)
        return self._ring[(self._next - 1 - back) % len(self._ring)]
