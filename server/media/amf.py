"""AMF0, the values inside RTMP commands and metadata.

Pure: bytes to values and back. `server.media.rtmp_session` calls it. Of AMF0's types we read those
that clients send, and refuse the rest. Objects and arrays with names become dicts, `undefined`
becomes None as `null` does, dates become their milliseconds.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from server.media.errors import RtmpProtocolError

AmfValue = object

# No client nests deeper than three; more is an attack on the stack.
DEPTH_MAX: Final = 16
# Values in one message, over all its containers. OBS sends about twenty.
VALUES_MAX: Final = 4096

_NUMBER: Final = 0x00
_BOOLEAN: Final = 0x01
_STRING: Final = 0x02
_OBJECT: Final = 0x03
_NULL: Final = 0x05
_UNDEFINED: Final = 0x06
_ECMA_ARRAY: Final = 0x08
_OBJECT_END: Final = 0x09
_STRICT_ARRAY: Final = 0x0A
_DATE: Final = 0x0B
_LONG_STRING: Final = 0x0C


def decode(data: bytes) -> list[AmfValue]:
    """Reads all values of a message.

    Raises:
        RtmpProtocolError: They are cut short, too deep, too many, or of a type we do not take.
    """
    reader = _Reader(data)
    values = []
    while not reader.at_end:
        values.append(reader.value(depth=0))
    return values


def encode(*values: AmfValue) -> bytes:
    """Writes values one after the other."""
    parts: list[bytes] = []
    for value in values:
        _write(value, parts)
    return b"".join(parts)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    def value(self, *, depth: int) -> AmfValue:
        if depth > DEPTH_MAX:
            raise RtmpProtocolError(f"AMF values nest deeper than {DEPTH_MAX}")
        self._values += 1
        if self._values > VALUES_MAX:
            raise RtmpProtocolError(f"more than {VALUES_MAX} AMF values in one message")
        kind = self._take(1)[0]
        if kind == _NUMBER:
            return self._double()
        if kind == _BOOLEAN:
            return self._take(1) != b"\0"
        if kind == _STRING:
            return self._text(self._unsigned(2))
        if kind in (_OBJECT, _ECMA_ARRAY):
            if kind == _ECMA_ARRAY:
                self._unsigned(4)  # a count, which writers get wrong
            return self._members(depth)
        if kind in (_NULL, _UNDEFINED):
            return None
        if kind == _STRICT_ARRAY:
            return [self.value(depth=depth + 1) for _ in range(self._count())]
        if kind == _DATE:
            moment = self._double()
            self._take(2)  # a time zone, which is always zero
            return moment
        if kind == _LONG_STRING:
            return self._text(self._unsigned(4))
        raise RtmpProtocolError(f"AMF0 type {kind} is not taken here")

    def _members(self, depth: int) -> dict[str, AmfValue]:
        members: dict[str, AmfValue] = {}
        while True:
            name = self._text(self._unsigned(2))
            if not name and self._data[self._at : self._at + 1] == bytes((_OBJECT_END,)):
                self._at += 1
                return members
            members[name] = self.value(depth=depth + 1)

    def _count(self) -> int:
        count = self._unsigned(4)
        if count > VALUES_MAX:
            raise RtmpProtocolError(f"an AMF array of {count} values is over the limit")
        return count

    def _double(self) -> float:
        return float(struct.unpack(">d", self._take(8))[0])

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _text(self, size: int) -> str:
        return self._take(size).decode("utf-8", "replace")

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise RtmpProtocolError("an AMF message ends in the middle of a value")
        self._at += size
        return taken


def _write(value: AmfValue, parts: list[bytes]) -> None:
    match value:
        case None:
            parts.append(bytes((_NULL,)))
        case bool():
            parts.append(bytes((_BOOLEAN, value)))
        case int() | float():
            parts.append(struct.pack(">Bd", _NUMBER, value))
        case str():
            text = value.encode()
            if len(text) <= 0xFFFF:
                parts.append(struct.pack(">BH", _STRING, len(text)) + text)
            else:
                parts.append(struct.pack(">BI", _LONG_STRING, len(text)) + text)
        case Mapping():
            parts.append(bytes((_OBJECT,)))
            for name, member in value.items():
                label = str(name).encode()
                parts.append(struct.pack(">H", len(label)) + label)
                _write(member, parts)
            parts.append(b"\0\0" + bytes((_OBJECT_END,)))
        case Sequence():
            parts.append(struct.pack(">BI", _STRICT_ARRAY, len(value)))
            for member in value:
                _write(member, parts)
        case _:
            raise TypeError(f"AMF0 has no form for {type(value).__name__}")
