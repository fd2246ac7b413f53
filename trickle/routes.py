"""Which request is for what: the paths and methods of trickle, and the order of the checks.

Channel first (404), then the index (400), then the rest: clients tell a lost channel from a bad
request by it. `trickle.serve` owns one; nothing here touches a socket.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from trickle import answers
from trickle.channel import Channel
from trickle.connection import Connection, Exchange
from trickle.errors import (
    BadIndex,
    ChannelError,
    ChannelNotFound,
    Refused,
    SegmentError,
    TooMany,
)
from trickle.headers import parse_index
from trickle.http1 import RequestHead
from trickle.posting import Posting
from trickle.reading import Reading

if TYPE_CHECKING:
    from trickle.serve import TrickleServer

# Paths that a router cleans, by sending the client to the clean one.
_UNCLEAN: Final = re.compile(rb"//|/\.\.?(/|$)")


def allow_create(_name: str, _mime_type: str) -> None:
    """The hook that refuses no channel."""


def allow_delete(_name: str) -> None:
    """The hook that refuses no deletion."""


class Routes:
    """Answers requests, or finds the exchange that will."""

    def __init__(
        self,
        server: "TrickleServer",
        *,
        before_create: Callable[[str, str], None],
        before_delete: Callable[[str], None],
    ) -> None:
        self._server = server
        self._channels = server.channels
        self._base = server.base.encode("ascii")
        self._before_create = before_create
        self._before_delete = before_delete

    def answer(self, connection: Connection, head: RequestHead) -> bytes | Exchange:
        """What a request gets: an answer, or an exchange that takes its time."""
        request = _Request(head)
        path = head.target.partition(b"?")[0]
        if path.startswith(b"http"):
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        if _UNCLEAN.search(path):
            location = b"Location: %b\r\n" % _clean(path)
            return answers.whole(307, b"", lines=location, keep=request.keep, to_head=False)
        name, slash, index = path[len(self._base) :].partition(b"/")
        if not path.startswith(self._base) or not name or b"/" in index or (slash and not index):
            return request.error(404, answers.NOT_FOUND)
        if b"%" in path:
            name, index = unquote_to_bytes(name), unquote_to_bytes(index)
        channel_name = name.decode("utf-8", "surrogateescape")
        if not slash:
            return self._on_channel(request, channel_name)
        return self._on_segment(connection, request, channel_name, index.decode("latin-1"))

    # ------------------------------------------------------------------ {base}{channel}

    def _on_channel(self, request: "_Request", name: str) -> bytes:
        try:
            match request.method:
                case b"POST":
                    self._create(name, request.header(b"expect-content"))
                case b"DELETE":
                    if name not in self._channels:
                        return request.error(400, answers.NO_CHANNEL_TO_DELETE)
                    self._before_delete(name)
                    self._server.close_channel(name)
                case _:
                    return request.error(405, answers.BAD_METHOD, lines=answers.ALLOW_CHANNEL)
        except ChannelNotFound:
            self._server.counters.not_found += 1
            return request.error(404, answers.NO_CHANNEL)
        except TooMany as error:
            return answers.too_many(str(error))
        except Refused as error:
            return request.error(error.answer, f"{error}\n".encode())
        except Exception:  # noqa: BLE001 - a hook is anybody's code; the client learns only this
            return request.error(500, b"Server error\n")
        return answers.whole(200, b"", keep=request.keep, to_head=False)

    def _create(self, name: str, mime_type: str) -> None:
        if name not in self._channels:
            if not self._channels.autocreate:
                raise ChannelNotFound(name)
            self._before_create(name, mime_type)
        self._channels.create(name, mime_type=mime_type, now=self._server.now())

    # ------------------------------------------------------------------ {base}{channel}/{index}

    def _on_segment(
        self, connection: Connection, request: "_Request", name: str, index: str
    ) -> bytes | Exchange:
        method = request.method
        try:
            match method:
                case b"POST":
                    mime_type = request.header(b"content-type")
                    channel = self._server.find(name, mime_type=mime_type)
                    return self._post(connection, request, channel, _seq(index))
                case b"GET" | b"HEAD":
                    channel = self._channels.find(name)
                    if index == "next":
                        return request.next(channel.next_seq)
                    return self._get(connection, request, channel, _seq(index))
                case b"DELETE":
                    channel = self._channels.find(name)
                    channel.end_segment(_seq(index, lowest=0), now=self._server.now())
                    return answers.whole(200, b"", keep=request.keep, to_head=False)
                case _:
                    return request.error(405, answers.BAD_METHOD, lines=answers.ALLOW_SEGMENT)
        except ChannelError:
            self._server.counters.not_found += 1
            return request.error(404, answers.NO_CHANNEL, keep=method != b"POST")
        except BadIndex:
            return request.error(400, answers.BAD_INDEX)
        except SegmentError as error:
            if method == b"DELETE":
                return request.error(400, answers.NO_SUCH_SEGMENT)
            self._server.counters.no_segment += 1
            lines = b""
            if not self._server.strict_go:
                lines = answers.oldest(self._channels.find(name).oldest)
            return answers.no_segment(
                error.seq, error.latest, lines=lines, keep=request.keep, to_head=request.to_head
            )
        except TooMany as error:
            return answers.too_many(str(error))

    def _post(
        self, connection: Connection, request: "_Request", channel: Channel, seq: int
    ) -> Exchange:
        if self._channels.budget.spent:
            raise TooMany("the server holds as many bytes as it may")
        reset = bool(request.header(b"lp-trickle-reset"))
        writing = channel.open_write(seq, now=self._server.now(), reset=reset)
        return Posting(
            connection,
            channel,
            writing,
            keep=request.keep,
            may_continue=request.head.http_1_1,
            expected=request.header(b"expect").lower() == "100-continue",
        )

    def _get(
        self, connection: Connection, request: "_Request", channel: Channel, seq: int
    ) -> Exchange:
        segment = channel.open_read(seq, now=self._server.now())
        self._server.watch_timers(channel)
        return Reading(
            connection,
            channel,
            segment,
            keep=request.keep,
            chunked=request.head.http_1_1,
            to_head=request.to_head,
        )


class _Request:
    """A request, and what every answer to it has in common."""

    __slots__ = ("head", "keep", "method", "to_head")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.method = head.method
        self.keep = head.keep_alive and head.http_1_1
        self.to_head = head.method == b"HEAD"

    def header(self, name: bytes) -> str:
        return self.head.headers.get(name, b"").decode("latin-1")

    def error(self, status: int, body: bytes, *, lines: bytes = b"", keep: bool = True) -> bytes:
        return answers.error(
            status, body, lines=lines, keep=self.keep and keep, to_head=self.to_head
        )

    def next(self, edge: int) -> bytes:
        return answers.text(
            b"%d" % edge, lines=answers.latest(edge), keep=self.keep, to_head=self.to_head
        )


def _seq(index: str, *, lowest: int = -(1 << 63)) -> int:
    seq = parse_index(index)
    if seq is None or seq < lowest:
        raise BadIndex(index)
    return seq


def _clean(path: bytes) -> bytes:
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    slash = b"/" if parts and path.endswith((b"/", b"/.", b"/..")) else b""
    return b"/" + b"/".join(parts) + slash
