"""How one long response over many segments looks: as plain bytes, as events, as messages.

Values only: each framing turns segments, gaps and the end of a channel into the bytes of a body.
`trickle.streaming` decides when.
"""

import json
from base64 import b64encode
from typing import Final, Protocol

from trickle import headers
from trickle.http1 import CRLF, LAST_CHUNK
from trickle.segment import Segment
from trickle.websocket import Opcode, closing, frame, frame_head

# A bigger segment is no event. Its number is told, its bytes are not.
MAX_EVENT_BYTES: Final = 1 << 20

# In front of every binary message: which segment, and where in it; both big-endian.
MARK_BYTES: Final = 16

_TEXTUAL: Final = ("application/json", "application/jsonl", "application/x-ndjson")


class Framing(Protocol):
    """What the bytes of one kind of long response are.

    Attributes:
        kind: Its name.
        whole: Segments are given when they are complete, rather than as they come.
        mime_type: Of the response; None for that of the channel.
    """

    @property
    def kind(self) -> str: ...
    @property
    def whole(self) -> bool: ...
    @property
    def mime_type(self) -> str | None: ...
    def begin(self, mime_type: str) -> list[bytes]: ...
    def pieces(self, segment: Segment, start: int, stop: int) -> list[bytes]: ...
    def ended(self, segment: Segment) -> list[bytes]: ...
    def gap(self, first: int, until: int) -> list[bytes]: ...
    def end(self, gaps: int) -> list[bytes]: ...
    def alive(self) -> list[bytes]: ...


class Plain:
    """The bytes of the segments, one after the other. What is missing is told behind the last."""

    whole: Final = False
    mime_type: Final = None

    def __init__(self, *, chunked: bool, trailers: bool) -> None:
        self.kind = "plain" if chunked else "plain-1.0"
        self._chunked = chunked
        self._trailers = trailers

    def begin(self, mime_type: str) -> list[bytes]:  # noqa: ARG002 - it is in the head
        return []

    def pieces(self, segment: Segment, start: int, stop: int) -> list[bytes]:
        return _chunk(segment.chunks[start:stop], chunked=self._chunked)

    def ended(self, segment: Segment) -> list[bytes]:  # noqa: ARG002 - bytes have no seams
        return []

    def gap(self, first: int, until: int) -> list[bytes]:  # noqa: ARG002 - nor room for marks
        return []

    def end(self, gaps: int) -> list[bytes]:
        if not self._chunked:
            return []
        if not self._trailers:
            return [LAST_CHUNK]
        return [b"0\r\n%b: %d\r\n\r\n" % (headers.GAPS.encode(), gaps)]

    def alive(self) -> list[bytes]:
        return []


class Events:
    """Server-sent events, one per segment: JSON and text as they are, other bytes in base64."""

    whole: Final = True
    mime_type: Final = "text/event-stream"

    def __init__(self, *, chunked: bool) -> None:
        self.kind = "events" if chunked else "events-1.0"
        self._chunked = chunked
        self._textual = False

    def begin(self, mime_type: str) -> list[bytes]:
        kind = mime_type.partition(";")[0].strip().lower()
        self._textual = kind in _TEXTUAL or kind.startswith("text/") or kind.endswith("+json")
        return self._body(b"retry: 1000\n\n")

    def pieces(self, segment: Segment, start: int, stop: int) -> list[bytes]:  # noqa: ARG002
        if not segment.size:
            return []
        name = b"event: truncated\n" if segment.truncated else b""
        if segment.size > MAX_EVENT_BYTES:
            said = json.dumps({"seq": segment.seq, "bytes": segment.size}).encode()
            name, lines = b"event: too-large\n", [said]
        else:
            data = segment.read()
            lines = _lines(data) if self._textual else []
            if not lines:
                name, lines = name or b"event: base64\n", [b64encode(data)]
        event = b"id: %d\n%b" % (segment.seq, name) + b"".join(b"data: %b\n" % x for x in lines)
        return self._body(event + b"\n")

    def ended(self, segment: Segment) -> list[bytes]:  # noqa: ARG002 - an event is a segment
        return []

    def gap(self, first: int, until: int) -> list[bytes]:
        return self._body(b'event: gap\ndata: {"from":%d,"to":%d}\n\n' % (first, until))

    def end(self, gaps: int) -> list[bytes]:
        last = [LAST_CHUNK] if self._chunked else []
        return self._body(b'event: end\ndata: {"gaps":%d}\n\n' % gaps) + last

    def alive(self) -> list[bytes]:
        return self._body(b":\n\n")

    def _body(self, text: bytes) -> list[bytes]:
        return _chunk([text], chunked=self._chunked)


class Messages:
    """WebSocket messages: binary ones for bytes, each saying where it belongs; text ones for news.

    A binary message without bytes ends its segment.
    """

    kind: Final = "messages"
    whole: Final = False
    mime_type: Final = None

    def begin(self, mime_type: str) -> list[bytes]:
        return self._news({"mime_type": mime_type})

    def pieces(self, segment: Segment, start: int, stop: int) -> list[bytes]:
        chunks = segment.chunks[start:stop]
        offset, size = sum(map(len, segment.chunks[:start])), sum(map(len, chunks))
        return [frame_head(Opcode.BINARY, MARK_BYTES + size) + _mark(segment.seq, offset), *chunks]

    def ended(self, segment: Segment) -> list[bytes]:
        news = self._news({"truncated": segment.seq}) if segment.truncated else []
        return [*news, frame(Opcode.BINARY, _mark(segment.seq, segment.size))]

    def gap(self, first: int, until: int) -> list[bytes]:
        return self._news({"gap": {"from": first, "to": until}})

    def end(self, gaps: int) -> list[bytes]:
        return [*self._news({"end": {"gaps": gaps}}), closing(1000, "end of stream")]

    def alive(self) -> list[bytes]:
        return [frame(Opcode.PING, b"")]

    def _news(self, news: object) -> list[bytes]:
        return [frame(Opcode.TEXT, json.dumps(news, separators=(",", ":")).encode())]


def _mark(seq: int, offset: int) -> bytes:
    return seq.to_bytes(8, "big") + offset.to_bytes(8, "big")


def _chunk(pieces: list[bytes], *, chunked: bool) -> list[bytes]:
    if not chunked:
        return pieces
    return [b"%x\r\n" % sum(map(len, pieces)), *pieces, CRLF]


def _lines(data: bytes) -> list[bytes]:
    """The lines of a text, as an event can carry them; none where it is no text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return []
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.removesuffix(b"\n").split(b"\n")
