"""What the built-in effects share: state that follows the frame size, and time between frames.

A pipeline of one's own needs none of this; `runners.sdk.Pipeline` is enough. It pays where an
effect remembers earlier frames, or keeps tables that depend on the size.
"""

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from runners.pipelines.palettes import Table
from runners.sdk import BaseParams, Frame, Picture, Pipeline

Plane = npt.NDArray[np.uint8]  # height x width, one value per pixel
FloatPlane = npt.NDArray[np.float32]
Size = tuple[int, int]  # width, height, as OpenCV has it

_CLOCK_HZ: Final = 90_000

# What one frame lasts where the stamps do not say: at the first frame, and where they run backwards
# because the publisher came back.
_NOMINAL_FRAME_S: Final = 1 / 30

# A longer gap is a pause, not a slow frame. State does not age through it all at once.
_LONGEST_FRAME_S: Final = 0.25


class Effect(Pipeline):
    """A pipeline for any frame size: `resize`, then `tune`, then `draw` for each frame.

    Attributes:
        width: Of the frames that come.
        height: Of the frames that come.
        elapsed_s: Time between the frame before and this one.
    """

    width: int = 0
    height: int = 0
    elapsed_s: float = _NOMINAL_FRAME_S

    def __init__(self, params: BaseParams) -> None:
        super().__init__(params)
        self._tuned = False
        self._last_pts: int | None = None

    def update(self, params: BaseParams) -> None:
        super().update(params)
        self._tuned = False

    def process(self, frame: Frame) -> Picture | None:
        height, width = frame.rgb.shape[:2]
        if (width, height) != (self.width, self.height):
            self.width, self.height = width, height
            self._tuned = False
            self._last_pts = None
            self.resize()
        if not self._tuned:
            self.tune()
            self._tuned = True
        self.elapsed_s = self._since_last(frame.pts)
        return self.draw(frame.rgb)

    def resize(self) -> None:
        """Frames of a new size follow: forgets what was remembered of the old ones."""

    def tune(self) -> None:
        """The parameters or the size are new: recomputes what depends on them."""

    def draw(self, rgb: Picture) -> Picture:
        """Returns the picture to show, as `process` does."""
        raise NotImplementedError

    def blank(self, size: Size | None = None) -> Picture:
        """Makes a black picture, as large as the frames if no size is given."""
        width, height = size or (self.width, self.height)
        return np.zeros((height, width, 3), np.uint8)

    def _since_last(self, pts: int) -> float:
        last, self._last_pts = self._last_pts, pts
        if last is None or pts <= last:
            return _NOMINAL_FRAME_S
        return min((pts - last) / _CLOCK_HZ, _LONGEST_FRAME_S)


def reduced(width: int, height: int, longest: int) -> Size:
    """Says the size to work at so that no side exceeds `longest`, for a whole divisor.

    OpenCV averages over whole blocks ten times faster than over fractions of them.
    """
    divisor = -(-max(width, height) // longest)
    return max(1, width // divisor), max(1, height // divisor)


def shrink(picture: Picture, size: Size) -> Picture:
    """Returns the picture averaged down to `size`; the picture itself where it has that size."""
    width, height = picture.shape[1], picture.shape[0]
    # Halving an even side is many times faster than any other average, so that comes first.
    while width % 2 == 0 and height % 2 == 0 and width // 2 >= size[0] and height // 2 >= size[1]:
        width, height = width // 2, height // 2
        half = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        picture = uint8(half)
    if (width, height) == size:
        return picture
    return uint8(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def gray(picture: Picture) -> Plane:
    """Returns the brightness of each pixel."""
    return uint8(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def colourize(plane: Plane, table: Table) -> Picture:
    """Returns each value of `plane` as the colour that `table` has for it."""
    return uint8(cv2.applyColorMap(plane, table))


def uint8(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Says of what OpenCV returned what its type stubs do not: uint8 in, uint8 out."""
    assert array.dtype == np.uint8
    return array


def float32(array: npt.NDArray[Any]) -> FloatPlane:
    """Says of what OpenCV returned that it is float32."""
    assert array.dtype == np.float32
    return array


def decay(elapsed_s: float, half_life_s: float) -> float:
    """Says what share is left of something after `elapsed_s`."""
    return float(0.5 ** (elapsed_s / half_life_s))
