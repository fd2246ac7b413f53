"""Numbers about a live stream, for a person to look at. Pure: `now` is an argument."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from trickle.media.annexb import parameter_sets, picture_size
from trickle.media.packets import Codec, Packet

# Long enough to smooth a group of pictures, short enough that a stall shows while one looks.
WINDOW_S: Final = 2.0
# Arrivals are counted together within this time, so a window is a few dozen entries at any rate.
_BUCKET_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """How a stream does. `fps` and `bitrate_bps` are over two seconds, and fall when it stalls."""

    frames: int
    fps: float
    width: int | None
    height: int | None
    video: Codec | None
    audio: Codec | None
    bitrate_bps: int
    last_packet_at: float | None
    keyframes: int


class _Bucket:
    __slots__ = ("at", "frames", "size")

    def __init__(self, at: float) -> None:
        self.at = at
        self.frames = 0
        self.size = 0


class StreamMeter:
    """Counts packets as they pass."""

    def __init__(self) -> None:
        self.frames = 0
        self.keyframes = 0
        self.video: Codec | None = None
        self.audio: Codec | None = None
        self.size: tuple[int, int] | None = None
        self.last_packet_at: float | None = None
        self._sets: tuple[bytes, ...] = ()
        self._buckets: deque[_Bucket] = deque()

    def begin(self) -> None:
        """Another publisher: it need not bring what the last one did."""
        self.video = self.audio = None
        self._buckets.clear()

    def count(self, packet: Packet, now: float) -> None:
        buckets = self._buckets
        bucket = buckets[-1] if buckets else None
        if bucket is None or now - bucket.at >= _BUCKET_S:
            bucket = _Bucket(now)
            buckets.append(bucket)
            self._prune(now)
        bucket.size += len(packet.data)
        self.last_packet_at = now
        if not packet.codec.is_video:
            self.audio = packet.codec
            return
        self.video = packet.codec
        self.frames += 1
        bucket.frames += 1
        if packet.keyframe:
            self.keyframes += 1
            self._look_at(packet)

    def stats(self, now: float) -> StreamStats:
        self._prune(now)
        frames = sum(bucket.frames for bucket in self._buckets)
        size = sum(bucket.size for bucket in self._buckets)
        span_s = min(WINDOW_S, max(now - self._buckets[0].at, _BUCKET_S)) if self._buckets else 0.0
        return StreamStats(
            frames=self.frames,
            fps=frames / span_s if span_s else 0.0,
            width=self.size[0] if self.size else None,
            height=self.size[1] if self.size else None,
            video=self.video,
            audio=self.audio,
            bitrate_bps=round(size * 8 / span_s) if span_s else 0,
            last_packet_at=self.last_packet_at,
            keyframes=self.keyframes,
        )

    def _prune(self, now: float) -> None:
        while self._buckets and now - self._buckets[0].at >= WINDOW_S:
            self._buckets.popleft()

    def _look_at(self, packet: Packet) -> None:
        """Reads the picture's size, if the parameter sets are not those already read."""
        sets = parameter_sets(packet.data, packet.codec)
        if sets and sets != self._sets:
            self._sets = sets
            self.size = picture_size(packet.data, packet.codec)
