"""Sequence parameter sets of H.264 and HEVC, read only as far as the size of the picture.

Pure. `trickle.media.annexb` calls it. A set that is cut short or absurd has no size (None), since
whoever asks wants a number to show and not a verdict.
"""

from typing import Final

# Above what any level of either codec allows; a larger number is noise, not a picture.
DIMENSION_MAX: Final = 16_384

_H264_PROFILES_WITH_CHROMA: Final = frozenset(
    {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
)
_SIGNIFICANT_BYTES: Final = 512  # the size is near the front; a longer set is not read further


def h264_picture_size(sps: bytes) -> tuple[int, int] | None:
    """Width and height after cropping, from an SPS without its start code."""
    try:
        return _h264_size(_Bits(sps[1:]))
    except _OutOfBits:
        return None


def hevc_picture_size(sps: bytes) -> tuple[int, int] | None:
    """Width and height after the conformance window, from an SPS without its start code."""
    try:
        return _hevc_size(_Bits(sps[2:]))
    except _OutOfBits:
        return None


class _OutOfBits(Exception):
    """The set ends before its size. Never leaves this module."""


class _Bits:
    """Reads bits, and the Exp-Golomb codes made of them, from the front."""

    def __init__(self, escaped: bytes) -> None:
        # An encoder breaks up runs that look like start codes with a 3 (H.264 7.4.1).
        payload = escaped[:_SIGNIFICANT_BYTES].replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(payload, "big")
        self._left = len(payload) * 8

    def read(self, count: int) -> int:
        if count > self._left:
            raise _OutOfBits
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        zeros = 0
        while self.read(1) == 0:
            zeros += 1
            if zeros > 31:
                raise _OutOfBits
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _h264_size(bits: _Bits) -> tuple[int, int] | None:
    profile = bits.read(8)
    bits.read(16)  # constraint flags, level
    bits.unsigned()  # seq_parameter_set_id
    chroma = 1
    separate_planes = 0
    if profile in _H264_PROFILES_WITH_CHROMA:
        chroma = bits.unsigned()
        if chroma == 3:
            separate_planes = bits.read(1)
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.read(1)  # lossless bypass
        if bits.read(1):
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    bits.unsigned()  # log2_max_frame_num
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()
    bits.unsigned()  # max_num_ref_frames
    bits.read(1)
    width = (bits.unsigned() + 1) * 16
    map_units = bits.unsigned() + 1
    frames_only = bits.read(1)
    height = (2 - frames_only) * map_units * 16
    if not frames_only:
        bits.read(1)
    bits.read(1)  # direct_8x8_inference
    if bits.read(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        subsampled = chroma in (1, 2) and not separate_planes
        width -= (left + right) * (2 if subsampled else 1)
        high_unit = 2 if chroma == 1 and not separate_planes else 1
        height -= (top + bottom) * high_unit * (2 - frames_only)
    return _plausible(width, height)


def _skip_scaling_lists(bits: _Bits, lists: int) -> None:
    for index in range(lists):
        if not bits.read(1):
            continue
        following = last = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _hevc_size(bits: _Bits) -> tuple[int, int] | None:
    bits.read(4)  # video parameter set
    sub_layers = bits.read(3)
    bits.read(1)
    bits.read(96)  # general profile, tier, level
    present = [(bits.read(1), bits.read(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.read(2 * (8 - sub_layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    bits.unsigned()  # sps id
    chroma = bits.unsigned()
    if chroma == 3:
        bits.read(1)
    width = bits.unsigned()
    height = bits.unsigned()
    if bits.read(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    return _plausible(width, height)


def _plausible(width: int, height: int) -> tuple[int, int] | None:
    if 0 < width <= DIMENSION_MAX and 0 < height <= DIMENSION_MAX:
        return width, height
    return None
