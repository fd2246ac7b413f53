"""FLV tags to test with, as encoders write them."""

from tests.unit.trickle.media.samples import (
    H264_PPS,
    H264_SPS,
    HEVC_PPS,
    HEVC_SPS,
    HEVC_VPS,
)

AAC_LC_48K_STEREO = bytes.fromhex("1190")


def avcc(*sps: bytes, pps: bytes = H264_PPS, length_bytes: int = 4) -> bytes:
    sets = sps or (H264_SPS,)
    return (
        b"\x01"
        + sets[0][1:4]
        + bytes((0xFC | (length_bytes - 1), 0xE0 | len(sets)))
        + b"".join(len(each).to_bytes(2, "big") + each for each in sets)
        + b"\x01"
        + len(pps).to_bytes(2, "big")
        + pps
    )


def hvcc() -> bytes:
    arrays = b"".join(
        bytes((0x80 | kind,)) + b"\0\x01" + len(unit).to_bytes(2, "big") + unit
        for kind, unit in ((32, HEVC_VPS), (33, HEVC_SPS), (34, HEVC_PPS))
    )
    return b"\x01" + bytes(20) + b"\x03\x03" + arrays


def prefixed(*units: bytes, length_bytes: int = 4) -> bytes:
    return b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in units)


def video(kind: int, payload: bytes, *, key: bool = True, shift_ms: int = 0) -> bytes:
    """An H.264 tag of the old form: kind 0 is the configuration, 1 a picture."""
    first = 0x17 if key else 0x27
    return bytes((first, kind)) + shift_ms.to_bytes(3, "big", signed=True) + payload


def extended_video(kind: int, fourcc: bytes, payload: bytes, *, key: bool = True) -> bytes:
    return bytes((0x80 | (0x10 if key else 0x20) | kind,)) + fourcc + payload


def aac(kind: int, payload: bytes) -> bytes:
    return bytes((0xAF, kind)) + payload
