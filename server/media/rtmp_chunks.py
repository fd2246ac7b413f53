"""RTMP chunk stream: bytes in, whole messages out, and messages in, bytes out.

Pure, and no more than the chunks: what messages mean is `server.media.rtmp_session`'s business.
Section numbers refer to Adobe's RTMP specification 1.0 (December 2012).

Every byte of payload is copied out once, when it comes, and once more when its message is whole:
what waits for more bytes is never more than part of a header.
"""

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from server.media.errors import RtmpProtocolError

CHUNK_BYTES_DEFAULT: Final = 128
# Larger ones gain nothing, and a writer of ours interleaves acknowledgements in time.
CHUNK_BYTES_OUT: Final = 65_536
CHUNK_BYTES_MAX: Final = 0xFF_FFFF  # 5.4.1: a message is no longer than this anyway
# An intra picture of 4K at any rate that is streamed live is smaller.
MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
# Unfinished messages of one connection, over all its chunk streams.
PENDING_BYTES_MAX: Final = 12 * 1024 * 1024
# Clients use four or five.
CHUNK_STREAMS_MAX: Final = 32

SET_CHUNK_SIZE: Final = 1
ABORT: Final = 2

_EXTENDED: Final = 0xFF_FFFF
_HEADER_BYTES: Final = (11, 7, 3, 0)
_TIME_MASK: Final = 0xFFFF_FFFF
# Chunks taken at once where many small ones follow each other, and where trying begins to pay.
_BLOCK: Final = 64
_BLOCK_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class Message:
    """One RTMP message, its chunks joined. The timestamp is of 32 bits and wraps."""

    kind: int
    stream: int
    timestamp_ms: int
    body: bytes


@dataclass(slots=True)
class _ChunkStream:
    """What a chunk header leaves out, it takes from the one before it here (5.3.1.2)."""

    number: int
    kind: int = 0
    stream: int = 0
    timestamp_ms: int = 0
    step_ms: int = 0  # the timestamp field of the last header that had one
    extended: bool = False
    size: int = 0
    parts: list[bytes] = field(default_factory=list)
    missing: int = 0  # bytes of the message begun; 0 between messages
    begun: bool = False


class ChunkReader:
    """Joins chunks into messages. Feed it bytes in pieces of any size.

    It follows Set Chunk Size and Abort itself, since both change how the next byte is read, and
    reports them like any message.
    """

    def __init__(self) -> None:
        self.chunk_bytes = CHUNK_BYTES_DEFAULT
        self._head = b""  # the beginning of a header whose end has not come
        self._streams: dict[int, _ChunkStream] = {}
        self._current: _ChunkStream | None = None  # whose payload comes next
        self._left = 0  # bytes of the current chunk that are to come
        self._pending = 0
        self._ready: list[Message] = []
        self._broken = False

    def feed(self, data: bytes) -> list[Message]:
        """Takes bytes from the network and returns the messages they completed.

        Raises:
            RtmpProtocolError: The peer broke the protocol; the connection is done for.
        """
        if self._broken:
            raise RtmpProtocolError("fed again after an error")
        self._broken = True  # unless we come to the end
        if self._head:
            data = self._head + data
            self._head = b""
        at = 0
        end = len(data)
        while True:
            if self._current is None:
                payload_at = self._header(data, at, end)
                if payload_at < 0:
                    self._head = data[at:]
                    break
                at = payload_at
            else:
                at = self._payload(self._current, data, at, end)
                if self._left:
                    break
        self._broken = False
        ready = self._ready
        if ready:
            self._ready = []
            return ready
        return []

    def _header(self, data: bytes, at: int, end: int) -> int:
        """Reads a chunk header; returns where its payload begins, or -1 if it is not all there."""
        if at >= end:
            return -1
        form = data[at] >> 6
        number = data[at] & 0x3F
        at += 1
        if number < 2:  # 5.3.1.1: the number follows, in one byte or two
            more = number + 1
            if end - at < more:
                return -1
            number = 64 + data[at] + (256 * data[at + 1] if more == 2 else 0)
            at += more
        stream = self._streams.get(number)
        if stream is None:
            stream = self._open(number, form)
        if form != 3 and stream.begun:
            raise RtmpProtocolError(f"a message began inside another on chunk stream {number}")
        size = _HEADER_BYTES[form]
        if end - at < size:
            return -1
        fields = data[at : at + size]
        at += size
        step_ms = stream.step_ms
        extended = stream.extended
        if form != 3:
            step_ms = (fields[0] << 16) | (fields[1] << 8) | fields[2]
            extended = step_ms == _EXTENDED
        if extended:
            if end - at < 4:
                return -1
            value = int.from_bytes(data[at : at + 4], "big")
            if form != 3:
                step_ms = value
                at += 4
            elif value in (step_ms, stream.timestamp_ms):
                # 5.3.1.3 wants it repeated here, and some clients leave it out.
                at += 4
        if form != 3 or not stream.begun:
            self._begin(stream, form, fields, step_ms, extended=extended)
        self._current = stream
        self._left = min(stream.missing, self.chunk_bytes)
        return at

    def _open(self, number: int, form: int) -> _ChunkStream:
        # librtmp pings with a header of form 1 on a fresh chunk stream.
        if form > 1:
            raise RtmpProtocolError(f"chunk stream {number} began without a full header")
        if len(self._streams) >= CHUNK_STREAMS_MAX:
            raise RtmpProtocolError(f"more than {CHUNK_STREAMS_MAX} chunk streams")
        stream = self._streams[number] = _ChunkStream(number)
        return stream

    def _begin(
        self, stream: _ChunkStream, form: int, fields: bytes, step_ms: int, *, extended: bool
    ) -> None:
        """Takes over what the header says of the message that begins with it."""
        if form < 2:
            stream.size = int.from_bytes(fields[3:6], "big")
            stream.kind = fields[6]
            if stream.size > MESSAGE_BYTES_MAX:
                raise RtmpProtocolError(
                    f"a message of {stream.size} bytes is over the limit of {MESSAGE_BYTES_MAX}"
                )
        if form == 0:
            stream.stream = int.from_bytes(fields[7:11], "little")
            stream.timestamp_ms = step_ms
        else:
            stream.timestamp_ms = (stream.timestamp_ms + step_ms) & _TIME_MASK
        stream.step_ms = step_ms
        stream.extended = extended
        stream.missing = stream.size
        stream.begun = True

    def _payload(self, stream: _ChunkStream, data: bytes, at: int, end: int) -> int:
        """Takes what there is of the current chunk's payload; returns where to go on."""
        part = data[at : at + self._left] if at or end > self._left else data
        taken = len(part)
        at += taken
        self._left -= taken
        stream.missing -= taken
        if stream.missing:
            self._keep(stream, part)
            if not self._left:
                self._current = None
                if end - at > self.chunk_bytes * _BLOCK_MIN and not stream.extended:
                    at = self._block(stream, data, at, end)
            return at
        self._current = None
        self._finish(stream, part)
        return at

    def _keep(self, stream: _ChunkStream, part: bytes) -> None:
        stream.parts.append(part)
        self._pending += len(part)
        if self._pending > PENDING_BYTES_MAX:
            raise RtmpProtocolError(f"more than {PENDING_BYTES_MAX} bytes of unfinished messages")

    def _block(self, stream: _ChunkStream, data: bytes, at: int, end: int) -> int:
        """Takes as many whole chunks that continue one message as lie in a row.

        `_header` and `_payload` would do the same one by one, which is dear where the peer leaves
        the chunk size at 128 bytes.
        """
        if stream.number > 0x3F:
            return at
        stride = self.chunk_bytes + 1
        while True:
            # The last chunk of a message is left to `_payload`, which finishes it.
            count = min((end - at) // stride, (stream.missing - 1) // self.chunk_bytes, _BLOCK)
            if count < _BLOCK_MIN:
                return at
            stop = at + count * stride
            if data[at:stop:stride] != bytes((0xC0 | stream.number,)) * count:
                return at
            payloads = _payloads(self.chunk_bytes, count).unpack_from(data, at)
            stream.parts += payloads
            taken = count * self.chunk_bytes
            stream.missing -= taken
            self._pending += taken
            if self._pending > PENDING_BYTES_MAX:
                raise RtmpProtocolError(
                    f"more than {PENDING_BYTES_MAX} bytes of unfinished messages"
                )
            at = stop

    def _finish(self, stream: _ChunkStream, last: bytes) -> None:
        body = last
        if stream.parts:
            self._pending -= stream.size - len(last)
            stream.parts.append(last)
            body = b"".join(stream.parts)
            stream.parts = []
        stream.begun = False
        message = Message(stream.kind, stream.stream, stream.timestamp_ms, body)
        if stream.kind in (SET_CHUNK_SIZE, ABORT):
            self._control(message)
        self._ready.append(message)

    def _control(self, message: Message) -> None:
        if len(message.body) < 4:
            raise RtmpProtocolError(f"a control message of {len(message.body)} bytes")
        value = int.from_bytes(message.body[:4], "big")
        if message.kind == SET_CHUNK_SIZE:
            if not 1 <= value <= CHUNK_BYTES_MAX:
                raise RtmpProtocolError(f"a chunk size of {value} bytes")
            self.chunk_bytes = value
        elif message.kind == ABORT:
            aborted = self._streams.get(value)
            if aborted is not None:
                self._pending -= sum(len(part) for part in aborted.parts)
                aborted.parts = []
                aborted.missing = 0
                aborted.begun = False


class ChunkWriter:
    """Writes messages as chunks, each with a full header: we send few, and all of them small."""

    def __init__(self) -> None:
        self.chunk_bytes = CHUNK_BYTES_DEFAULT

    def write(self, chunk_stream: int, message: Message) -> bytes:
        """Returns the message as chunks on a chunk stream from 2 to 63."""
        assert 2 <= chunk_stream <= 0x3F
        time_ms = message.timestamp_ms
        extension = struct.pack(">I", time_ms) if time_ms >= _EXTENDED else b""
        parts = [
            bytes((chunk_stream,)),
            min(time_ms, _EXTENDED).to_bytes(3, "big"),
            len(message.body).to_bytes(3, "big"),
            bytes((message.kind,)),
            message.stream.to_bytes(4, "little"),
            extension,
            message.body[: self.chunk_bytes],
        ]
        for at in range(self.chunk_bytes, len(message.body), self.chunk_bytes):
            parts += [
                bytes((0xC0 | chunk_stream,)),
                extension,
                message.body[at : at + self.chunk_bytes],
            ]
        return b"".join(parts)


@lru_cache(maxsize=256)  # chunk sizes come from the peer
def _payloads(size: int, count: int) -> struct.Struct:
    return struct.Struct(f"x{size}s" * count)
