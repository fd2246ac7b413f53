"""One client's connection to a trickle server: finds the messages, and who answers each.

Between messages it decides anew: a request under the server's base path is ours, any other goes,
connection and all, to the protocol of whoever shares the port (`trickle.lent`). `trickle.serve`
makes one of these per connection and knows the routes; what a route does over time is an Exchange
(`trickle.reading`, `trickle.posting`).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol, cast

from trickle import answers
from trickle.http1 import (
    END_OF_HEAD,
    MAX_HEAD_BYTES,
    BadMessage,
    Body,
    ChunkedBody,
    RequestHead,
    parse_request,
    request_body,
)
from trickle.lent import Guest
from trickle.posting import Posting

if TYPE_CHECKING:
    from trickle.serve import TrickleServer

# A reader's socket holds this much before we stop: enough to keep a fast one busy between turns of
# the loop. The bytes are references to the segment's, so many slow readers share them.
HIGH_WATER_BYTES: Final = 1 << 20
LOW_WATER_BYTES: Final = 256 << 10

# What a client may send ahead while its GET waits, before we stop listening to it.
MAX_AHEAD_BYTES: Final = 64 << 10

# A body that nobody wants is read to its end up to this, to keep the connection.
MAX_SKIP_BYTES: Final = 256 << 10

# After an early answer the client gets this long to read it. Closing at once would reset the
# connection under what it still sends, and the answer would be lost with it.
LINGER_S: Final = 2.0


class Exchange(Protocol):
    """What goes on over a connection between a request and the end of its answer."""

    def begin(self) -> None: ...
    def lost(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Talk(Exchange, Protocol):
    """An exchange in which the client goes on talking."""

    def received(self, data: bytes) -> None: ...


class State(Enum):
    """What the next bytes from the client are."""

    BETWEEN = auto()  # the beginning of a request
    POSTING = auto()  # a body that we take
    SKIPPING = auto()  # a body that nobody takes
    ANSWERING = auto()  # early: they wait for the present answer's end
    GUEST = auto()  # for whoever shares the port
    TALKING = auto()  # for the present exchange, which speaks no HTTP any more
    LINGERING = auto()  # thrown away


class Connection(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(
        self, server: "TrickleServer", fallback: Callable[[], asyncio.Protocol] | None
    ) -> None:
        self.server = server
        self.paused = False
        # What the answer to the present request says about the page that made it.
        self.origin_lines = b""
        self.exchange: Exchange | None = None
        self.idle_since: float | None = None
        self._state = State.BETWEEN
        self._held = b""
        self._body: Body | ChunkedBody = Body(0)
        self._skipped = 0
        self._fallback = fallback
        self._guest: Guest | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    # ------------------------------------------------------------------ for exchanges

    def now(self) -> float:
        return self._loop.time()

    def later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_s, callback)

    def soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)

    def send(self, pieces: Sequence[bytes]) -> int:
        """Puts bytes on the wire in this turn of the loop. Returns how many."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return 0
        if len(pieces) == 1:
            size = len(pieces[0])
            transport.write(pieces[0])
            self.server.counters.bytes_out += size
            return size
        size = sum(map(len, pieces))
        self.server.counters.bytes_out += size
        if size <= 32 << 10:
            transport.write(b"".join(pieces))
        else:
            transport.writelines(pieces)
        return size

    def answer(self, answer: bytes) -> None:
        """Sends an answer that is complete at once."""
        self.send([answers.with_lines(answer, self.origin_lines)])

    def wait_to_answer(self) -> None:
        """A body is complete, its answer is not due yet: what comes now waits for it."""
        self._state = State.ANSWERING

    def talk(self) -> None:
        """From here on the client's bytes are for the present exchange, as they come."""
        self._state = State.TALKING
        data, self._held = self._held, b""
        if data:
            cast("Talk", self.exchange).received(data)

    def listen(self, on: bool) -> None:
        """Takes bytes from the client, or lets them wait in its socket."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if on:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def done(self, *, keep: bool) -> None:
        """The answer is complete; `keep` when the client may use the connection again."""
        was, self.exchange = self._state, None
        if not keep:
            if was is State.ANSWERING or self._body.done:
                self._finish()
            else:
                self._linger()
            return
        self._state = State.BETWEEN
        if was is State.ANSWERING:
            self._listen_again()

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # TCP_NODELAY is set by asyncio and uvloop themselves; a test holds them to it.
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
        self.idle_since = self.now()
        if not self.server.joined(self):
            self.send([answers.BUSY])
            self._finish()

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is State.POSTING:
            self._feed(data)
            if self._held:
                self._pump()
        elif state is State.BETWEEN:
            self._held = self._held + data if self._held else data
            self._pump()
        elif state is State.GUEST:
            self._feed_guest(data)
        elif state is State.ANSWERING:
            self._held += data
            if len(self._held) > MAX_AHEAD_BYTES:
                self._is_too_far_ahead()
        elif state is State.SKIPPING:
            self._skip(data)
            if self._held:
                self._pump()
        elif state is State.TALKING:
            cast("Talk", self.exchange).received(data)

    def eof_received(self) -> bool | None:
        if self._guest is not None:
            return self._guest.protocol.eof_received()
        if isinstance(self.exchange, Posting) and self._state is State.ANSWERING:
            # It says nothing more, but hears: the answer that was to wait must come now.
            self.exchange.listen(True)
        return None

    def pause_writing(self) -> None:
        self.paused = True
        if self._guest is not None:
            self._guest.protocol.pause_writing()
        elif self.exchange is not None:
            self.exchange.pause()
            self._stall = self.later(self.server.limits.reader_stall_s, self._cut)

    def resume_writing(self) -> None:
        self.paused = False
        self._cancel_stall()
        if self._guest is not None:
            self._guest.protocol.resume_writing()
        elif self.exchange is not None:
            self.exchange.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.left(self)
        self._transport = None
        self._set_timer(None)
        self._cancel_stall()
        self._state, self._held = State.LINGERING, b""
        if self._guest is not None:
            guest, self._guest = self._guest, None
            guest.protocol.connection_lost(exc)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.lost()

    def close(self) -> None:
        """The server stops: what is written still goes out."""
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------------ messages

    def _pump(self) -> None:
        """Takes up every request that is here and can be begun."""
        while self._held and self._state is State.BETWEEN and self._transport is not None:
            if not self._next_request():
                return
        self._set_timer(None)
        idle = self._state is State.BETWEEN and self._guest is None
        self.idle_since = self.now() if idle else None

    def _next_request(self) -> bool:
        """Begins the request at the front of what is held; False when more of it must come."""
        data = self._held
        if data[:2] == b"\r\n":
            # Some old clients end a body with a line end too many.
            data = self._held = data[2:]
        ours = self._fallback is None or self.server.claims(data)
        if ours is None:
            return self._need_more(data)
        end = data.find(END_OF_HEAD)
        if end < 0 and len(data) <= MAX_HEAD_BYTES:
            return self._need_more(data)
        if not ours:
            return self._to_guest(data)
        if self._guest is not None:
            self._guest.leave()
            self._guest = None
            assert self._transport is not None
            self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
        if end < 0 or end > MAX_HEAD_BYTES:
            return self._refuse(431, b"Request head is too large\n")
        try:
            head = parse_request(data[: end + 4])
            self._body = request_body(head)
        except BadMessage:
            return self._refuse(400, b"400 Bad Request\n")
        self._held = data[end + 4 :]
        self._begin(head)
        return True

    def _begin(self, head: RequestHead) -> None:
        self._state = State.ANSWERING
        if head.method != b"POST" and not self._body.done:
            # Nobody has a reason to send one; it goes unread, and the connection with it.
            head.keep_alive = False
        answer = self.server.answer(self, head)
        if isinstance(answer, bytes):
            keep = head.keep_alive and b"\r\nConnection: close\r\n" not in answer
            self.answer(answer)
            if keep and not self._body.done:
                self._skipped, self._state = 0, State.SKIPPING
                data, self._held = self._held, b""
                self._skip(data)
            elif keep:
                self._state = State.BETWEEN
            elif self._body.done:
                self._finish()
            else:
                self._linger()
            return
        self.exchange = answer
        if not isinstance(answer, Posting):
            answer.begin()
            return
        self._state = State.POSTING
        answer.begin()
        if self.exchange is answer:
            data, self._held = self._held, b""
            if data or self._body.done:
                self._feed(data)
            else:
                answer.wait()

    def _feed(self, data: bytes) -> None:
        """Cuts the body out of `data` for the POST in progress."""
        body, posting = self._body, cast("Posting", self.exchange)
        try:
            piece = body.feed(data) if data else data
        except BadMessage:
            self.exchange = None
            posting.lost()
            self._refuse(400, b"400 Bad Request\n")
            return
        if body.done:
            self._held, body.rest = body.rest, b""
        posting.body(piece, end=body.done)

    def _skip(self, data: bytes) -> None:
        self._skipped += len(data)
        try:
            self._body.feed(data)
        except BadMessage:
            self._skipped = MAX_SKIP_BYTES + 1
        if self._body.done:
            self._state, self._held = State.BETWEEN, self._body.rest
        elif self._skipped > MAX_SKIP_BYTES:
            self._linger()

    def _to_guest(self, data: bytes) -> bool:
        """A request that is not ours: its bytes, and the connection for as long as it lasts."""
        assert self._transport is not None
        assert self._fallback is not None
        if self._guest is None:
            self._transport.set_write_buffer_limits()
            self._guest = Guest(self._fallback(), self._transport)
        self._feed_guest(data)
        return True

    def _feed_guest(self, data: bytes) -> None:
        guest = self._guest
        assert guest is not None
        self._held = b""
        guest.feed(data)
        self._state = State.BETWEEN if guest.between else State.GUEST

    def _need_more(self, data: bytes) -> bool:
        self._held = data
        self.idle_since = None
        if self._timer is None:
            self._set_timer(self.later(self.server.limits.head_s, self._too_slow))
        return False

    def _is_too_far_ahead(self) -> None:
        """It goes on asking before it has heard.

        A publisher's answer is near, so what it says may wait in its socket. A reader's may be
        hours away, and a socket that we do not read from does not tell us that its client has left.
        """
        if isinstance(self.exchange, Posting):
            self.listen(False)
        elif self._transport is not None:
            self._transport.abort()

    def _listen_again(self) -> None:
        if self._held:
            if len(self._held) > MAX_AHEAD_BYTES:
                self.listen(True)
            self.soon(self._pump)
        else:
            self.idle_since = self.now()

    # ------------------------------------------------------------------ ends

    def _refuse(self, status: int, text: bytes) -> bool:
        self.server.counters.bad_requests += 1
        self.send([answers.error(status, text, keep=False)])
        self._linger()
        return False

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(408, b"Request head took too long\n")

    def _cut(self) -> None:
        """A reader takes nothing: only its own data is lost, and it can see that it is."""
        self.server.counters.readers_cut += 1
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        self._state, self._held = State.LINGERING, b""
        if self._transport is not None:
            self._transport.close()

    def _linger(self) -> None:
        self._state, self._held = State.LINGERING, b""
        if self._transport is None or self._transport.is_closing():
            return
        self._set_timer(self.later(LINGER_S, self._finish))
        if self._transport.can_write_eof():
            with suppress(OSError):  # the client may have reset the connection already
                self._transport.write_eof()

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
