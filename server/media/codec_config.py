"""Decoder configurations as FLV and MP4 carry them: avcC, hvcC, AudioSpecificConfig.

Pure. `server.media.flv` reads them, to write what they say in the form that MPEG-TS wants:
parameter sets in front of keyframes, an ADTS header in front of each AAC frame.
"""

from dataclasses import dataclass
from typing import Final

from server.media.errors import CodecNotTaken, FlvError
from trickle.media.annexb import join_nal_units
from trickle.media.packets import Codec
from trickle.media.ts_audio import AAC_RATES

# A stream has one of each set, seldom two; the count's field would allow hundreds.
_SETS_MAX: Final = 64

_AAC_MAIN: Final = 1
_AAC_LTP: Final = 4
_HE_AAC: Final = (5, 29)
_ESCAPE_RATE: Final = 15
_ADTS_HEADER_BYTES: Final = 7
_ADTS_FRAME_MAX: Final = 8191


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """Attributes: `annex_b` is all parameter sets, ready to go in front of a keyframe."""

    codec: Codec
    length_bytes: int
    annex_b: bytes


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """What an ADTS header says of AAC."""

    object_type: int
    rate_index: int
    channels: int

    @property
    def rate_hz(self) -> int:
        return AAC_RATES[self.rate_index]

    def adts_header(self, frame_bytes: int) -> bytes:
        """The seven bytes in front of a frame of that size (ISO/IEC 13818-7, 6.2).

        Raises:
            FlvError: No header can say that size.
        """
        size = frame_bytes + _ADTS_HEADER_BYTES
        if size > _ADTS_FRAME_MAX:
            raise FlvError(f"an AAC frame of {frame_bytes} bytes")
        return bytes(
            (
                0xFF,
                0xF1,
                ((self.object_type - 1) << 6) | (self.rate_index << 2) | (self.channels >> 2),
                ((self.channels & 3) << 6) | (size >> 11),
                (size >> 3) & 0xFF,
                ((size & 7) << 5) | 0x1F,
                0xFC,
            )
        )


def parse_avcc(data: bytes) -> VideoConfig:
    """Reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3).

    Raises:
        FlvError: It is cut short, or has no SPS.
    """
    if len(data) < 7 or data[0] != 1:
        raise FlvError("the H.264 configuration is malformed")
    sets: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):
        if at >= len(data):
            raise FlvError("the H.264 configuration is cut short")
        at = _read_sets(data, at + 1, data[at] & mask, sets)
    if not sets:
        raise FlvError("the H.264 configuration has no parameter sets")
    return VideoConfig(Codec.H264, (data[4] & 3) + 1, join_nal_units(sets))


def parse_hvcc(data: bytes) -> VideoConfig:
    """Reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3).

    Raises:
        FlvError: It is cut short, or has no parameter sets.
    """
    if len(data) < 23:
        raise FlvError("the HEVC configuration is cut short")
    sets: list[bytes] = []
    at = 23
    for _ in range(data[22]):
        if at + 3 > len(data):
            raise FlvError("the HEVC configuration is cut short")
        at = _read_sets(data, at + 3, int.from_bytes(data[at + 1 : at + 3], "big"), sets)
    if not sets:
        raise FlvError("the HEVC configuration has no parameter sets")
    return VideoConfig(Codec.HEVC, (data[21] & 3) + 1, join_nal_units(sets))


def parse_asc(data: bytes) -> AudioConfig:
    """Reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).

    HE-AAC is carried as the AAC-LC that its core is; decoders find the rest by themselves.

    Raises:
        FlvError: It is cut short.
        CodecNotTaken: ADTS has no way to say it.
    """
    if len(data) < 2:
        raise FlvError("the AAC configuration is cut short")
    value = int.from_bytes(data[:8].ljust(8, b"\0"), "big")
    left = 64

    def bits(count: int) -> int:
        nonlocal left
        left -= count
        return (value >> left) & ((1 << count) - 1)

    object_type = bits(5)
    if object_type == 31:
        object_type = 32 + bits(6)
    rate_index = bits(4)
    if rate_index == _ESCAPE_RATE:
        rate_hz = bits(24)
        rate_index = AAC_RATES.index(rate_hz) if rate_hz in AAC_RATES else _ESCAPE_RATE
    channels = bits(4)
    if object_type in _HE_AAC:
        object_type = 2
    if not _AAC_MAIN <= object_type <= _AAC_LTP or rate_index >= len(AAC_RATES):
        raise CodecNotTaken("that kind of AAC is not taken here; send AAC-LC (ffmpeg: -c:a aac)")
    if not 1 <= channels <= 7:
        raise CodecNotTaken("AAC with channels laid out by the program is not taken here")
    return AudioConfig(object_type, rate_index, channels)


def _read_sets(data: bytes, at: int, count: int, into: list[bytes]) -> int:
    """Reads `count` parameter sets with a length of two bytes each; returns where they end."""
    for _ in range(count):
        size = int.from_bytes(data[at : at + 2], "big")
        unit = data[at + 2 : at + 2 + size]
        if at + 2 > len(data) or len(unit) < size or len(into) >= _SETS_MAX:
            raise FlvError("a decoder configuration is malformed")
        if unit:
            into.append(unit)
        at += 2 + size
    return at
