"""A number written in pixels that survives coding: which frame is this, whoever shows it?

Sixteen squares, black or white, stand at the top left; each is large enough that an encoder keeps
its middle. A reader needs nothing but the picture.
"""

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

BITS = 16
SQUARE = 32


def draw(picture: Picture, number: int) -> None:
    """Writes `number` into a picture of at least 512 x 32, any number of channels."""
    for bit in range(BITS):
        value = 235 if number >> bit & 1 else 16
        picture[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = value


def read(picture: Picture) -> int:
    """The number in a picture; the luma plane of a decoded frame will do."""
    number = 0
    for bit in range(BITS):
        middle = picture[SQUARE // 4 : -SQUARE // 4 or None][: SQUARE // 2]
        block = middle[:, bit * SQUARE + SQUARE // 4 : (bit + 1) * SQUARE - SQUARE // 4]
        if float(block.mean()) > 125:
            number |= 1 << bit
    return number
