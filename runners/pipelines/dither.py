"""Dither: the picture in a handful of colours, as on an old console."""

from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from runners.pipelines.effect import Effect, Plane, shrink, uint8
from runners.pipelines.palettes import rgb as colour_of
from runners.sdk import BaseParams, Picture

_PALETTES: Final = {
    "pocket": "#0f380f #306230 #8bac0f #9bbc0f",
    "sunset": "#0d0208 #42273b #823c3d #d67448 #fac86e #78a0b4 #325a82 #f5f0e1",
    "arcade": "#000000 #1d2b53 #7e2553 #008751 #ab5236 #5f574f #c2c3c7 #fff1e8 "
    "#ff004d #ffa300 #ffec27 #00e436 #29adff #83769c #ff77a8 #ffccaa",
    "cyan": "#000000 #55ffff #ff55ff #ffffff",
    "newsprint": "#1a1614 #f3ead7",
    "violet": "#120b2e #3b1c6b #7a2fb0 #d24fd0 #ff9ed1 #fff2f8",
}

# An ordered pattern: each threshold in 0..15 once per 4 x 4 pixels.
_PATTERN: Final = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])

# The nearest colour is looked up for 32 levels of each channel.
_LEVEL_BITS: Final = 5


class Dither(Effect):
    """Few colours, big pixels, patterned shades."""

    name = "dither"
    title = "Pixel dither"

    class Params(BaseParams):
        palette: Literal["pocket", "sunset", "arcade", "cyan", "newsprint", "violet"] = Field(
            "sunset", title="Palette", description="The colours that there are."
        )
        pixel: int = Field(
            4,
            ge=2,
            le=32,
            title="Pixel",
            description="How large a pixel is.",
            json_schema_extra={"x-step": 1, "x-unit": "px"},
        )
        pattern: float = Field(
            0.6,
            ge=0,
            le=1,
            title="Pattern",
            description="How far colours are mixed by patterns; 0 leaves flat areas.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def resize(self) -> None:
        self._out = self.blank()

    def tune(self) -> None:
        pixel = self.params.pixel
        self._cells = (max(1, self.width // pixel), max(1, self.height // pixel))
        palette = np.array([colour_of(c) for c in _PALETTES[self.params.palette].split()])
        self._nearest = _nearest(palette)
        reach = _spacing(palette) * self.params.pattern
        self._up, self._down = self._tiled((_PATTERN / 15 - 0.5) * reach)

    def draw(self, rgb: Picture) -> Picture:
        small = cv2.add(shrink(rgb, self._cells), self._up)
        small = cv2.subtract(small, self._down)
        levels = uint8(small).astype(np.uint16) >> (8 - _LEVEL_BITS)
        red, green, blue = levels[..., 0], levels[..., 1], levels[..., 2]
        index = (((red << _LEVEL_BITS) | green) << _LEVEL_BITS) | blue
        coloured = self._nearest[index].view(np.uint8).reshape(*index.shape, 4)
        few = cv2.cvtColor(coloured, cv2.COLOR_RGBA2RGB)
        full = (self.width, self.height)
        return uint8(cv2.resize(few, full, dst=self._out, interpolation=cv2.INTER_NEAREST))

    def _tiled(self, offsets: npt.NDArray[np.float64]) -> tuple[Picture, Picture]:
        """Splits the pattern into what is added and what is subtracted, for every pixel."""
        columns, rows = self._cells
        side = len(_PATTERN)
        tiled = np.tile(offsets, (-(-rows // side), -(-columns // side)))[:rows, :columns]
        halves: list[Plane] = [np.maximum(sign * tiled, 0).astype(np.uint8) for sign in (1, -1)]
        up, down = (uint8(cv2.merge([half, half, half])) for half in halves)
        return up, down


def _spacing(palette: npt.NDArray[np.int64]) -> float:
    """Says how far apart neighbouring colours are: so strong a pattern it takes to mix them."""
    apart = np.abs(palette[:, None] - palette[None]).max(-1)
    np.fill_diagonal(apart, 255)
    return float(apart.min(1).mean())


def _nearest(palette: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Returns the palette's nearest colour for each of 32 x 32 x 32, packed into one integer."""
    levels = 1 << _LEVEL_BITS
    axis = (np.arange(levels, dtype=np.float32) + 0.5) * (256 / levels)
    all_colours = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    # The eye's weights for red, green and blue.
    apart = (all_colours[:, None] - palette[None]) * np.array([0.55, 0.77, 0.33], np.float32)
    choice = np.argmin((apart * apart).sum(-1), axis=1)
    packed = np.zeros((len(palette), 4), np.uint8)
    packed[:, :3] = palette
    table: npt.NDArray[np.uint32] = packed[choice].view(np.uint32).reshape(-1)
    return table
