"""Toon and ink: flat colours inside drawn lines, or lines and washes on paper.

Lines come from a difference of Gaussians: a pixel darker than its surroundings is ink.
"""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, Plane, colourize, gray, reduced, shrink, uint8
from runners.pipelines.palettes import gradient
from runners.sdk import BaseParams, Picture

# Flat colour needs no detail: that is what the lines are for.
_LONGEST_SIDE: Final = 640

# Saturation comes in steps of this, so that a shaded wall is one colour.
_TINT: Final = 52

# Each is a step from ink to paper; `applyColorMap` takes them for grey.
_PAPER: Final = ("#14121a", "#8a8282", "#f6efe0")

# Below these values a tone is hatched, and hatched again across.
_SHADES: Final = (105, 60)


class Toon(Effect):
    """A drawing of the picture: comic colours in bold lines, or ink and wash on paper."""

    name = "toon"
    title = "Toon and ink"

    class Params(BaseParams):
        style: Literal["toon", "ink"] = Field(
            "toon", title="Style", description="Comic colours, or black ink on paper."
        )
        levels: int = Field(
            4, ge=2, le=12, title="Levels", description="How many tones each colour is drawn in."
        )
        line: float = Field(
            0.6,
            ge=0,
            le=1,
            title="Line",
            description="How strong the drawn lines are.",
            json_schema_extra={"x-step": 0.05},
        )
        width: float = Field(
            1.6,
            ge=0.6,
            le=5,
            title="Line width",
            description="How broad a pen draws them.",
            json_schema_extra={"x-step": 0.2, "x-unit": "px"},
        )
        colour: float = Field(
            1.5,
            ge=0,
            le=3,
            title="Colour",
            description="How vivid toon colours are; 1 is as they came.",
            json_schema_extra={"x-step": 0.1},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        self._out = self.blank()
        self._lines = self.blank()
        self._hatching = self._hatch()

    def tune(self) -> None:
        values = np.arange(256)
        levels = self.params.levels
        steps = np.minimum(values * levels // 256, levels - 1)
        tones = (steps + 0.5) / levels * 255
        vivid = np.clip(values * self.params.colour, 0, 255)
        tints = (np.floor(vivid / _TINT) + 0.5) * _TINT
        hsv = np.stack([values, np.minimum(tints, 255), np.clip(tones * 1.1, 0, 255)], -1)
        self._flat_colour = hsv.astype(np.uint8).reshape(1, 256, 3)
        # Washes are thin: the darkest is mid-grey, and hatching does the rest.
        self._wash = (130 + steps / (levels - 1) * 125).astype(np.uint8).reshape(1, 256)
        self._shades = [
            np.where(values < limit, 0, 255).astype(np.uint8).reshape(1, 256) for limit in _SHADES
        ]
        self._paper = gradient(_PAPER)

    def draw(self, rgb: Picture) -> Picture:
        lines = self._drawn_lines(gray(rgb))
        small = shrink(rgb, self._size)
        if self.params.style == "ink":
            return self._ink(small, lines)
        return self._toon(small, lines)

    def _drawn_lines(self, plane: Plane) -> Plane:
        """Returns white paper with dark lines on it."""
        sigma = self.params.width
        near = cv2.GaussianBlur(plane, (0, 0), sigma * 0.5)
        around = cv2.GaussianBlur(plane, (0, 0), sigma)
        gain = (60 if self.params.style == "ink" else 30) * self.params.line
        # Some is allowed for before ink flows, or the grain of the camera would be drawn too.
        allowance = 255 + 1.5 * gain
        return uint8(cv2.addWeighted(near, gain, around, -gain, allowance))

    def _toon(self, small: Picture, lines: Plane) -> Picture:
        smooth = cv2.bilateralFilter(small, 5, 45, 7)
        # Blurred once more, or the camera's grain would fray the border between two tones.
        even = cv2.blur(cv2.blur(smooth, (3, 3)), (3, 3))
        hsv = cv2.cvtColor(even, cv2.COLOR_RGB2HSV)
        cv2.LUT(hsv, self._flat_colour, dst=hsv)
        flat = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        cv2.resize(flat, (self.width, self.height), dst=self._out)
        cv2.merge([lines, lines, lines], dst=self._lines)
        cv2.min(self._out, self._lines, dst=self._out)
        return self._out

    def _ink(self, small: Picture, lines: Plane) -> Picture:
        tone = cv2.bilateralFilter(gray(small), 5, 45, 7)
        wash = cv2.resize(cv2.LUT(tone, self._wash), (self.width, self.height))
        cv2.min(wash, lines, dst=wash)
        for hatching, shade in zip(self._hatching, self._shades, strict=True):
            dark = cv2.resize(cv2.LUT(tone, shade), (self.width, self.height))
            cv2.min(wash, cv2.max(dark, hatching, dst=dark), dst=wash)
        return colourize(uint8(wash), self._paper)

    def _hatch(self) -> list[Plane]:
        """Draws strokes to both sides over a whole sheet, the second for the darkest tones."""
        spacing = max(4, self.height // 90)
        x, y = np.meshgrid(np.arange(self.width), np.arange(self.height))
        strokes = [(x + y) % spacing < spacing // 3, (x - y) % spacing < spacing // 3]
        return [np.where(stroke, 0, 255).astype(np.uint8) for stroke in strokes]
