"""The wire between a process and its own child: messages over a socketpair.

A frame is four bytes of length, big-endian, and a msgpack map. `LinkReader` is the whole of
parsing, without I/O. `AsyncLink` is for an event loop, `BlockingLink` for a thread. The end of
the link is news too: it means that the other process is gone, however it went.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Final, Self

import msgpack

from runners.errors import LinkError
from runners.messages import Message, from_map, to_map

_LENGTH: Final = struct.Struct(">I")

# The largest honest message is a catalog with the schemas of every pipeline, some 40 KiB.
MAX_MESSAGE_BYTES: Final = 1 << 20

_RECEIVE_BYTES: Final = 1 << 16

# What may wait for a child that does not read: it is stuck, and its heartbeat will say so.
_MAX_UNSENT_BYTES: Final = 4 * MAX_MESSAGE_BYTES


def pair() -> tuple[socket.socket, socket.socket]:
    """Returns both ends of a new link; neither is inherited unless passed on by number."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def encode(message: Message) -> bytes:
    """Returns the bytes of one message.

    Raises:
        LinkError: It is larger than the other end will take.
    """
    body: bytes = msgpack.packb(to_map(message))
    if len(body) > MAX_MESSAGE_BYTES:
        raise LinkError(f"a {type(message).__name__} of {len(body)} bytes is over the limit")
    return _LENGTH.pack(len(body)) + body


class LinkReader:
    """Takes bytes as they come and returns the messages that they complete."""

    def __init__(self, *, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._buffer = bytearray()
        self._limit_bytes = limit_bytes

    def feed(self, data: bytes) -> list[Message]:
        """Returns the messages that end in `data`.

        Raises:
            LinkError: The bytes are not a link's. There is no way to find the next message.
        """
        self._buffer += data
        messages = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > self._limit_bytes:
                raise LinkError(f"a message of {length} bytes is over the limit")
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(from_map(_unpacked(self._buffer[start + _LENGTH.size : end])))
            start = end
        del self._buffer[:start]
        return messages


def _unpacked(body: bytearray) -> object:
    try:
        return msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise LinkError(f"not msgpack: {error}") from error


class BlockingLink:
    """One end of a link, for threads: any may send, one receives."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self._socket = sock
        self._reader = LinkReader()
        self._received: list[Message] = []
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def has_received(self) -> bool:
        """Whether `receive` would return at once, whatever the socket has."""
        return bool(self._received)

    def send(self, message: Message) -> bool:
        """Sends a message and says whether the other end was still there."""
        data = encode(message)
        with self._sending:
            try:
                self._socket.sendall(data)
            except OSError:
                return False
        return True

    def receive(self) -> Message | None:
        """Waits for the next message; None when the other end is gone.

        Raises:
            LinkError: What came is no message.
        """
        while not self._received:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except OSError:
                return None
            if not data:
                return None
            self._received = self._reader.feed(data)[::-1]
        return self._received.pop()

    def end(self) -> None:
        """Ends the link; a thread that waits in `receive` gets None. Any thread may."""
        with contextlib.suppress(OSError):  # the other end was first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the link for good, once no thread waits in `receive` any more."""
        self.end()
        self._socket.close()


class AsyncLink:
    """One end of a link, for an event loop. Iterating ends when the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = LinkReader()
        self._received: list[Message] = []

    @classmethod
    async def over(cls, sock: socket.socket) -> Self:
        """Takes `sock` over."""
        sock.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer)

    def send(self, message: Message) -> None:
        """Sends without waiting. Nothing happens where the other end is gone.

        Raises:
            LinkError: The other end has stopped reading.
        """
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            raise LinkError("the other end of the link does not read")
        self._writer.write(encode(message))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._received:
            try:
                data = await self._reader.read(_RECEIVE_BYTES)
            except OSError:
                data = b""
            if not data:
                raise StopAsyncIteration
            self._received = self._parser.feed(data)[::-1]
        return self._received.pop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):  # the other end was first
            await self._writer.wait_closed()
