"""The two tables of an MPEG-TS program: which streams it has (PMT) and where that is said (PAT).

Pure: sections in, values out, and the other way round. `ts_mux` writes them, `ts_demux` reads them.
Numbers in brackets are clauses of ISO/IEC 13818-1.
"""

import struct
from dataclasses import dataclass
from typing import Final

from trickle.media.packets import Codec

PAT_PID: Final = 0x0000
PMT_PID: Final = 0x1000
VIDEO_PID: Final = 0x0100
AUDIO_PID: Final = 0x0101

_PROGRAM: Final = 1
_PAT_TABLE: Final = 0x00
_PMT_TABLE: Final = 0x02
_NO_PID: Final = 0x1FFF

_STREAM_TYPES: Final = {Codec.H264: 0x1B, Codec.HEVC: 0x24, Codec.AAC: 0x0F, Codec.OPUS: 0x06}
_CODECS: Final = {0x1B: Codec.H264, 0x24: Codec.HEVC, 0x0F: Codec.AAC}
_PRIVATE_TYPE: Final = 0x06
_REGISTRATION: Final = 0x05
_EXTENSION: Final = 0x7F
_OPUS_EXTENSION: Final = 0x80
_REGISTERED: Final = {b"Opus": Codec.OPUS, b"HEVC": Codec.HEVC}

# A PMT of a program we can carry is a tenth of this.
_SECTION_BYTES_MAX: Final = 1024

_HEAD_BYTES: Final = 8  # a section's fields before its body
_CRC_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class ElementaryStream:
    """One row of a PMT. `channels` is 0 where the table does not say."""

    pid: int
    codec: Codec
    channels: int = 0


def _crc_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = ((value << 1) ^ (0x04C11DB7 if value & 0x8000_0000 else 0)) & 0xFFFF_FFFF
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32_mpeg(data: bytes) -> int:
    """The CRC of [Annex A]: most significant bit first, nothing reflected. Zero over itself."""
    value = 0xFFFF_FFFF
    for byte in data:
        value = ((value << 8) & 0xFFFF_FFFF) ^ _CRC_TABLE[(value >> 24) ^ byte]
    return value


def pat_section() -> bytes:
    """A PAT [2.4.4.3] that names our one program."""
    return _section(_PAT_TABLE, struct.pack("!HH", _PROGRAM, 0xE000 | PMT_PID), version=0)


def pmt_section(streams: list[ElementaryStream], *, version: int) -> bytes:
    """A PMT [2.4.4.8]. The first stream's packets carry the clock."""
    pcr_pid = streams[0].pid if streams else _NO_PID
    rows = b"".join(_row(stream) for stream in streams)
    body = struct.pack("!HH", 0xE000 | pcr_pid, 0xF000) + rows
    return _section(_PMT_TABLE, body, version=version)


class TableReader:
    """Joins the TS packets of PAT and PMT into sections, and reads those that are new.

    Attributes:
        pmt_pid: Where the PMT is, once a PAT has said so.
        pats: How many PATs have come, new or not.
    """

    def __init__(self) -> None:
        self.pmt_pid: int | None = None
        self.pats = 0
        self._begun: dict[int, bytes] = {}
        self._known: dict[int, bytes] = {}

    def feed(self, pid: int, packet: bytes) -> list[ElementaryStream] | None:
        """Takes a TS packet of a table; returns the program's streams if they are news."""
        section = self._join(pid, packet)
        if section is None or self._known.get(pid) == section:
            return None
        self._known[pid] = section
        if pid == PAT_PID:
            self.pmt_pid = parse_pat(section) or self.pmt_pid
            return None
        return parse_pmt(section)

    def _join(self, pid: int, packet: bytes) -> bytes | None:
        """The section, if this packet completes one."""
        flags = packet[3]
        if packet[1] & 0x80 or flags & 0xC0 or not flags & 0x10:
            return None  # damaged, scrambled, or without payload
        payload = packet[5 + packet[4] :] if flags & 0x20 else packet[4:]
        if packet[1] & 0x40:
            section = payload[1 + payload[0] :] if payload else b""
            self.pats += pid == PAT_PID
        else:
            begun = self._begun.pop(pid, b"")
            section = begun + payload if begun else b""
        self._begun.pop(pid, None)
        if len(section) < 3 or len(section) < section_bytes(section):
            if 0 < len(section) <= _SECTION_BYTES_MAX:
                self._begun[pid] = section
            return None
        return section[: section_bytes(section)]


def section_bytes(start: bytes) -> int:
    """How long the section is that begins so; at least 3 bytes are needed."""
    return 3 + (((start[1] & 0x0F) << 8) | start[2])


def parse_pat(section: bytes) -> int | None:
    """The PID of the first program's PMT; None if this is no sound PAT."""
    body = _body(section, _PAT_TABLE)
    if body is None:
        return None
    for at in range(0, len(body) - 3, 4):
        program, pid = struct.unpack_from("!HH", body, at)
        if program:  # program 0 is the network's own table
            return int(pid) & 0x1FFF
    return None


def parse_pmt(section: bytes) -> list[ElementaryStream] | None:
    """The streams of a program that we can carry; None if this is no sound PMT."""
    body = _body(section, _PMT_TABLE)
    if body is None or len(body) < 4:
        return None
    streams = []
    at = 4 + (((body[2] & 0x0F) << 8) | body[3])
    while at + 5 <= len(body):
        kind = body[at]
        pid = ((body[at + 1] & 0x1F) << 8) | body[at + 2]
        size = ((body[at + 3] & 0x0F) << 8) | body[at + 4]
        stream = _recognise(pid, kind, body[at + 5 : at + 5 + size])
        if stream is not None:
            streams.append(stream)
        at += 5 + size
    return streams


def _section(table: int, body: bytes, *, version: int) -> bytes:
    size = len(body) + 5 + _CRC_BYTES
    head = struct.pack(
        "!BHHBBB", table, 0xB000 | size, _PROGRAM, 0xC1 | ((version & 0x1F) << 1), 0, 0
    )
    section = head + body
    return section + struct.pack("!I", crc32_mpeg(section))


def _row(stream: ElementaryStream) -> bytes:
    descriptors = b""
    if stream.codec is Codec.OPUS:
        descriptors = struct.pack("!BB4s", _REGISTRATION, 4, b"Opus")
        descriptors += struct.pack("!BBBB", _EXTENSION, 2, _OPUS_EXTENSION, stream.channels or 2)
    return (
        struct.pack(
            "!BHH",
            _STREAM_TYPES[stream.codec],
            0xE000 | stream.pid,
            0xF000 | len(descriptors),
        )
        + descriptors
    )


def _body(section: bytes, table: int) -> bytes | None:
    if len(section) < _HEAD_BYTES + _CRC_BYTES or section[0] != table:
        return None
    if not section[5] & 1:  # announces the next table, which is not in force yet
        return None
    if crc32_mpeg(section):
        return None
    return section[_HEAD_BYTES:-_CRC_BYTES]


def _recognise(pid: int, kind: int, descriptors: bytes) -> ElementaryStream | None:
    if kind in _CODECS:
        return ElementaryStream(pid, _CODECS[kind])
    if kind != _PRIVATE_TYPE:
        return None
    codec = None
    channels = 0
    at = 0
    while at + 2 <= len(descriptors):
        tag, size = descriptors[at], descriptors[at + 1]
        content = descriptors[at + 2 : at + 2 + size]
        if tag == _REGISTRATION:
            codec = _REGISTERED.get(content[:4], codec)
        elif tag == _EXTENSION and content[:1] == bytes((_OPUS_EXTENSION,)) and size >= 2:
            channels = content[1] if content[1] <= 8 else 0
        at += 2 + size
    return ElementaryStream(pid, codec, channels) if codec is not None else None
