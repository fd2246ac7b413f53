"""Colour tables by name, as the effects' `palette` parameters offer them.

A table has 256 RGB colours. Most go from black to bright, so that nothing is dark and much glows.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.uint8]  # 256 x 1 x 3, as cv2.applyColorMap takes it
Colour = tuple[int, int, int]  # red, green, blue

# Stops at equal distances, from value 0 to value 255.
_GLOW_STOPS: Final[dict[str, Sequence[str]]] = {
    "synthwave": ("#000000", "#2b0a6b", "#b0129b", "#ff3d81", "#ffb35c", "#fff6d6"),
    "ice": ("#000000", "#03265e", "#0569b8", "#18b6e8", "#8df0ff", "#ffffff"),
    "fire": ("#000000", "#4a0505", "#b31b06", "#ff6a00", "#ffc933", "#fffbe0"),
    "matrix": ("#000000", "#00280c", "#00701f", "#0ec43c", "#6dff7d", "#f0fff0"),
    "aurora": ("#000000", "#12195c", "#0b6f8a", "#17c98f", "#b6f56b", "#fff0ff"),
    "gold": ("#000000", "#33190a", "#7d4512", "#c98a1b", "#f7d25c", "#fffbe8"),
}


def gradient(stops: Sequence[str]) -> Table:
    """Makes a table that runs evenly through colours given as "#rrggbb"."""
    colours = np.array([rgb(stop) for stop in stops], np.float32)
    places = np.linspace(0, 255, len(stops))
    channels = [np.interp(np.arange(256), places, colours[:, channel]) for channel in range(3)]
    return _table(np.stack(channels, -1))


def glow(name: str) -> Table:
    """Makes the table of one of the glowing palettes, or a full turn of hues for "rainbow"."""
    return rainbow() if name == "rainbow" else gradient(_GLOW_STOPS[name])


def rainbow() -> Table:
    """Makes a table of all hues whose brightness rises in its first quarter from black."""
    turn = np.arange(256) / 256 * 2 * np.pi
    phases = np.array([0, 2 * np.pi / 3, 4 * np.pi / 3])
    colours = 127.5 + 127.5 * np.cos(turn[:, None] - phases)
    colours *= np.clip(np.arange(256) / 64, 0, 1)[:, None]
    return _table(colours)


def hues() -> Table:
    """Makes a table of all hues, saturated and equally far apart, that closes on itself."""
    turn = np.arange(256)[:, None] / 256 * 6
    offsets = np.array([5, 3, 1])
    ramp = (offsets + turn) % 6
    colours = 255 * (1 - np.clip(np.minimum(ramp, 4 - ramp), 0, 1))
    return _table(colours)


def rgb(colour: str) -> Colour:
    """Reads "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _table(colours: npt.NDArray[Any]) -> Table:
    table: Table = np.clip(colours.round(), 0, 255).astype(np.uint8).reshape(256, 1, 3)
    return table
