"""One coded picture or sound, on its way from a publisher to whoever wants it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# The clock of MPEG-TS and of RTP video. Every `pts` and `dts` in Penstock counts its ticks.
CLOCK_HZ: Final = 90_000


class Codec(StrEnum):
    """What a packet's bytes are."""

    H264 = "h264"
    HEVC = "hevc"
    OPUS = "opus"
    AAC = "aac"

    @property
    def is_video(self) -> bool:
        return self in (Codec.H264, Codec.HEVC)


@dataclass(frozen=True, slots=True)
class Packet:
    """A whole access unit of video, or one frame of audio.

    Attributes:
        codec: What `data` is: Annex B for video (start codes, parameter sets in front of every
            keyframe), a bare packet for Opus, one ADTS frame for AAC.
        data: The bytes. Never changed after the packet is made, so every reader shares them.
        pts: When to show it, in ticks of `CLOCK_HZ`, unwrapped: it only jumps if the source does.
        dts: When to decode it; equal to `pts` where there are no B-frames.
        keyframe: A decoder can start here. True for every audio packet.
    """

    codec: Codec
    data: bytes
    pts: int
    dts: int
    keyframe: bool
