"""HTTP/1.1 messages, as bytes and values: heads by httptools, bodies by hand. No sockets.

One request head is found, then parsed strictly by llhttp; its body is cut here, because only so is
it known where the next message begins (a connection may change hands there), and because a piece
of a big chunk can then be passed on without a copy. `trickle.connection` reads requests with this,
`trickle.asking` reads answers.
"""

from dataclasses import dataclass
from typing import Final

import httptools

# llhttp has no limit of its own. Trickle heads have some 300 bytes; cookies and tokens need more.
MAX_HEAD_BYTES: Final = 32 << 10

# A chunk's size in hex, and room for extensions that nobody sends.
MAX_CHUNK_LINE_BYTES: Final = 256

MAX_TRAILER_BYTES: Final = 8 << 10

END_OF_HEAD: Final = b"\r\n\r\n"
CRLF: Final = b"\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


class BadMessage(Exception):
    """The bytes are not HTTP/1.1, or are more than a head may have."""


@dataclass(slots=True)
class RequestHead:
    """A request up to its empty line. Header names are in lower case, values as they came."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    keep_alive: bool
    http_1_1: bool
    upgrade: bool


@dataclass(slots=True)
class AnswerHead:
    """An answer up to its empty line."""

    status: int
    headers: dict[bytes, bytes]
    keep_alive: bool

    def header(self, name: str) -> str | None:
        value = self.headers.get(name.lower().encode("ascii"))
        return None if value is None else value.decode("latin-1")


class _Listener:
    """What llhttp tells."""

    __slots__ = ("headers", "keep_alive", "parser", "target", "upgrade")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.target = b""
        self.keep_alive = False
        self.upgrade = False
        self.parser: httptools.HttpRequestParser | httptools.HttpResponseParser

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self.headers:
            if name in (b"content-length", b"transfer-encoding"):
                raise BadMessage(f"{name.decode()} is there twice")
            value = self.headers[name] + b", " + value
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        # Only here: llhttp forgets the flags as soon as the message is complete.
        self.keep_alive = self.parser.should_keep_alive()
        self.upgrade = self.parser.should_upgrade()


def parse_request(head: bytes) -> RequestHead:
    """Reads one request head, empty line included.

    Raises:
        BadMessage: It is none.
    """
    told = _Listener()
    told.parser = parser = httptools.HttpRequestParser(told)
    _feed(parser, head)
    return RequestHead(
        method=parser.get_method(),
        target=told.target,
        headers=told.headers,
        keep_alive=told.keep_alive,
        http_1_1=parser.get_http_version() == "1.1",
        upgrade=told.upgrade,
    )


def parse_answer(head: bytes) -> AnswerHead:
    """Reads one answer head, empty line included.

    Raises:
        BadMessage: It is none.
    """
    told = _Listener()
    told.parser = parser = httptools.HttpResponseParser(told)
    _feed(parser, head)
    return AnswerHead(
        status=parser.get_status_code(), headers=told.headers, keep_alive=told.keep_alive
    )


def _feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> None:
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadMessage(str(error)) from error


class Body:
    """A body of known length, or one that lasts as long as the connection.

    Attributes:
        done: All of it has been fed.
        rest: What was fed beyond its end: the beginning of the next message.
    """

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.done = length == 0
        self.rest = b""

    @property
    def length(self) -> int | None:
        """Bytes still to come, where that is known."""
        return self._left

    def feed(self, data: bytes) -> bytes:
        """Returns the bytes of the body in `data`, which may be all of it, or none."""
        if self._left is None:
            return data
        if len(data) <= self._left:
            self._left -= len(data)
            self.done = not self._left
            return data
        self.rest = data[self._left :]
        data = data[: self._left]
        self._left, self.done = 0, True
        return data


class ChunkedBody:
    """A body in chunks. The same face as `Body`.

    Attributes:
        trailers: The lines behind the last chunk, as they came.
    """

    __slots__ = ("_held", "_in_trailer", "_left", "_trailer_bytes", "done", "rest", "trailers")

    length: Final = None

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._left = 0
        self._held = b""
        self._in_trailer = False
        self._trailer_bytes = 0
        self.trailers: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Returns the bytes of the body in `data`, without the chunks' frames.

        Raises:
            BadMessage: A chunk's size cannot be read, or the trailer is too long.
        """
        # Inside a big chunk: nothing to cut, nothing to copy. The 2 are the line end behind it.
        if self._left > len(data) + 2:
            self._left -= len(data)
            return data
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                if data[at : at + self._left] != CRLF[2 - self._left : 2 - self._left + end - at]:
                    raise BadMessage("a chunk is longer than its size says")
                step = min(self._left, end - at)
                at += step
                self._left -= step
            else:
                line_end = data.find(CRLF, at, at + MAX_CHUNK_LINE_BYTES)
                if line_end < 0:
                    if end - at >= MAX_CHUNK_LINE_BYTES:
                        raise BadMessage("a line between chunks is too long")
                    self._held = data[at:]
                    break
                line = data[at:line_end]
                at = line_end + 2
                if self._in_trailer:
                    self._trailer_bytes += len(line)
                    if self._trailer_bytes > MAX_TRAILER_BYTES:
                        raise BadMessage("the trailer is too long")
                    if not line:
                        self.done, self.rest = True, data[at:]
                        break
                    self.trailers.append(line)
                else:
                    size = _chunk_size(line)
                    self._in_trailer = size == 0
                    self._left = size + 2 if size else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


_HEX: Final = frozenset(b"0123456789abcdefABCDEF")

# 16 hex digits would pass 2^63; a chunk that long is nobody's honest intention.
_MAX_SIZE_DIGITS: Final = 15


def _chunk_size(line: bytes) -> int:
    digits = line.split(b";", 1)[0].rstrip(b" \t")
    if not digits or len(digits) > _MAX_SIZE_DIGITS or not _HEX.issuperset(digits):
        raise BadMessage(f"{digits[:20]!r} is no chunk size")
    return int(digits, 16)


def request_body(head: RequestHead) -> Body | ChunkedBody:
    """The body that follows a request head.

    Raises:
        BadMessage: Its length cannot be known.
    """
    coding = head.headers.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked" or b"content-length" in head.headers:
            raise BadMessage("only chunked transfer encoding is understood, without a length")
        return ChunkedBody()
    return Body(int(head.headers.get(b"content-length", b"0")))


def answer_body(head: AnswerHead, *, to_head: bool = False) -> Body | ChunkedBody:
    """The body that follows an answer head.

    Raises:
        BadMessage: Its length cannot be known.
    """
    if to_head or head.status in (204, 304) or 100 <= head.status < 200:
        return Body(0)
    coding = head.headers.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked":
            raise BadMessage(f"transfer encoding {coding!r} is not understood")
        return ChunkedBody()
    length = head.headers.get(b"content-length")
    return Body(None if length is None else int(length))


def chunk(data: bytes) -> bytes | tuple[bytes, bytes, bytes]:
    """Frames one chunk: in one piece where a copy is cheaper than two more writes."""
    if len(data) <= 16 << 10:
        return b"%x\r\n%b\r\n" % (len(data), data)
    return b"%x\r\n" % len(data), data, CRLF
