"""Writes packets as MPEG-TS, each one whole and at once: nothing waits for another stream's packet.

Pure. The segmenter and the runners call it. Numbers in brackets are clauses of ISO/IEC 13818-1.

An access unit under 64 KiB says its length in the PES header, so a reader hands it on with its
last byte. A longer one cannot: the field has 16 bits, and a reader that goes by the field alone
has to wait for the next picture to know that this one is over. So we say its length once more, as
PES private data [2.4.3.7], which every demuxer skips and `TsDemuxer` reads.
"""

import struct
from functools import cache
from typing import Final

from trickle.media.annexb import starts_with_delimiter
from trickle.media.packets import CLOCK_HZ, Codec, Packet
from trickle.media.ts_tables import (
    AUDIO_PID,
    PAT_PID,
    PMT_PID,
    VIDEO_PID,
    ElementaryStream,
    pat_section,
    pmt_section,
)

TS_BYTES: Final = 188
PAYLOAD_BYTES: Final = 184
SYNC: Final = 0x47
STAMP_MASK: Final = (1 << 33) - 1

# Marks the private data as ours; four bytes of length follow.
LENGTH_MAGIC: Final = b"Penstock.len"

# The clock runs this far behind the stamps: what a decoder may buffer before it must show.
_PCR_LEAD: Final = CLOCK_HZ // 10
# A stream without video has no keyframe to hang its tables on.
_AUDIO_TABLES_EVERY: Final = CLOCK_HZ // 2
# How many packets are cut by one call into C; more only makes the cached formats longer.
_BLOCK: Final = 128

_H264_DELIMITER: Final = b"\0\0\0\1\x09\xf0"
_HEVC_DELIMITER: Final = b"\0\0\0\1\x46\x01\x50"
_VIDEO_ID: Final = 0xE0
_AAC_ID: Final = 0xC0
_PRIVATE_ID: Final = 0xBD


class TsMuxer:
    """One program with at most one video and one audio stream.

    Tables go out in front of every video keyframe, so whoever starts reading there has all he
    needs. Continuity counters run on for the life of the muxer.
    """

    def __init__(self, video: Codec | None, audio: Codec | None, *, opus_channels: int = 2) -> None:
        self.video = video
        self.audio = audio
        self._opus_channels = opus_channels
        self._version = 0
        self._counters = {PAT_PID: 0, PMT_PID: 0, VIDEO_PID: 0, AUDIO_PID: 0}
        self._pat = pat_section()
        self._pmt = self._program()
        self._tables_due_at: int | None = None

    def carry(self, video: Codec | None, audio: Codec | None, *, opus_channels: int = 2) -> bool:
        """Changes what the program holds, and says whether it did.

        The next `tables()` tell readers, with a new version.
        """
        if (video, audio, opus_channels) == (self.video, self.audio, self._opus_channels):
            return False
        self.video, self.audio, self._opus_channels = video, audio, opus_channels
        self._version = (self._version + 1) % 32
        self._pmt = self._program()
        return True

    def tables(self) -> bytes:
        """PAT and PMT, a packet each."""
        return self._table(PAT_PID, self._pat) + self._table(PMT_PID, self._pmt)

    def mux(self, packet: Packet) -> bytes:
        """Returns the packet as whole TS packets.

        Raises:
            ValueError: The program has no stream of that codec.
        """
        if packet.codec is self.video:
            return self._video(packet)
        if packet.codec is self.audio:
            return self._audio(packet)
        raise ValueError(f"the program carries {self.video} and {self.audio}, not {packet.codec}")

    def _program(self) -> bytes:
        streams = []
        if self.video is not None:
            streams.append(ElementaryStream(VIDEO_PID, self.video))
        if self.audio is not None:
            channels = self._opus_channels if self.audio is Codec.OPUS else 0
            streams.append(ElementaryStream(AUDIO_PID, self.audio, channels))
        return pmt_section(streams, version=self._version)

    def _video(self, packet: Packet) -> bytes:
        data = packet.data
        if not starts_with_delimiter(data, packet.codec):
            delimiter = _H264_DELIMITER if packet.codec is Codec.H264 else _HEVC_DELIMITER
            data = delimiter + data
        pes = _pes(_VIDEO_ID, data, packet.pts, packet.dts)
        media = self._packetise(VIDEO_PID, pes, _clock(packet.dts, random_access=packet.keyframe))
        return self.tables() + media if packet.keyframe else media

    def _audio(self, packet: Packet) -> bytes:
        if packet.codec is Codec.OPUS:
            size = len(packet.data)
            head = b"\x7f\xe0" + b"\xff" * (size // 255) + bytes((size % 255,))
            pes = _pes(_PRIVATE_ID, head + packet.data, packet.pts, packet.pts)
        else:
            pes = _pes(_AAC_ID, packet.data, packet.pts, packet.pts)
        if self.video is not None:
            return self._packetise(AUDIO_PID, pes, b"")
        media = self._packetise(AUDIO_PID, pes, _clock(packet.pts, random_access=True))
        due = self._tables_due_at
        if due is not None and due - _AUDIO_TABLES_EVERY <= packet.pts < due:
            return media
        self._tables_due_at = packet.pts + _AUDIO_TABLES_EVERY
        return self.tables() + media

    def _table(self, pid: int, section: bytes) -> bytes:
        counter = self._counters[pid]
        self._counters[pid] = (counter + 1) & 15
        head = struct.pack("!BHBB", SYNC, 0x4000 | pid, 0x10 | counter, 0)
        return (head + section).ljust(TS_BYTES, b"\xff")

    def _packetise(self, pid: int, pes: bytes, field: bytes) -> bytes:
        """Cuts a PES packet into TS packets; `field` opens the first one's adaptation field."""
        counter = self._counters[pid]
        size = len(pes)
        room = PAYLOAD_BYTES - (1 + len(field) if field else 0)
        taken = min(size, room)
        parts = [_packet(pid, pes[:taken], counter, field, starts=True)]
        counter = (counter + 1) & 15
        heads = _plain_heads(pid)
        while size - taken >= PAYLOAD_BYTES:
            count = min((size - taken) // PAYLOAD_BYTES, _BLOCK)
            block: list[bytes] = [b""] * (2 * count)
            block[::2] = heads[counter : counter + count]
            block[1::2] = _payloads(count).unpack_from(pes, taken)
            parts += block
            taken += count * PAYLOAD_BYTES
            counter = (counter + count) & 15
        if taken < size:
            parts.append(_packet(pid, pes[taken:], counter, b"", starts=False))
            counter = (counter + 1) & 15
        self._counters[pid] = counter
        return b"".join(parts)


def _packet(pid: int, payload: bytes, counter: int, field: bytes, *, starts: bool) -> bytes:
    """One TS packet [2.4.3.2], filled up by its adaptation field."""
    pid_bits = (0x4000 if starts else 0) | pid
    if len(payload) == PAYLOAD_BYTES:
        return struct.pack("!BHB", SYNC, pid_bits, 0x10 | counter) + payload
    length = PAYLOAD_BYTES - 1 - len(payload)
    # A field of length 0 is one byte of stuffing; a longer one begins with its flags.
    content = (field or b"\0"[:length]).ljust(length, b"\xff")
    return struct.pack("!BHBB", SYNC, pid_bits, 0x30 | counter, length) + content + payload


def _clock(stamp: int, *, random_access: bool) -> bytes:
    """The adaptation field [2.4.3.4] with a PCR, whose 27 MHz part we leave at zero."""
    base = (stamp - _PCR_LEAD) & STAMP_MASK
    return struct.pack(
        "!BIH", 0x50 if random_access else 0x10, base >> 1, ((base & 1) << 15) | 0x7E00
    )


def _pes(stream_id: int, data: bytes, pts: int, dts: int) -> bytes:
    """A PES packet [2.4.3.6] with its header."""
    flags = 0x80
    fields = _stamp(pts, 0x20)
    if pts != dts:
        flags = 0xC0
        fields = _stamp(pts, 0x30) + _stamp(dts, 0x10)
    length = 3 + len(fields) + len(data)
    if length > 0xFFFF:
        length = 0
        flags |= 0x01
        fields += b"\x8e" + LENGTH_MAGIC + length_mark(len(data))
    return (
        struct.pack("!IHBBB", 0x100 | stream_id, length, 0x84, flags, len(fields)) + fields + data
    )


def length_mark(length: int) -> bytes:
    """Four bytes of seven bits: with the top bits set they cannot look like a start code."""
    return bytes(0x80 | ((length >> shift) & 0x7F) for shift in (21, 14, 7, 0))


def _stamp(ticks: int, mark: int) -> bytes:
    ticks &= STAMP_MASK
    return struct.pack(
        "!BHH",
        mark | ((ticks >> 29) & 0x0E) | 1,
        ((ticks >> 14) & 0xFFFE) | 1,
        ((ticks << 1) & 0xFFFE) | 1,
    )


@cache
def _plain_heads(pid: int) -> tuple[bytes, ...]:
    """Headers of packets that only go on, by continuity counter, long enough for a block."""
    return tuple(struct.pack("!BHB", SYNC, pid, 0x10 | (n & 15)) for n in range(16 + _BLOCK))


@cache
def _payloads(count: int) -> struct.Struct:
    return struct.Struct(f"{PAYLOAD_BYTES}s" * count)
