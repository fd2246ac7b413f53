"""Annex B video: finding NAL units, keyframes and parameter sets in an access unit.

Not a decoder: it looks at NAL headers and, for the size of the picture, into the sequence
parameter set (`trickle.media.sps`). Everything that makes or reads video packets calls it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from trickle.media.packets import Codec
from trickle.media.sps import h264_picture_size, hevc_picture_size

START_CODE: Final = b"\0\0\0\1"
_PREFIX: Final = b"\0\0\1"

H264_IDR: Final = 5
H264_SPS: Final = 7
H264_PPS: Final = 8
H264_AUD: Final = 9
H264_FILLER: Final = 12
HEVC_IRAP_FIRST: Final = 16
HEVC_IRAP_LAST: Final = 23
HEVC_VPS: Final = 32
HEVC_SPS: Final = 33
HEVC_PPS: Final = 34
HEVC_AUD: Final = 35
HEVC_FILLER: Final = 38

_H264_SLICES: Final = range(1, 6)
_HEVC_SLICES: Final = range(32)


def nal_type(unit: bytes, codec: Codec) -> int:
    """What a NAL unit (without its start code) is; -1 when it is empty."""
    if not unit:
        return -1
    return unit[0] & 0x1F if codec is Codec.H264 else (unit[0] >> 1) & 0x3F


def nal_units(data: bytes) -> list[bytes]:
    """Splits an access unit at its start codes, which are left out."""
    # A NAL unit never ends in zero, so zeros before a start code belong to the start code.
    units = (part.rstrip(b"\0") for part in data.split(_PREFIX)[1:])
    return [unit for unit in units if unit]


def join_nal_units(units: Sequence[bytes]) -> bytes:
    """The opposite of `nal_units`."""
    return b"".join([piece for unit in units for piece in (START_CODE, unit)])


def is_keyframe(data: bytes, codec: Codec) -> bool:
    """Whether a decoder can start at this access unit.

    Looks no further than the first slice, so a large picture costs no more than a small one.
    """
    h264 = codec is Codec.H264
    last = len(data) - 4
    at = data.find(_PREFIX)
    while 0 <= at <= last:
        head = data[at + 3]
        if h264:
            kind = head & 0x1F
            if kind in _H264_SLICES:
                return kind == H264_IDR
        else:
            kind = (head >> 1) & 0x3F
            if kind in _HEVC_SLICES:
                return HEVC_IRAP_FIRST <= kind <= HEVC_IRAP_LAST
        at = data.find(_PREFIX, at + 3)
    return False


def parameter_sets(data: bytes, codec: Codec) -> tuple[bytes, ...]:
    """The parameter sets (VPS, SPS, PPS) before the first slice, in their order."""
    wanted = (H264_SPS, H264_PPS) if codec is Codec.H264 else (HEVC_VPS, HEVC_SPS, HEVC_PPS)
    return tuple(unit for kind, unit in _leading_units(data, codec) if kind in wanted)


def with_parameter_sets(data: bytes, sets: Sequence[bytes], codec: Codec) -> bytes:
    """Puts `sets` in front of an access unit that does not bring its own.

    An access unit delimiter stays the first, as the standards want it.
    """
    if not sets or parameter_sets(data, codec):
        return data
    front = join_nal_units(sets)
    after_delimiter = _after_delimiter(data, codec)
    if after_delimiter:
        return data[:after_delimiter] + front + data[after_delimiter:]
    return front + data


def starts_with_delimiter(data: bytes, codec: Codec) -> bool:
    """Whether an access unit delimiter comes first."""
    head = 4 if data.startswith(START_CODE) else 3
    return (head == 4 or data.startswith(_PREFIX)) and nal_type(data[head : head + 1], codec) == (
        H264_AUD if codec is Codec.H264 else HEVC_AUD
    )


def picture_size(data: bytes, codec: Codec) -> tuple[int, int] | None:
    """Width and height that the access unit's own SPS promises; None when it brings none."""
    for kind, unit in _leading_units(data, codec):
        if codec is Codec.H264 and kind == H264_SPS:
            return h264_picture_size(unit)
        if codec is Codec.HEVC and kind == HEVC_SPS:
            return hevc_picture_size(unit)
    return None


def _leading_units(data: bytes, codec: Codec) -> Iterator[tuple[int, bytes]]:
    """NAL units up to, and without, the first slice."""
    slices = _H264_SLICES if codec is Codec.H264 else _HEVC_SLICES
    at = data.find(_PREFIX)
    while at >= 0:
        start = at + 3
        kind = nal_type(data[start : start + 1], codec)
        if kind in slices:
            return
        at = data.find(_PREFIX, start)
        unit = data[start : at if at >= 0 else len(data)].rstrip(b"\0")
        if unit:
            yield kind, unit


def _after_delimiter(data: bytes, codec: Codec) -> int:
    """Where the NAL unit after a leading delimiter begins, its start code included; else 0."""
    if not starts_with_delimiter(data, codec):
        return 0
    following = data.find(_PREFIX, 4)
    if following < 0:
        return 0
    return following - 1 if data[following - 1] == 0 else following
