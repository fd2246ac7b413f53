"""Background: what stands still is blurred, replaced, or shown in place of what moves.

A mixture of Gaussians per pixel (MOG2) learns what stands still. It knows motion, not people:
somebody who sits still for long becomes background, unless learning is frozen in time.
"""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, Plane, reduced, shrink, uint8
from runners.pipelines.palettes import rgb as colour_of
from runners.sdk import BaseParams, Picture

# The mask is learned at 320 x 180 for 720p, and its edge smoothed when it is enlarged.
_LONGEST_SIDE: Final = 320

# What is left of the mask after each frame.
_MASK_LASTS: Final = 0.6

# MOG2 takes for background what makes up a tenth of what it saw: -ln(1 - 0.1).
_BELIEVED: Final = 0.105

_LEAST_PATIENCE_S: Final = 0.5

# Less of the picture than this is noise: 12 x 12 pixels at 320 x 180.
_LEAST_SHARE: Final = 0.0025


class Background(Effect):
    """Keeps what moves, and blurs or replaces the rest; or makes what moves invisible."""

    name = "background"
    title = "Background"

    class Params(BaseParams):
        mode: Literal["blur", "colour", "invisible"] = Field(
            "blur",
            title="Mode",
            description="Blur the background, paint it over, or hide what moves in front of it.",
        )
        blur: int = Field(
            24,
            ge=2,
            le=80,
            title="Blur",
            description="How far the background is out of focus.",
            json_schema_extra={"x-step": 2, "x-unit": "px"},
        )
        colour: str = Field(
            "#12b886",
            pattern=r"^#[0-9a-fA-F]{6}$",
            title="Colour",
            description="What the background is painted with.",
            json_schema_extra={"format": "color"},
        )
        sensitivity: float = Field(
            0.6,
            ge=0,
            le=1,
            title="Sensitivity",
            description="How little must change to count as motion.",
            json_schema_extra={"x-step": 0.05},
        )
        learning: float = Field(
            12,
            ge=1,
            le=120,
            title="Learning time",
            description="How long a thing stands still before it is background.",
            json_schema_extra={"x-step": 1, "x-unit": "s"},
        )
        freeze: bool = Field(
            default=False,
            title="Freeze learning",
            description="Keep the background as it is: step aside, wait, then freeze.",
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._model = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
        self._mask: Plane | None = None
        self._seen: Picture | None = None  # the background itself, as far as it has been seen
        self._learned_s = 0.0
        self._out = self.blank()
        self._behind = self.blank()
        self._front = self.blank()
        self._alpha = self.blank()

    def tune(self) -> None:
        # Squared distance in standard deviations, from 256 to 8; OpenCV's own default is 16.
        self._model.setVarThreshold(256 / 32**self.params.sensitivity)
        self._paint = np.full((1, 1, 3), colour_of(self.params.colour), np.uint8)

    def draw(self, rgb: Picture) -> Picture:
        mask = self._moving(shrink(rgb, self._size))
        seen = self._remember(rgb, mask)
        if self.params.mode == "invisible":
            mask = uint8(cv2.dilate(mask, _DISC, iterations=3))  # or an outline would be left
        alpha = cv2.resize(cv2.blur(mask, (5, 5)), (self.width, self.height))
        match self.params.mode:
            case "blur":
                self._blurred(seen)
                return self._mixed(rgb, self._behind, alpha)
            case "colour":
                cv2.resize(self._paint, (self.width, self.height), dst=self._behind)
                return self._mixed(rgb, self._behind, alpha)
            case "invisible":
                return self._mixed(seen, rgb, alpha)

    def _moving(self, small: Picture) -> Plane:
        """Returns 255 where something moves, 0 where nothing does."""
        found = uint8(self._model.apply(small, learningRate=self._learning_rate()))
        if self._mask is None:
            self._mask = np.zeros_like(found)  # nothing can have moved in the first picture
            return self._mask
        found = uint8(cv2.morphologyEx(cv2.medianBlur(found, 5), cv2.MORPH_CLOSE, _DISC))
        # What moves is covered at once, and let go slowly: a mask that flickers is seen.
        fading = cv2.convertScaleAbs(self._mask, alpha=_MASK_LASTS)
        self._mask = uint8(cv2.max(_filled(found), fading))
        return self._mask

    def _learning_rate(self) -> float:
        """Says how much this frame weighs in what the model knows."""
        if self.params.freeze:
            return 0.0
        self._learned_s += self.elapsed_s
        # Early on the model believes sooner, since what it first saw may have been in the way.
        patience_s = min(self.params.learning, max(_LEAST_PATIENCE_S, self._learned_s))
        return min(1.0, _BELIEVED * self.elapsed_s / patience_s)

    def _remember(self, rgb: Picture, mask: Plane) -> Picture:
        if self._seen is None:
            self._seen = rgb.copy()
        elif not self.params.freeze:
            still = cv2.threshold(cv2.dilate(mask, _DISC), 8, 255, cv2.THRESH_BINARY_INV)[1]
            wide = cv2.resize(still, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
            cv2.copyTo(rgb, wide, self._seen)
        return self._seen

    def _blurred(self, seen: Picture) -> None:
        # What was seen behind, not the picture itself: or the person's colours would bleed out.
        small = shrink(seen, self._size)
        side = max(1, self.params.blur * self._size[0] // self.width) | 1
        soft = cv2.blur(cv2.blur(small, (side, side)), (side, side))
        cv2.resize(soft, (self.width, self.height), dst=self._behind)

    def _mixed(self, front: Picture, behind: Picture, alpha: cv2.typing.MatLike) -> Picture:
        cv2.merge([alpha, alpha, alpha], dst=self._alpha)
        cv2.multiply(front, self._alpha, dst=self._front, scale=1 / 255)
        cv2.bitwise_not(self._alpha, dst=self._alpha)
        cv2.multiply(behind, self._alpha, dst=self._out, scale=1 / 255)
        return uint8(cv2.add(self._front, self._out, dst=self._out))


def _filled(mask: Plane) -> Plane:
    """Fills what is inside an outline, and drops what is too small to be anybody.

    Only the outline of a plain shirt moves; its inside looks the same before and after.
    """
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    least = mask.size * _LEAST_SHARE
    large = [outline for outline in outlines if cv2.contourArea(outline) >= least]
    return uint8(cv2.drawContours(np.zeros_like(mask), large, -1, 255, cv2.FILLED))


_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
