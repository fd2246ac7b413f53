"""Flow paint: motion is a brush, and where it goes decides its colour."""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, colourize, decay, float32, uint8
from runners.pipelines.motion import FlowField, Motion
from runners.pipelines.palettes import glow, hues
from runners.sdk import BaseParams, Picture

# A streak starts every so many pixels of the flow: 40 x 22 of them at 720p.
_STREAK_SPACING: Final = 8

# Slower than this, in pixels of the flow per frame, is the camera's noise.
_STILL_PX: Final = 0.35


class Flow(Effect):
    """Motion paints: each direction has its colour, and the paint dries slowly."""

    name = "flow"
    title = "Flow paint"

    class Params(BaseParams):
        brush: Literal["cloud", "streaks"] = Field(
            "cloud", title="Brush", description="Soft clouds of paint, or strokes along the motion."
        )
        palette: Literal["rainbow", "synthwave", "ice", "fire", "aurora"] = Field(
            "rainbow",
            title="Palette",
            description="'rainbow' colours by direction, the others by speed.",
        )
        gain: float = Field(
            1,
            ge=0.1,
            le=5,
            title="Gain",
            description="How little motion it takes to paint.",
            json_schema_extra={"x-step": 0.1},
        )
        drying: float = Field(
            0.5,
            ge=0.05,
            le=5,
            title="Drying time",
            description="How long the paint takes to lose half its colour.",
            json_schema_extra={"x-step": 0.05, "x-unit": "s"},
        )
        backdrop: float = Field(
            0.35,
            ge=0,
            le=1,
            title="Backdrop",
            description="How much of the picture is seen behind the paint.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def resize(self) -> None:
        self._motion = Motion(self.width, self.height)
        self._paint = self.blank(self._motion.size)
        self._out = self.blank()

    def tune(self) -> None:
        palette = self.params.palette
        self._table = hues() if palette == "rainbow" else glow(palette)

    def draw(self, rgb: Picture) -> Picture:
        flow = self._motion.follow(rgb)
        left = decay(self.elapsed_s, self.params.drying)
        # Half a step more than the rounding gives back, or faint paint would never dry.
        cv2.addWeighted(self._paint, left, self._paint, 0, -0.5, dst=self._paint)
        if self.params.brush == "cloud":
            self._clouds(flow)
        else:
            self._streaks(flow)
        cv2.resize(self._paint, (self.width, self.height), dst=self._out)
        cv2.addWeighted(self._out, 1, rgb, self.params.backdrop, 0, dst=self._out)
        return self._out

    def _clouds(self, flow: FlowField) -> None:
        soft = float32(cv2.blur(flow, (7, 7)))
        # The flow points back to where things were; the motion is the other way.
        speed, turn = cv2.cartToPolar(-soft[..., 0], -soft[..., 1], angleInDegrees=True)
        bright = np.maximum(speed - _STILL_PX, 0) * (70 * self.params.gain)
        light = uint8(cv2.min(np.minimum(bright, 255).astype(np.uint8), self._motion.changed))
        if self.params.palette == "rainbow":
            colour = colourize((turn * (255 / 360)).astype(np.uint8), self._table)
        else:
            colour = colourize(light, self._table)
        # New paint covers the old: adding them up would end in white.
        cover = cv2.merge([light, light, light])
        fresh = cv2.multiply(colour, cover, scale=1 / 255)
        cv2.multiply(self._paint, cv2.bitwise_not(cover), scale=1 / 255, dst=self._paint)
        cv2.add(self._paint, fresh, dst=self._paint)

    def _streaks(self, flow: FlowField) -> None:
        half = _STREAK_SPACING // 2
        starts = flow[half::_STREAK_SPACING, half::_STREAK_SPACING]
        speeds = np.hypot(starts[..., 0], starts[..., 1])
        for row, column in np.argwhere(speeds * self.params.gain > _STILL_PX * 2).tolist():
            back_x, back_y = starts[row, column].tolist()
            if self.params.palette == "rainbow":
                value = int(np.degrees(np.arctan2(-back_y, -back_x)) % 360 * 255 / 360)
            else:
                value = min(255, int(60 + speeds[row, column] * 60 * self.params.gain))
            x, y = half + column * _STREAK_SPACING, half + row * _STREAK_SPACING
            end = (int(x - back_x * 3), int(y - back_y * 3))
            cv2.line(self._paint, (x, y), end, self._table[value, 0].tolist(), 1, cv2.LINE_AA)
