"""AAC to Opus: what OBS sends to what browsers play.

Opus goes through a runner untouched and never comes here. Times are kept: a result's stamp is that
of the input it was made of, and where the input jumps, so does the output.
"""

from fractions import Fraction
from typing import Final

import av
from av.audio.resampler import AudioResampler

from runners.errors import Undecodable
from trickle.media.packets import CLOCK_HZ, Codec, Packet

CHANNELS: Final = 2
_RATE: Final = 48_000
_FRAME_SAMPLES: Final = 960  # 20 ms, which every receiver expects
_TICKS_PER_SAMPLE: Final = Fraction(CLOCK_HZ, _RATE)

# Good for music; 64 kbit/s is where trained ears begin to hear it.
_BITS_PER_S: Final = 96_000

# libopus delays by this much; its stamps are set back so that lips and words stay together.
_PRE_SKIP_SAMPLES: Final = 312

# Stamps of AAC are rounded to a millisecond by RTMP. More than this is a jump, not rounding.
_JUMP_TICKS: Final = CLOCK_HZ * 60 // 1000


class OpusMaker:
    """Converts one stream of AAC."""

    def __init__(self) -> None:
        self._origin_pts: int | None = None
        self._next_pts: int | None = None
        self._made = 0
        self._begin()

    def convert(self, packet: Packet) -> list[Packet]:
        """The Opus packets that an AAC frame completes: none, one or two.

        Raises:
            Undecodable: It is no AAC frame; the next one may be.
        """
        assert packet.codec is Codec.AAC
        if self._next_pts is not None and abs(packet.pts - self._next_pts) > _JUMP_TICKS:
            self._begin()
        if self._origin_pts is None:
            self._origin_pts = packet.pts
        try:
            return self._convert(packet)
        except av.error.FFmpegError as error:
            self._begin()
            raise Undecodable(f"sound could not be decoded: {error}") from None

    def _convert(self, packet: Packet) -> list[Packet]:
        made: list[Packet] = []
        ticks = Fraction(0)
        for frame in self._decoder.decode(av.Packet(packet.data)):
            ticks += Fraction(frame.samples * CLOCK_HZ, frame.sample_rate)
            frame.pts = None  # positions are counted here, in samples
            for piece in self._resampler.resample(frame):
                piece.pts = None
                made += [self._packet(bytes(coded)) for coded in self._encoder.encode(piece)]
        self._next_pts = packet.pts + round(ticks)
        return made

    def _packet(self, data: bytes) -> Packet:
        assert self._origin_pts is not None
        position = self._made * _FRAME_SAMPLES - _PRE_SKIP_SAMPLES
        self._made += 1
        pts = self._origin_pts + round(position * _TICKS_PER_SAMPLE)
        return Packet(Codec.OPUS, data, pts, pts, keyframe=True)

    def _begin(self) -> None:
        self._decoder = av.CodecContext.create("aac", "r")
        self._resampler = AudioResampler("flt", "stereo", _RATE, _FRAME_SAMPLES)
        self._encoder = av.CodecContext.create("libopus", "w")
        self._encoder.sample_rate = _RATE
        self._encoder.layout = "stereo"
        self._encoder.format = "flt"
        self._encoder.bit_rate = _BITS_PER_S
        self._encoder.time_base = Fraction(1, _RATE)
        self._encoder.options = {"frame_duration": "20", "application": "audio"}
        self._origin_pts = None
        self._next_pts = None
        self._made = 0
