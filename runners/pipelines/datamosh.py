"""Datamosh: the motion of the new pictures pushes the old ones around, as when key frames are lost.

The picture shown is fed back: it is warped by the flow of what comes in, and only a little of the
new picture is let through.
"""

from typing import Final

import cv2
from pydantic import Field

from runners.pipelines.effect import Effect, float32, reduced, shrink, uint8
from runners.pipelines.motion import Motion, grid, stretch
from runners.sdk import BaseParams, Picture

# The liquid is soft by nature; twice the size costs four times the time and looks the same.
_LONGEST_SIDE: Final = 640

# The rate at which `refresh` is meant: shares are per frame of a 30 fps stream.
_NOMINAL_FPS: Final = 30


class Datamosh(Effect):
    """Motion smears the picture like wet paint, as a video does that lost its key frames."""

    name = "datamosh"
    title = "Datamosh"

    class Params(BaseParams):
        refresh: float = Field(
            0.025,
            ge=0,
            le=1,
            title="Refresh",
            description="How much of each new picture comes through: 0 is liquid, 1 is clear.",
            json_schema_extra={"x-step": 0.005},
        )
        strength: float = Field(
            1.6,
            ge=0,
            le=5,
            title="Strength",
            description="How far motion carries the picture along.",
            json_schema_extra={"x-step": 0.1},
        )
        blocks: int = Field(
            16,
            ge=0,
            le=64,
            title="Blocks",
            description="Side of the blocks that move as one; 0 melts smoothly.",
            json_schema_extra={"x-step": 4, "x-unit": "px"},
        )
        keyframe: float = Field(
            0,
            ge=0,
            le=20,
            title="Key frame every",
            description="How often the picture is made whole; 0 is never.",
            json_schema_extra={"x-step": 0.5, "x-unit": "s"},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._motion = Motion(self.width, self.height)
        self._x, self._y = grid(self._size)
        self._out = self.blank()
        self._shown: Picture | None = None
        self._since_keyframe_s = 0.0

    def draw(self, rgb: Picture) -> Picture:
        small = shrink(rgb, self._size)
        maps = self._maps(rgb)
        self._since_keyframe_s += self.elapsed_s
        due = 0 < self.params.keyframe <= self._since_keyframe_s
        if self._shown is None or due:
            self._shown = small.copy()
            self._since_keyframe_s = 0.0
        else:
            warped = cv2.remap(self._shown, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            kept = (1 - self.params.refresh) ** (self.elapsed_s * _NOMINAL_FPS)
            self._shown = uint8(cv2.addWeighted(warped, kept, small, 1 - kept, 0))
        return uint8(cv2.resize(self._shown, (self.width, self.height), dst=self._out))

    def _maps(self, rgb: Picture) -> tuple[cv2.typing.MatLike, cv2.typing.MatLike]:
        flow = self._motion.follow(rgb)
        width, height = self._motion.size
        block = self.params.blocks * width // self.width  # in pixels of the flow
        if block > 1:
            coarse = (max(1, width // block), max(1, height // block))
            scale = self.width / width
            flow = float32(cv2.resize(flow, coarse, interpolation=cv2.INTER_AREA))
            flow = float32(cv2.resize(flow, self._size, interpolation=cv2.INTER_NEAREST))
            flow = flow * (scale * self._size[0] / self.width)
        else:
            flow = stretch(flow, self._size)
        strength = self.params.strength
        return (
            cv2.scaleAdd(flow[..., 0], strength, self._x),
            cv2.scaleAdd(flow[..., 1], strength, self._y),
        )
