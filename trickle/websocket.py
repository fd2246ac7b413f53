"""WebSocket frames (RFC 6455), as far as a server that only talks needs them. No sockets.

`trickle.streaming` opens one for browsers that read a channel. What they send is not wanted: pings
are answered, a close is answered, anything else is passed over.
"""

import hashlib
from base64 import b64encode
from enum import IntEnum
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# Browsers that only listen send nothing but closes and pongs.
MAX_INCOMING_BYTES: Final = 64 << 10


class Opcode(IntEnum):
    """What a frame is."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class BadFrame(Exception):
    """The other side does not speak WebSocket, or says too much. `code` is the close code."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


def accept(key: bytes) -> bytes:
    """What a server answers to Sec-WebSocket-Key."""
    digest = hashlib.sha1(key.strip() + _GUID, usedforsecurity=False).digest()
    return b64encode(digest)


def frame_head(opcode: Opcode, size: int) -> bytes:
    """The bytes in front of a whole message of `size` bytes."""
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """A whole message."""
    return frame_head(opcode, len(payload)) + payload


def closing(code: int, reason: str) -> bytes:
    """The frame that ends a conversation."""
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode()[:120])


class Listener:
    """Cuts a client's bytes into frames."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Returns the frames that are complete: opcode and payload.

        Raises:
            BadFrame: They are none, or too large.
        """
        data = self._held + data
        frames: list[tuple[int, bytes]] = []
        at = 0
        while len(data) - at >= 2:
            size, head = data[at + 1] & 0x7F, 2
            if not data[at + 1] & 0x80:
                raise BadFrame(1002, "frames from a client must be masked")
            if data[at] & 0x70:
                raise BadFrame(1002, "no extension was agreed on")
            if size >= 126:
                head += 2 if size == 126 else 8
                if len(data) - at < head:
                    break
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if size > MAX_INCOMING_BYTES:
                raise BadFrame(1009, "nothing so long is wanted here")
            end = at + head + 4 + size
            if len(data) < end:
                break
            mask, payload = data[at + head : at + head + 4], data[at + head + 4 : end]
            frames.append((data[at] & 0x0F, _unmask(payload, mask)))
            at = end
        self._held = data[at:]
        return frames


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    long_mask = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(long_mask, "big")).to_bytes(size, "big")
