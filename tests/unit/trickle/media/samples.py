"""Packets to test with: real parameter sets, and pictures that only look coded."""

import random

from trickle.media.annexb import join_nal_units
from trickle.media.packets import CLOCK_HZ, Codec, Packet

# 640x360 baseline, as libx264 writes it.
H264_SPS = bytes.fromhex("6742c01eda0280bfe5c044000003000400000300c83c58ba80")
H264_SPS_1080 = bytes.fromhex("6742c028da01e0089f97011000000300100000030320f1832a")
H264_PPS = bytes.fromhex("68ce0fc8")
H264_AUD = b"\x09\xf0"
# 1920x1080, as libx265 writes it.
HEVC_VPS = bytes.fromhex("40010c01ffff016000000300900000030000030078959809")
HEVC_SPS = bytes.fromhex(
    "420101016000000300900000030000030078a003c0801107cb965654a4c2f0168080000003008000000c84"
)
HEVC_PPS = bytes.fromhex("4401c172b46240")
HEVC_AUD = b"\x46\x01\x50"

FRAME = CLOCK_HZ // 30
AAC_FRAME = 1920  # 1024 samples at 48 kHz
OPUS_FRAME = CLOCK_HZ // 50


def coded(size: int, seed: int = 0) -> bytes:
    """Bytes in which no start code can appear."""
    return bytes(random.Random(seed).choices(range(1, 256), k=size))


def picture(
    dts: int, size: int = 500, *, key: bool = False, shift: int = 0, codec: Codec = Codec.H264
) -> Packet:
    """A picture with delimiter, and with parameter sets if it is a keyframe."""
    if codec is Codec.H264:
        units = [H264_AUD, *([H264_SPS, H264_PPS] if key else [])]
        units.append((b"\x65" if key else b"\x41") + coded(size, dts))
    else:
        units = [HEVC_AUD, *([HEVC_VPS, HEVC_SPS, HEVC_PPS] if key else [])]
        units.append((b"\x26\x01" if key else b"\x02\x01") + coded(size, dts))
    return Packet(codec, join_nal_units(units), dts + shift, dts, key)


def aac(pts: int, size: int = 200) -> Packet:
    """An AAC frame at 48 kHz, stereo, with its ADTS header."""
    total = size + 7
    header = bytes(
        (0xFF, 0xF1, 0x4C, 0x80 | (total >> 11), (total >> 3) & 0xFF, ((total & 7) << 5) | 31, 0xFC)
    )
    return Packet(Codec.AAC, header + coded(size, pts), pts, pts, keyframe=True)


def opus(pts: int, size: int = 80) -> Packet:
    """20 ms of CELT, stereo."""
    return Packet(Codec.OPUS, b"\xfc" + coded(size - 1, pts), pts, pts, keyframe=True)


def clip(
    pictures: int = 12,
    *,
    codec: Codec = Codec.H264,
    audio: Codec | None = Codec.AAC,
    start: int = CLOCK_HZ,
    key_every: int = 6,
    sizes: tuple[int, ...] = (3000, 150, 184, 20, 900, 70_000),
) -> list[Packet]:
    """Video and audio in order of time; sizes include what is awkward in TS packets."""
    packets = [
        picture(
            start + n * FRAME,
            sizes[n % len(sizes)],
            key=n % key_every == 0,
            shift=2 * FRAME if n % 3 == 0 else 0,
            codec=codec,
        )
        for n in range(pictures)
    ]
    make, step = (aac, AAC_FRAME) if audio is Codec.AAC else (opus, OPUS_FRAME)
    if audio is not None:
        packets += [make(at) for at in range(start, start + pictures * FRAME, step)]
    return sorted(packets, key=lambda packet: packet.dts)
