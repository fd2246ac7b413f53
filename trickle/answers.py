"""What a trickle server says, as bytes. Nothing here sends; `trickle.connection` does.

Bodies, header names and the oddities (470 has no newline, 404 has one) are go-livepeer's, because
old clients have been seen to depend on most of them.
"""

import json
import time
from email.utils import formatdate
from typing import Final

from trickle import headers
from trickle.access import Denied, Right
from trickle.http1 import CRLF, LAST_CHUNK, chunk
from trickle.segment import Segment

_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n"
_ERROR: Final = _TEXT + b"X-Content-Type-Options: nosniff\r\n"
_CLOSED: Final = f"{headers.CLOSED}: {headers.CLOSED_VALUE}\r\n".encode()
_SEQ: Final = headers.SEQ.encode()
_LATEST: Final = headers.LATEST.encode()
_SIZE: Final = headers.SIZE.encode()
_OLDEST: Final = headers.OLDEST.encode()
_OFFSET: Final = headers.OFFSET.encode()

# The segment is not all that its publisher meant it to be. In the head where that is known by
# then, else behind the body, for clients that say they read trailers.
TRUNCATED: Final = f"{headers.TRUNCATED}: 1\r\n".encode()
LAST_CHUNK_TRUNCATED: Final = b"0\r\n%b\r\n" % TRUNCATED

# Proxies must not answer for us: the same URL means something else a second later.
_NO_STORE: Final = b"Cache-Control: no-store\r\n"

_REASONS: Final = {
    101: b"Switching Protocols",
    200: b"OK",
    204: b"No Content",
    307: b"Temporary Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Request Entity Too Large",
    416: b"Range Not Satisfiable",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    # As go-livepeer's library words a status it has no words for.
    470: b"status code 470",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)

ALLOW_CHANNEL: Final = b"Allow: DELETE, POST\r\n"
ALLOW_CHANNEL_STATUS: Final = b"Allow: DELETE, GET, HEAD, POST\r\n"
ALLOW_SEGMENT: Final = b"Allow: DELETE, GET, HEAD, POST\r\n"

NOT_FOUND: Final = b"404 page not found\n"
NO_CHANNEL: Final = b"Stream not found\n"
NO_CHANNEL_TO_DELETE: Final = b"Invalid stream\n"
NO_SUCH_SEGMENT: Final = b"Nonexistent segment\n"
BAD_INDEX: Final = b"Invalid idx\n"
BAD_METHOD: Final = b"Method Not Allowed\n"


class Date:
    """The Date line, worked out once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


_DATE: Final = Date()


def seq(value: int) -> bytes:
    """The line that says which segment an answer is about."""
    return b"%b: %d\r\n" % (_SEQ, value)


def latest(value: int) -> bytes:
    """The line that says where the write head is."""
    return b"%b: %d\r\n" % (_LATEST, value)


def size(value: int) -> bytes:
    """The line that says how many bytes a segment has by now; older clients ignore it."""
    return b"%b: %d\r\n" % (_SIZE, value)


def oldest(value: int) -> bytes:
    """The line that says which segment is the lowest to be had; older clients ignore it."""
    return b"%b: %d\r\n" % (_OLDEST, value)


def offset(value: int) -> bytes:
    """The line that says how many bytes at the beginning of a segment were left out, as asked."""
    return b"%b: %d\r\n" % (_OFFSET, value)


def with_lines(answer: bytes, lines: bytes) -> bytes:
    """An answer with more lines in its head."""
    return answer.replace(CRLF, CRLF + lines, 1) if lines else answer


def nothing_yet(*, lines: bytes, keep: bool) -> bytes:
    """204: the segment did not begin while its reader was willing to wait."""
    return b"".join(
        (
            b"HTTP/1.1 204 No Content\r\n",
            _DATE.line(),
            _NO_STORE,
            lines,
            b"" if keep else b"Connection: close\r\n",
            CRLF,
        )
    )


def document(
    status: int, value: object, *, lines: bytes = b"", mime_type: str, keep: bool, to_head: bool
) -> bytes:
    """A JSON document."""
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    lines = b"Content-Type: %b\r\n%b%b" % (mime_type.encode("ascii"), _NO_STORE, lines)
    return whole(status, body, lines=lines, keep=keep, to_head=to_head)


def not_allowed(denied: Denied, right: Right, *, keep: bool, to_head: bool) -> bytes:
    """401, with what would help."""
    remedy = {
        Denied.MISSING: f"send a {right.value} token: Authorization: Bearer, or ?token=",
        Denied.WRONG: f"send the {right.value} token of this channel, and of this server",
        Denied.EXPIRED: "ask whoever signed the token for a new one",
    }[denied]
    problem = {
        "type": f"urn:trickle:{denied.value}",
        "title": "Not allowed",
        "status": 401,
        "detail": f"The right to {right.value} needs a token, and this one will not do.",
        "code": denied.value,
        "retry": "never",
        "remedy": remedy,
    }
    return document(
        401,
        problem,
        lines=b'WWW-Authenticate: Bearer realm="trickle"\r\n',
        mime_type="application/problem+json",
        keep=keep,
        to_head=to_head,
    )


def closed() -> bytes:
    """The line that says that the channel has ended."""
    return _CLOSED


def too_many(text: str) -> bytes:
    """503: the server holds as much as it may."""
    return error(503, f"{text}\n".encode(), lines=b"Retry-After: 1\r\n", keep=False)


def whole(status: int, body: bytes, *, lines: bytes = b"", keep: bool, to_head: bool) -> bytes:
    """An answer that is complete at once."""
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"status code %d" % status)),
            _DATE.line(),
            lines,
            b"Content-Length: %d\r\n" % len(body),
            b"" if keep else b"Connection: close\r\n",
            CRLF,
            b"" if to_head else body,
        )
    )


def error(
    status: int, body: bytes, *, lines: bytes = b"", keep: bool, to_head: bool = False
) -> bytes:
    """An error with its text."""
    return whole(status, body, lines=_ERROR + lines, keep=keep, to_head=to_head)


def text(body: bytes, *, lines: bytes, keep: bool, to_head: bool) -> bytes:
    """A short text."""
    return whole(200, body, lines=_TEXT + _NO_STORE + lines, keep=keep, to_head=to_head)


def no_segment(at: int, edge: int, *, lines: bytes = b"", keep: bool, to_head: bool) -> bytes:
    """470: the channel is there, the segment is not, and this is where to go."""
    return whole(
        headers.NO_SEGMENT,
        b"Entry not found",
        lines=_TEXT + _NO_STORE + latest(edge) + seq(at) + lines,
        keep=keep,
        to_head=to_head,
    )


def segment_head(
    mime_type: str, at: int, edge: int | None, *, lines: bytes, chunked: bool, keep: bool
) -> bytes:
    """The head in front of a segment's bytes; `edge` only where it tells more than `at`."""
    return b"".join(
        (
            b"HTTP/1.1 200 OK\r\n",
            _DATE.line(),
            b"Content-Type: %b\r\n" % mime_type.encode("latin-1", "replace"),
            _NO_STORE,
            b"" if edge is None else latest(edge),
            seq(at),
            lines,
            b"Transfer-Encoding: chunked\r\n" if chunked else b"",
            b"" if keep else b"Connection: close\r\n",
            CRLF,
        )
    )


def stream_head(mime_type: str, *, lines: bytes, chunked: bool) -> bytes:
    """The head in front of one long response over many segments."""
    return b"".join(
        (
            b"HTTP/1.1 200 OK\r\n",
            _DATE.line(),
            b"Content-Type: %b\r\n" % mime_type.encode("latin-1", "replace"),
            _NO_STORE,
            # A proxy that collects events before it passes them on is of no use.
            b"X-Accel-Buffering: no\r\n",
            lines,
            b"Transfer-Encoding: chunked\r\n" if chunked else b"",
            b"Connection: close\r\n",
            CRLF,
        )
    )


def switching(accept: bytes) -> bytes:
    """101: from here on it is a WebSocket."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


# As many buffers as one sendmsg takes on Linux, less the frame's own.
MAX_PIECES: Final = 1000


def frame(
    segment: Segment, start: int, limit_bytes: int, *, last: bytes = LAST_CHUNK
) -> tuple[list[bytes], int]:
    """The bytes on the wire for a segment's pieces from `start`, up to about `limit_bytes`.

    All of them travel as one HTTP chunk, and are joined only where that is cheaper than many
    writes. Where that is the end of the segment, `last` follows. Returns the pieces and the index
    of the first that was left out.
    """
    chunks = segment.chunks
    stop, size = start, 0
    for stop in range(start, min(len(chunks), start + MAX_PIECES)):
        size += len(chunks[stop])
        if size >= limit_bytes:
            break
    stop = min(stop + 1, len(chunks))
    if not segment.ended or stop < len(chunks):
        last = b""
    if stop == start + 1:
        framed = chunk(chunks[start])
        if isinstance(framed, bytes):
            return [framed + last], stop
        return [framed[0], framed[1], framed[2] + last], stop
    if size <= 16 << 10:
        return [b"%x\r\n%b\r\n%b" % (size, b"".join(chunks[start:stop]), last)], stop
    return [b"%x\r\n" % size, *chunks[start:stop], CRLF + last], stop
