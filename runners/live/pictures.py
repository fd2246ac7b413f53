"""Pictures that no effect made: what viewers see while there is nothing else to show."""

from typing import Final

import cv2
import numpy as np

from runners.sdk import Picture

_GROUND: Final = (24, 26, 30)
_INK: Final = (235, 235, 235)
# Dark enough that nobody takes it for the live picture, light enough to know what it was.
_DIMMED: Final = 0.35
_TEXT_HEIGHT: Final = 1 / 22  # of the picture's
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


def stand_in(words: str, *, width: int, height: int, last: Picture | None) -> Picture:
    """Returns a picture that says `words`, over the last one that was shown, if there is one.

    Never over the input: an effect may be there to hide it.
    """
    if last is not None and last.shape[:2] == (height, width):
        picture = np.multiply(last, _DIMMED, casting="unsafe", dtype=np.float32).astype(np.uint8)
    else:
        picture = np.full((height, width, 3), _GROUND, np.uint8)
    scale = max(0.4, height * _TEXT_HEIGHT / 21)  # the font is 21 pixels high at scale 1
    thickness = max(1, round(scale * 1.5))
    (text_width, text_height), _ = cv2.getTextSize(words, _FONT, scale, thickness)
    at = ((width - text_width) // 2, (height + text_height) // 2)
    cv2.putText(picture, words, at, _FONT, scale, _INK, thickness, cv2.LINE_AA)
    return picture
