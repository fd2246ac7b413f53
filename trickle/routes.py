"""Which request is for what: the paths and methods of trickle, and the order of the checks.

Channel first (404), then the right to it (401), then the index (400), then the rest: clients tell
a lost channel from a bad request by it. `trickle.serve` owns one; nothing here touches a socket.
"""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from trickle import answers
from trickle.access import OPEN, Right
from trickle.channel import CURRENT, Channel
from trickle.connection import Connection, Exchange
from trickle.errors import (
    BadIndex,
    BadParameter,
    ChannelError,
    ChannelNotFound,
    Refused,
    SegmentError,
    TooMany,
)
from trickle.framing import Events, Framing, Messages, Plain
from trickle.http1 import RequestHead
from trickle.metrics import prometheus
from trickle.posting import Posting
from trickle.reading import Reading
from trickle.requests import Request, read_index
from trickle.status import channel_status, server_status
from trickle.streaming import Streaming
from trickle.websocket import accept

if TYPE_CHECKING:
    from trickle.serve import TrickleServer

# Paths that a router cleans, by sending the client to the clean one.
_UNCLEAN: Final = re.compile(rb"//|/\.\.?(/|$)")

# One response over many segments. Neither a number nor `next`, so no older client can ask for it.
STREAM: Final = "stream"

METRICS_PATH: Final = b"/metrics"


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
        server, request = self._server, Request(head)
        path = request.path
        if path.startswith(b"http"):
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        if server.origins:
            connection.origin_lines = server.origins.lines(head.headers)
            if request.method == b"OPTIONS" and path.startswith(self._base):
                return self._preflight(request)
        if _UNCLEAN.search(path):
            location = b"Location: %b\r\n" % _clean(path)
            return answers.whole(307, b"", lines=location, keep=request.keep, to_head=False)
        name, slash, index = path[len(self._base) :].partition(b"/")
        if not path.startswith(self._base) or not name or b"/" in index or (slash and not index):
            return self._elsewhere(request, path)
        if b"%" in path:
            name, index = unquote_to_bytes(name), unquote_to_bytes(index)
        channel_name = name.decode("utf-8", "surrogateescape")
        if not slash:
            return self._on_channel(request, channel_name)
        return self._on_segment(connection, request, channel_name, index.decode("latin-1"))

    # ------------------------------------------------------------------ the server as a whole

    def _elsewhere(self, request: Request, path: bytes) -> bytes:
        server = self._server
        if server.strict_go or request.method not in (b"GET", b"HEAD"):
            return request.error(404, answers.NOT_FOUND)
        if path == self._base:
            if refused := self._refuse(request, Right.OPERATE, "", None):
                return refused
            # With an operator's token nobody comes here without it, and he may see the names.
            listing = server.listing or server.access.operator is not None
            return request.json(server_status(server, listing=listing))
        if path == METRICS_PATH and server.metrics:
            if refused := self._refuse(request, Right.OPERATE, "", None):
                return refused
            return answers.text(
                prometheus(server).encode(), lines=b"", keep=request.keep, to_head=request.to_head
            )
        return request.error(404, answers.NOT_FOUND)

    def _preflight(self, request: Request) -> bytes:
        """A browser asks whether a page may send the request it has in mind."""
        origins = self._server.origins
        if not origins.admits(request.head.headers):
            return request.error(403, b"Origin not allowed\n")
        return answers.whole(200, b"", lines=origins.preflight(), keep=request.keep, to_head=False)

    def _refuse(
        self, request: Request, right: Right, name: str, channel: Channel | None
    ) -> bytes | None:
        """The answer to who may not do what he asks for; None when he may."""
        server = self._server
        keys = None if channel is None else channel.keys
        if keys is None and server.access is OPEN:
            return None
        denied = server.access.check(right, name, keys, request.token, now_s=time.time())
        if denied is None:
            return None
        server.counters.not_allowed += 1
        # A publisher's body would have to be read, whatever its size, to keep the connection.
        keep = request.keep and request.method != b"POST"
        return answers.not_allowed(denied, right, keep=keep, to_head=request.to_head)

    # ------------------------------------------------------------------ {base}{channel}

    def _on_channel(self, request: Request, name: str) -> bytes:
        channel = self._channels.get(name)
        try:
            match request.method:
                case b"POST":
                    if refused := self._refuse(request, Right.PUBLISH, name, channel):
                        return refused
                    self._create(name, request.header(b"expect-content"))
                case b"DELETE":
                    if channel is None:
                        return request.error(400, answers.NO_CHANNEL_TO_DELETE)
                    if refused := self._refuse(request, Right.PUBLISH, name, channel):
                        return refused
                    self._before_delete(name)
                    self._server.close_channel(name)
                case b"GET" | b"HEAD" if not self._server.strict_go:
                    channel = self._channels.find(name)
                    if refused := self._refuse(request, Right.SUBSCRIBE, name, channel):
                        return refused
                    return request.json(channel_status(self._server, channel))
                case _:
                    allow = answers.ALLOW_CHANNEL_STATUS
                    if self._server.strict_go:
                        allow = answers.ALLOW_CHANNEL
                    return request.error(405, answers.BAD_METHOD, lines=allow)
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
        self, connection: Connection, request: Request, name: str, index: str
    ) -> bytes | Exchange:
        method = request.method
        try:
            match method:
                case b"POST":
                    found = self._channels.get(name)
                    if refused := self._refuse(request, Right.PUBLISH, name, found):
                        return refused
                    mime_type = request.header(b"content-type")
                    channel = found or self._server.find(name, mime_type=mime_type)
                    return self._post(connection, request, channel, read_index(index))
                case b"GET" | b"HEAD":
                    channel = self._channels.find(name)
                    if index == "next":
                        # Publishers ask for it as well as readers, and it is only a number.
                        refused = self._refuse(request, Right.SUBSCRIBE, name, channel)
                        if refused and self._refuse(request, Right.PUBLISH, name, channel):
                            return refused
                        return request.next(channel.next_seq)
                    if refused := self._refuse(request, Right.SUBSCRIBE, name, channel):
                        return refused
                    if index == STREAM and not self._server.strict_go:
                        return self._stream(connection, request, channel)
                    return self._get(connection, request, channel, read_index(index))
                case b"DELETE":
                    channel = self._channels.find(name)
                    if refused := self._refuse(request, Right.PUBLISH, name, channel):
                        return refused
                    channel.end_segment(read_index(index, lowest=0), now=self._server.now())
                    return answers.whole(200, b"", keep=request.keep, to_head=False)
                case _:
                    return request.error(405, answers.BAD_METHOD, lines=answers.ALLOW_SEGMENT)
        except ChannelError:
            self._server.counters.not_found += 1
            return request.error(404, answers.NO_CHANNEL, keep=method != b"POST")
        except BadIndex:
            return request.error(400, answers.BAD_INDEX)
        except BadParameter as error:
            return request.error(400, f"{error}\n".encode())
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
        self, connection: Connection, request: Request, channel: Channel, seq: int
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
        self, connection: Connection, request: Request, channel: Channel, seq: int
    ) -> Exchange:
        wish = request.wish(strict_go=self._server.strict_go)
        segment = channel.open_read(seq, now=self._server.now())
        self._server.watch_timers(channel)
        return Reading(connection, channel, segment, wish)

    def _stream(
        self, connection: Connection, request: Request, channel: Channel
    ) -> bytes | Exchange:
        """One response over many segments, in the form that the request asks for."""
        start = request.index("from")
        behind = request.number("behind", most=1 << 30)
        if start is not None and start < CURRENT:
            raise BadIndex(start)
        chunked = request.head.http_1_1
        framing: Framing
        if request.header(b"upgrade").lower() == "websocket":
            key = request.head.headers.get(b"sec-websocket-key")
            if key is None or request.header(b"sec-websocket-version") != "13":
                lines = b"Sec-WebSocket-Version: 13\r\n"
                return request.error(426, b"WebSocket 13 is spoken here\n", lines=lines)
            if not self._server.origins.admits(request.head.headers):
                return request.error(403, b"Origin not allowed\n")
            framing = Messages()
            head = answers.switching(accept(key))
        else:
            if "text/event-stream" in request.header(b"accept"):
                framing = Events(chunked=chunked)
                last = request.header(b"last-event-id")
                start = read_index(last, lowest=0) + 1 if last else start
            else:
                framing = Plain(chunked=chunked, trailers=chunked and request.trailers)
            head = answers.stream_head(
                framing.mime_type or channel.mime_type,
                lines=connection.origin_lines,
                chunked=chunked,
            )
        stream = Streaming(
            connection,
            channel,
            framing,
            head,
            start=CURRENT if start is None else start,
            to_head=request.to_head,
            max_behind=None if behind is None else int(behind),
        )
        self._server.watch_timers(channel)
        return stream


def _clean(path: bytes) -> bytes:
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    slash = b"/" if parts and path.endswith((b"/", b"/.", b"/..")) else b""
    return b"/" + b"/".join(parts) + slash
