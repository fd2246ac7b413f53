"""Ink fluid: motion stirs a liquid, and leaves ink in it that swirls on and dissolves.

Velocity and ink are carried along the velocity itself, step by step, at a small size.
"""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, FloatPlane, colourize, decay, float32, shrink, uint8
from runners.pipelines.motion import Motion, grid
from runners.pipelines.palettes import hues
from runners.sdk import BaseParams, Picture

# Motion in pixels of the flow per frame at which ink flows fully.
_FULL_FLOW_PX: Final = 4.0

# Slower than this is the camera's noise.
_STILL_PX: Final = 0.3

# No faster than this, or one wrong vector would tear the liquid apart.
_FASTEST_PX: Final = 12.0

# How fast the colour of fresh ink goes round, in hues (256 are all of them) per second.
_HUE_SPEED: Final = 40


class Fluid(Effect):
    """Movement pours ink into a liquid, where it swirls and dissolves."""

    name = "fluid"
    title = "Ink fluid"

    class Params(BaseParams):
        ink: Literal["picture", "rainbow", "black"] = Field(
            "rainbow", title="Ink", description="The colour of what is poured."
        )
        amount: float = Field(
            0.5,
            ge=0,
            le=2,
            title="Amount",
            description="How much ink a movement pours.",
            json_schema_extra={"x-step": 0.05},
        )
        stir: float = Field(
            0.7,
            ge=0,
            le=2,
            title="Stir",
            description="How strongly a movement stirs the liquid.",
            json_schema_extra={"x-step": 0.05},
        )
        swirl: float = Field(
            0.5,
            ge=0,
            le=2,
            title="Swirl",
            description="How long eddies keep turning.",
            json_schema_extra={"x-step": 0.05},
        )
        dissolve: float = Field(
            1.0,
            ge=0.1,
            le=10,
            title="Dissolves in",
            description="How long half the ink lasts.",
            json_schema_extra={"x-step": 0.1, "x-unit": "s"},
        )
        backdrop: float = Field(
            0.5,
            ge=0,
            le=1,
            title="Backdrop",
            description="How much of the picture is seen through the liquid.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def resize(self) -> None:
        self._motion = Motion(self.width, self.height)
        width, height = self._motion.size
        self._x, self._y = grid(self._motion.size)
        self._velocity = np.zeros((height, width, 2), np.float32)
        self._ink = np.zeros((height, width, 3), np.float32)
        self._hue = 0.0
        self._out = self.blank()

    def tune(self) -> None:
        self._hues = hues()

    def draw(self, rgb: Picture) -> Picture:
        small = shrink(rgb, self._motion.size)
        moved = -float32(cv2.blur(self._motion.follow(small), (5, 5)))
        speed = np.hypot(moved[..., 0], moved[..., 1])
        self._stir(moved, speed)
        self._carry()
        self._pour(small, speed)
        inked = np.clip(self._ink, 0, 255).astype(np.uint8)
        cv2.resize(inked, (self.width, self.height), dst=self._out)
        backdrop = self.params.backdrop
        if self.params.ink == "black":
            # Black ink takes light away from a bright sheet.
            sheet = cv2.addWeighted(rgb, backdrop, rgb, 0, 255 * (1 - backdrop))
            return uint8(cv2.subtract(sheet, self._out, dst=self._out))
        cv2.addWeighted(self._out, 1, rgb, backdrop, 0, dst=self._out)
        return self._out

    def _stir(self, moved: FloatPlane, speed: FloatPlane) -> None:
        velocity = float32(cv2.blur(self._velocity, (3, 3)))
        velocity *= decay(self.elapsed_s, 0.6)
        velocity += self._eddies(velocity)
        moving = ((speed > _STILL_PX) & (self._motion.changed > 0)).astype(np.float32)[..., None]
        velocity += moved * moving * (0.5 * self.params.stir)
        np.clip(velocity, -_FASTEST_PX, _FASTEST_PX, out=velocity)
        self._velocity = velocity

    def _eddies(self, velocity: FloatPlane) -> FloatPlane:
        """Returns the push that keeps eddies turning, which blur and rounding would stop."""
        turning = cv2.Sobel(velocity[..., 1], cv2.CV_32F, 1, 0, scale=0.125)
        turning = turning - cv2.Sobel(velocity[..., 0], cv2.CV_32F, 0, 1, scale=0.125)
        strength = cv2.blur(np.abs(turning), (5, 5))
        towards_x = cv2.Sobel(strength, cv2.CV_32F, 1, 0)
        towards_y = cv2.Sobel(strength, cv2.CV_32F, 0, 1)
        length = cv2.magnitude(towards_x, towards_y) + 1e-4
        push = turning * (self.params.swirl / length)
        return float32(np.stack([towards_y * push, -towards_x * push], -1))

    def _carry(self) -> None:
        from_x = self._x - self._velocity[..., 0]
        from_y = self._y - self._velocity[..., 1]
        edge = cv2.BORDER_REPLICATE
        self._ink = float32(cv2.remap(self._ink, from_x, from_y, cv2.INTER_LINEAR, borderMode=edge))
        self._velocity = float32(
            cv2.remap(self._velocity, from_x, from_y, cv2.INTER_LINEAR, borderMode=edge)
        )

    def _pour(self, small: Picture, speed: FloatPlane) -> None:
        self._hue = (self._hue + self.elapsed_s * _HUE_SPEED) % 256
        flow = np.clip((speed - _STILL_PX) / _FULL_FLOW_PX, 0, 1) * (self._motion.changed / 255)
        self._ink *= decay(self.elapsed_s, self.params.dissolve)
        # Fresh ink covers: adding it up would end in white.
        cover = np.minimum(flow * self.params.amount, 1)[..., None].astype(np.float32)
        self._ink += (self._fresh(small) - self._ink) * cover

    def _fresh(self, small: Picture) -> Picture:
        """Returns the colour that ink has where it is poured now."""
        match self.params.ink:
            case "picture":
                return small
            case "rainbow":
                offset = (self._x * (128 / self._x.shape[1]) + self._hue) % 256
                return colourize(offset.astype(np.uint8), self._hues)
            case "black":
                return np.full((1, 1, 3), 255, np.uint8)
