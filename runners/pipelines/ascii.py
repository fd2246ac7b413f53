"""ASCII: the picture written in letters, brighter where a letter has more ink."""

from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from runners.pipelines.effect import Effect, Plane, gray, shrink, uint8
from runners.pipelines.palettes import rgb as colour_of
from runners.sdk import BaseParams, Picture

_LETTERS: Final = {
    "classic": " .:-=+*oO#%@",
    "words": " .,;clxokPENSTOCK",
    "binary": " 01",
    "blocks": "",  # drawn, not written: squares of growing size
}
_BLOCK_SIZES: Final = 9

_INKS: Final = {"green": "#39ff6a", "amber": "#ffb000", "white": "#ffffff"}

# Letters are drawn this much larger and then reduced, which is what makes them smooth.
_OVERSAMPLED: Final = 4


class Ascii(Effect):
    """The picture as text on an old terminal."""

    name = "ascii"
    title = "ASCII"

    class Params(BaseParams):
        letters: Literal["classic", "words", "binary", "blocks"] = Field(
            "classic", title="Letters", description="What the picture is written with."
        )
        ink: Literal["picture", "green", "amber", "white"] = Field(
            "picture", title="Ink", description="The picture's own colours, or a terminal's."
        )
        size: int = Field(
            8,
            ge=5,
            le=32,
            title="Letter width",
            description="How large the letters are.",
            json_schema_extra={"x-step": 1, "x-unit": "px"},
        )
        contrast: float = Field(
            1.6,
            ge=0.5,
            le=3,
            title="Contrast",
            description="How much the letters for dark and bright differ.",
            json_schema_extra={"x-step": 0.1},
        )
        paper: float = Field(
            0.2,
            ge=0,
            le=1,
            title="Paper",
            description="How much colour is seen between the letters.",
            json_schema_extra={"x-step": 0.05},
        )

    params: Params

    def tune(self) -> None:
        size = self.params.size
        self._cell = (size, size if self.params.letters == "blocks" else round(size * 1.6))
        cell_width, cell_height = self._cell
        self._columns = -(-self.width // cell_width)
        self._rows = -(-self.height // cell_height)
        paper = 255 * self.params.paper
        glyphs = _drawn(self.params.letters, self._cell).astype(np.float32)
        # Ink over paper is settled here, once, not for each frame.
        self._glyphs = (paper + glyphs * (1 - paper / 255)).astype(np.uint8)
        values = (np.arange(256) / 255 - 0.5) * self.params.contrast + 0.5
        self._which = np.clip(values * len(glyphs), 0, len(glyphs) - 1).astype(np.uint8)

    def draw(self, rgb: Picture) -> Picture:
        grid = (self._columns, self._rows)
        cells = shrink(rgb, grid)
        text = self._written(self._which[gray(cells)])
        colours = cv2.resize(
            self._inked(cells),
            (self._columns * self._cell[0], self._rows * self._cell[1]),
            interpolation=cv2.INTER_NEAREST,
        )
        page = cv2.multiply(colours, cv2.merge([text, text, text]), scale=1 / 255)
        return uint8(page)[: self.height, : self.width]

    def _written(self, which: Plane) -> Plane:
        cell_width, cell_height = self._cell
        placed = self._glyphs[which].transpose(0, 2, 1, 3)
        return placed.reshape(self._rows * cell_height, self._columns * cell_width)

    def _inked(self, cells: Picture) -> Picture:
        """Returns the colour of each letter. Letters leave gaps, so colours are lifted."""
        if self.params.ink == "picture":
            return uint8(cv2.convertScaleAbs(cells, alpha=1.4, beta=20))
        brightness = cv2.cvtColor(
            cv2.max(gray(cells), np.full(1, 90, np.uint8)), cv2.COLOR_GRAY2RGB
        )
        ink = np.array(colour_of(_INKS[self.params.ink]), np.uint8)
        return uint8(cv2.multiply(brightness, np.broadcast_to(ink, cells.shape), scale=1 / 230))


def _drawn(letters: str, cell: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draws every glyph, cell by cell, from the one with least ink to the one with most."""
    glyphs = _squares(cell) if letters == "blocks" else _written(_LETTERS[letters], cell)
    return np.stack(sorted(glyphs, key=np.mean))


def _squares(cell: tuple[int, int]) -> list[Plane]:
    width, height = cell
    squares = []
    for step in range(_BLOCK_SIZES):
        square = np.zeros((height, width), np.uint8)
        gap = round((1 - step / (_BLOCK_SIZES - 1)) * width / 2)
        square[gap : height - gap, gap : width - gap] = 255
        squares.append(square)
    return squares


def _written(letters: str, cell: tuple[int, int]) -> list[Plane]:
    width, height = (side * _OVERSAMPLED for side in cell)
    font, bold = cv2.FONT_HERSHEY_SIMPLEX, max(1, width // 7)
    (wide, high), _ = cv2.getTextSize("#", font, 1, bold)
    scale = min(width / wide, height * 0.7 / high)
    glyphs = []
    for letter in letters:
        sheet = np.zeros((height, width), np.uint8)
        (letter_width, _), _ = cv2.getTextSize(letter, font, scale, bold)
        start = ((width - letter_width) // 2, int(height * 0.86))
        cv2.putText(sheet, letter, start, font, scale, 255, bold, cv2.LINE_AA)
        glyphs.append(uint8(cv2.resize(sheet, cell, interpolation=cv2.INTER_AREA)))
    return glyphs
