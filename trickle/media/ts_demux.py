"""Reads MPEG-TS: bytes in pieces of any size in, whole packets out, each as soon as it is complete.

Pure. The runners and the gateway call it, on streams of ours, of FFmpeg and of hardware. It takes
the first video and the first audio stream of the first program that it can carry, and passes over
everything else. Noise costs the packets it hit and nothing more.

When a PES packet is over:
* its length field says so, or the mark that `TsMuxer` leaves in long ones (`ts_mux`);
* else the next one begins;
* or, where a stream has shown often enough that it stuffs the last TS packet of every PES packet
  and no other (as FFmpeg does), at the stuffing. That saves one picture's time of delay.
"""

from dataclasses import dataclass, field
from functools import cache
from struct import Struct
from typing import Final

from trickle.media.annexb import is_keyframe
from trickle.media.packets import Codec, Packet
from trickle.media.stamps import Unwrapper
from trickle.media.ts_audio import AacSplitter, split_opus
from trickle.media.ts_mux import PAYLOAD_BYTES, SYNC, TS_BYTES
from trickle.media.ts_pes import is_pes, parse_head, pes_bytes
from trickle.media.ts_tables import PAT_PID, ElementaryStream, TableReader

# An intra picture of 4K at any rate that is streamed live is smaller.
PES_BYTES_MAX: Final = 8 * 1024 * 1024
# Units that must have ended in stuffing before we believe that stuffing is an end.
_HINT_TRIALS: Final = 8
# Sync bytes in a row, a packet apart, that make us believe we are back in step.
_RESYNC_PACKETS: Final = 3
# Packets taken at once where nothing but payload is expected, and where trying begins to pay.
_BLOCK: Final = 128
_BLOCK_MIN: Final = 3

_SYNCS: Final = bytes((SYNC,)) * _BLOCK
_PLAIN_FLAGS: Final = bytes(0x10 | (n & 15) for n in range(16 + _BLOCK))


@dataclass(slots=True)
class TsCounters:
    """What a demuxer had to put up with."""

    resyncs: int = 0
    discontinuities: int = 0
    units_dropped: int = 0


@dataclass(slots=True)
class _Track:
    """One elementary stream, and the PES packet of it that is being joined."""

    stream: ElementaryStream
    high: bytes
    low: bytes
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    total: int | None = None
    counter: int = -1
    tables: int = 0  # how many PATs had been seen at the last packet
    stuffed: bool = False
    stuffed_ends: int = 0
    hinted: bool = False
    aac: AacSplitter = field(default_factory=AacSplitter)

    def clear(self) -> None:
        self.parts = []
        self.size = 0
        self.total = None
        self.stuffed = False


class TsDemuxer:
    """Feed it bytes; it returns the packets they completed, in the order of their last bytes.

    Attributes:
        video: The video codec, once the tables have named it.
        audio: Likewise.
        audio_channels: As the tables say; 0 where they do not.
        counters: Losses so far.
    """

    def __init__(self) -> None:
        self.video: Codec | None = None
        self.audio: Codec | None = None
        self.audio_channels = 0
        self.counters = TsCounters()
        self._rest = b""
        self._in_step = True
        self._tracks: dict[int, _Track] = {}
        self._tables = TableReader()
        self._clock = Unwrapper(33)
        self._ready: list[Packet] = []

    def feed(self, data: bytes) -> list[Packet]:
        """Takes bytes as they come and returns the packets that are now whole."""
        buffer = self._rest + data if self._rest else data
        at = 0
        end = len(buffer)
        tracks = self._tracks
        while end - at >= TS_BYTES:
            if not self._in_step or buffer[at] != SYNC:
                at, found = self._find_step(buffer, at)
                if not found:
                    break
            pid = ((buffer[at + 1] & 0x1F) << 8) | buffer[at + 2]
            track = tracks.get(pid)
            if track is None:
                if pid in (PAT_PID, self._tables.pmt_pid):
                    streams = self._tables.feed(pid, buffer[at : at + TS_BYTES])
                    if streams is not None:
                        self._program(streams)
                at += TS_BYTES
                continue
            self._packet(track, buffer, at)
            at += TS_BYTES
            if track.total is not None and end - at >= TS_BYTES * _BLOCK_MIN:
                at = self._block(track, buffer, at, end)
        self._rest = buffer[at:]
        return self._take()

    def flush(self) -> list[Packet]:
        """Returns what is whole but was waiting to be sure. Call at the end of a segment or stream.

        Feeding may go on afterwards.
        """
        for track in self._tracks.values():
            if track.size and track.total is None:
                self._emit(track)
            track.clear()
        return self._take()

    def _take(self) -> list[Packet]:
        ready = self._ready
        if ready:
            self._ready = []
            return ready
        return []

    def _find_step(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """Looks for sync bytes a packet apart; (where to go on, whether they were found)."""
        if self._in_step:
            self._in_step = False
            self.counters.resyncs += 1
        reach = TS_BYTES * (_RESYNC_PACKETS - 1)
        while True:
            at = buffer.find(SYNC, at)
            if at < 0:
                return len(buffer), False
            if at + reach >= len(buffer):
                return at, False
            if buffer[at + TS_BYTES] == SYNC and buffer[at + reach] == SYNC:
                self._in_step = True
                return at, True
            at += 1

    def _packet(self, track: _Track, buffer: bytes, at: int) -> None:
        """Takes one TS packet of a stream, whatever it holds."""
        second, fourth = buffer[at + 1], buffer[at + 3]
        if second & 0x80 or fourth & 0xC0 or not fourth & 0x10:
            return  # damaged, scrambled, or without payload
        start = at + 4
        stuffed = False
        if fourth & 0x20:
            start += 1 + buffer[start]
            if start >= at + TS_BYTES:
                return
            stuffed = _is_stuffed(buffer, at + 4)
        counter = fourth & 15
        gap = track.counter >= 0 and counter != (track.counter + 1) & 15
        same_tables = self._tables.pats == track.tables
        if gap and counter == track.counter and not second & 0x40 and same_tables:
            return  # sent twice, which the standard allows
        track.counter = counter
        track.tables = self._tables.pats
        payload = buffer[start : at + TS_BYTES]
        if second & 0x40:
            self._begin(track, payload, broken=gap and same_tables)
        elif gap:
            self._drop(track)
            self.counters.discontinuities += 1
            return
        elif track.size:
            if track.stuffed:  # so stuffing is no end in this stream
                track.stuffed = False
                track.stuffed_ends = -1
            track.parts.append(payload)
            track.size += len(payload)
        elif track.hinted:  # we took stuffing for an end, and it was none
            track.hinted = False
            track.stuffed_ends = -1
            self.counters.units_dropped += 1
            return
        else:
            return
        self._end_if_whole(track, stuffed=stuffed)

    def _begin(self, track: _Track, payload: bytes, *, broken: bool) -> None:
        """A PES packet begins, so one of unknown length before it is over."""
        if broken:
            self.counters.discontinuities += 1
        if track.size:
            # After new tables a jump of the counter is a splice between two muxers, not a loss.
            if track.total is None and not broken:
                if track.stuffed and track.stuffed_ends >= 0:
                    track.stuffed_ends += 1
                self._emit(track)
            else:
                self.counters.units_dropped += 1
        track.clear()
        track.hinted = False
        if not is_pes(payload):
            self.counters.units_dropped += 1
            return
        track.total = pes_bytes(payload)
        track.parts = [payload]
        track.size = len(payload)

    def _end_if_whole(self, track: _Track, *, stuffed: bool) -> None:
        if track.total is not None:
            if track.size >= track.total:
                self._emit(track)
                track.clear()
            elif track.total > PES_BYTES_MAX:
                self._drop(track)
        elif stuffed:
            if track.stuffed_ends >= _HINT_TRIALS:
                self._emit(track)
                track.clear()
                track.hinted = True
            else:
                track.stuffed = True
        elif track.size > PES_BYTES_MAX:
            self._drop(track)

    def _drop(self, track: _Track) -> None:
        if track.size:
            self.counters.units_dropped += 1
        track.clear()

    def _block(self, track: _Track, buffer: bytes, at: int, end: int) -> int:
        """Takes as many plain packets of one stream as lie in a row, in a few calls into C.

        `_packet` would do the same one by one; here four comparisons check the headers of all.
        """
        while track.total is not None:
            count = min((track.total - track.size) // PAYLOAD_BYTES, (end - at) // TS_BYTES, _BLOCK)
            stop = at + count * TS_BYTES
            counter = (track.counter + 1) & 15
            if (
                count < _BLOCK_MIN
                or buffer[at + 2 : stop : TS_BYTES] != track.low[:count]
                or buffer[at + 1 : stop : TS_BYTES] != track.high[:count]
                or buffer[at + 3 : stop : TS_BYTES] != _PLAIN_FLAGS[counter : counter + count]
                or buffer[at:stop:TS_BYTES] != _SYNCS[:count]
                or self._tables.pats != track.tables
            ):
                break
            track.parts += _payloads(count).unpack_from(buffer, at)
            track.size += count * PAYLOAD_BYTES
            track.counter = (counter + count - 1) & 15
            at = stop
            self._end_if_whole(track, stuffed=False)
        return at

    def _emit(self, track: _Track) -> None:
        """Makes packets of a whole PES packet."""
        data = b"".join(track.parts)
        head = parse_head(data)
        if head is None or head.pts is None or head.dts is None:
            self.counters.units_dropped += 1
            return
        dts = self._clock.unwrap(head.dts)
        pts = self._clock.near(head.pts, dts)
        payload = data[head.payload : track.total]
        codec = track.stream.codec
        if codec.is_video:
            if payload:
                keyframe = is_keyframe(payload, codec)
                self._ready.append(Packet(codec, payload, pts, dts, keyframe))
            return
        frames = track.aac.split(payload, pts) if codec is Codec.AAC else split_opus(payload, pts)
        for frame, at in frames:
            self._ready.append(Packet(codec, frame, at, at, keyframe=True))

    def _program(self, streams: list[ElementaryStream]) -> None:
        """Keeps the streams that stay, drops those that have gone, begins the new ones."""
        video = next((stream for stream in streams if stream.codec.is_video), None)
        audio = next((stream for stream in streams if not stream.codec.is_video), None)
        chosen = {stream.pid: stream for stream in (video, audio) if stream is not None}
        for pid in list(self._tracks):
            kept = chosen.get(pid)
            if kept is None or kept.codec is not self._tracks[pid].stream.codec:
                del self._tracks[pid]
        for pid, stream in chosen.items():
            if pid in self._tracks:
                self._tracks[pid].stream = stream
            elif pid not in (PAT_PID, self._tables.pmt_pid):
                self._tracks[pid] = _Track(
                    stream, bytes((pid >> 8,)) * _BLOCK, bytes((pid & 0xFF,)) * _BLOCK
                )
        self.video = video.codec if video else None
        self.audio = audio.codec if audio else None
        self.audio_channels = audio.channels if audio else 0


def _is_stuffed(buffer: bytes, at: int) -> bool:
    """Whether the adaptation field at `at` is longer than what it says, to fill up the packet."""
    length = buffer[at]
    if length == 0:
        return True
    flags = buffer[at + 1]
    if flags & 0x03:  # private data or an extension: of a length that is not worth finding
        return False
    needed = 1 + 6 * bool(flags & 0x10) + 6 * bool(flags & 0x08) + bool(flags & 0x04)
    return length > needed


@cache
def _payloads(count: int) -> Struct:
    return Struct(f"4x{PAYLOAD_BYTES}s" * count)
