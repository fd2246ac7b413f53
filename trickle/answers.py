"""What a trickle server says, as bytes. Nothing here sends; `trickle.connection` does.

Bodies, header names and the oddities (470 has no newline, 404 has one) are go-livepeer's, because
old clients have been seen to depend on most of them.
"""

import time
from email.utils import formatdate
from typing import Final

from trickle import headers
from trickle.http1 import CRLF, LAST_CHUNK, chunk
from trickle.segment import Segment

_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n"
_ERROR: Final = _TEXT + b"X-Content-Type-Options: nosniff\r\n"
_CLOSED: Final = f"{headers.CLOSED}: {headers.CLOSED_VALUE}\r\n".encode()
_SEQ: Final = headers.SEQ.encode()
_LATEST: Final = headers.LATEST.encode()
_SIZE: Final = headers.SIZE.encode()
_OLDEST: Final = headers.OLDEST.encode()

# Proxies must not answer for us: the same URL means something else a second later.
_NO_STORE: Final = b"Cache-Control: no-store\r\n"

_REASONS: Final = {
    200: b"OK",
    307: b"Temporary Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Request Entity Too Large",
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


# As many buffers as one sendmsg takes on Linux, less the frame's own.
MAX_PIECES: Final = 1000


def frame(segment: Segment, start: int, limit_bytes: int) -> tuple[list[bytes], int]:
    """The bytes on the wire for a segment's pieces from `start`, up to about `limit_bytes`.

    All of them travel as one HTTP chunk, and are joined only where that is cheaper than many
    writes. Returns the pieces and the index of the first that was left out.
    """
    chunks = segment.chunks
    stop, size = start, 0
    for stop in range(start, min(len(chunks), start + MAX_PIECES)):
        size += len(chunks[stop])
        if size >= limit_bytes:
            break
    stop = min(stop + 1, len(chunks))
    last = LAST_CHUNK if segment.ended and stop == len(chunks) else b""
    if stop == start + 1:
        framed = chunk(chunks[start])
        if isinstance(framed, bytes):
            return [framed + last], stop
        return [framed[0], framed[1], framed[2] + last], stop
    if size <= 16 << 10:
        return [b"%x\r\n%b\r\n%b" % (size, b"".join(chunks[start:stop]), last)], stop
    return [b"%x\r\n" % size, *chunks[start:stop], CRLF + last], stop
