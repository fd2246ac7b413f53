"""Where each part of the picture came from: optical flow between one frame and the next.

DIS flow at a fixed small size, so that its cost does not grow with the picture.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from runners.pipelines.effect import FloatPlane, Plane, Size, float32, gray, reduced, shrink, uint8
from runners.sdk import Picture

FlowField = npt.NDArray[np.float32]  # height x width x 2: how far back in x and in y, in pixels

# 320 x 180 for 720p: 0.3 ms, and fine enough for hands and faces.
_LONGEST_SIDE: Final = 320

# DIS works at a quarter of its size with patches of 8. It reads and writes out of bounds for some
# smaller pictures (320 x 24 among them) rather than refuse them.
_SHORTEST_SIDE: Final = 32

# Differences of brightness below this are the camera's noise.
_NOISE: Final = 5

# A full change is this many times less than from black to white.
_CHANGE_GAIN: Final = 30


class Motion:
    """Follows the motion from picture to picture, all of one size.

    Attributes:
        size: Width and height of the flow.
        changed: How much each place has just changed, 0 to 255, a little beyond its edges. Flow is
            guesswork on plain surfaces; where nothing changed there was no motion worth showing.
    """

    def __init__(self, width: int, height: int) -> None:
        flow_width, flow_height = reduced(width, height, _LONGEST_SIDE)
        self.size: Size = (max(flow_width, _SHORTEST_SIDE), max(flow_height, _SHORTEST_SIDE))
        self.changed: Plane = np.zeros((self.size[1], self.size[0]), np.uint8)
        self._before: Plane | None = None
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def follow(self, picture: Picture) -> FlowField:
        """Says for each pixel of `picture` where it was in the picture before, as an offset.

        The first picture has come from nowhere: all zero.
        """
        plane = gray(shrink(picture, self.size))
        before, self._before = self._before, plane
        width, height = self.size
        if before is None:
            self.changed = np.zeros((height, width), np.uint8)
            return np.zeros((height, width, 2), np.float32)
        change = cv2.threshold(cv2.absdiff(plane, before), _NOISE, 255, cv2.THRESH_TOZERO)[1]
        self.changed = uint8(cv2.convertScaleAbs(cv2.blur(change, (9, 9)), alpha=_CHANGE_GAIN))
        return float32(self._flow.calc(plane, before, np.zeros((height, width, 2), np.float32)))


def grid(size: Size) -> tuple[FloatPlane, FloatPlane]:
    """Returns the x and the y of every pixel: the maps with which `cv2.remap` changes nothing."""
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return x, y


def stretch(flow: FlowField, size: Size, *, nearest: bool = False) -> FlowField:
    """Returns the flow for pictures of another size."""
    height, width = flow.shape[:2]
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    stretched = float32(cv2.resize(flow, size, interpolation=how))
    return stretched * np.array([size[0] / width, size[1] / height], np.float32)
