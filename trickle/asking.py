"""One connection of a client: asks, and takes the answers, whose bodies come as they come.

One request at a time, and its head is on the wire as soon as it is sent, with no byte of a body:
trickle connects ahead of its segments, and general clients hold the head back until the body
begins. `trickle.client` opens these.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final, cast

from trickle.address import Address
from trickle.errors import ConnectionFailed
from trickle.http1 import (
    CRLF,
    END_OF_HEAD,
    LAST_CHUNK,
    MAX_HEAD_BYTES,
    AnswerHead,
    BadMessage,
    Body,
    ChunkedBody,
    answer_body,
    parse_answer,
)

# What an application has not read yet, before the server is made to wait.
MAX_UNREAD_BYTES: Final = 1 << 20

# What the network has not taken yet, before a writer is made to wait.
MAX_UNSENT_BYTES: Final = 256 << 10

# Connections kept for the next request: one flows, one waits ahead, one has just come free.
MAX_SPARE: Final = 2


class Answer:
    """An answer whose head is here; its body may still be on the way.

    Attributes:
        head: Status and headers.
        trailers: What came behind the body, once it has ended.
    """

    def __init__(self, head: AnswerHead, connection: "ClientConnection") -> None:
        self.head = head
        self.trailers: list[bytes] = []
        self._connection: ClientConnection | None = connection
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._ended = False
        self._error: ConnectionFailed | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the whole body has been taken."""
        return self._ended and not self._unread

    async def chunk(self) -> bytes:
        """The next bytes of the body, as they came; empty at its end.

        Raises:
            ConnectionFailed: The connection broke before the end.
        """
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._unread.popleft()
        self._unread_bytes -= len(data)
        if self._connection is not None and self._unread_bytes < MAX_UNREAD_BYTES // 2:
            self._connection.want_more()
        return data

    def put_back(self, data: bytes) -> None:
        """Makes `data` what `chunk` returns next."""
        self._unread.appendleft(data)
        self._unread_bytes += len(data)

    def abandon(self) -> None:
        """Nobody will read the rest: a connection still busy with it is of no more use."""
        if self._connection is not None:
            self._connection.abort()

    # Called by the connection.

    def feed(self, data: bytes) -> bool:
        """Takes bytes; False when the reader is too far behind for more."""
        self._unread.append(data)
        self._unread_bytes += len(data)
        self._wake()
        return self._unread_bytes < MAX_UNREAD_BYTES

    def end(self, error: ConnectionFailed | None = None) -> None:
        self._connection = None
        self._ended, self._error = error is None, error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ClientConnection(asyncio.Protocol):
    """One connection to a server.

    Attributes:
        alive: It can still carry bytes.
        served: Answers it has carried; one that has may have been closed by the server since.
    """

    def __init__(self, address: Address, spare: list["ClientConnection"]) -> None:
        self.alive = False
        self.served = 0
        self._address = address
        self._spare = spare
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._held = b""
        self._method = b""
        self._sending = False
        self._told: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._body: Body | ChunkedBody = Body(0)
        self._keep = False
        self._writable: asyncio.Future[None] | None = None
        self._paused_reading = False

    # ------------------------------------------------------------------ requests

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: bool = False,
    ) -> "asyncio.Future[Answer]":
        """Sends a request's head at once. The future is the answer, when its head has come.

        With `body`, a chunked body follows by `write` and `finish`.

        Raises:
            ConnectionFailed: It is not connected any more.
        """
        transport = self._alive()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append("Transfer-Encoding: chunked")
        elif method == "POST":
            lines.append("Content-Length: 0")
        self._method = method.encode("ascii")
        self._sending = body
        self._told = self._loop.create_future()
        # An answer that nobody waits for any more must not be reported as forgotten.
        self._told.add_done_callback(_retrieve)
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return self._told

    def write(self, data: bytes | memoryview) -> None:
        """Sends bytes of the body, as one chunk.

        Raises:
            ConnectionFailed: The connection is gone.
        """
        self._alive().writelines((b"%x\r\n" % len(data), data, CRLF))

    def finish(self, data: bytes | memoryview = b"") -> None:
        """Sends the last bytes of the body and its end, in one piece.

        Raises:
            ConnectionFailed: The connection is gone.
        """
        transport = self._alive()
        if data:
            transport.writelines((b"%x\r\n" % len(data), data, CRLF + LAST_CHUNK))
        else:
            transport.write(LAST_CHUNK)
        self._sending = False
        self._release_if_idle()

    async def drain(self, timeout_s: float) -> None:
        """Waits while too much is unsent.

        Raises:
            ConnectionFailed: The connection is gone, or took nothing for `timeout_s`.
        """
        if self._writable is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._writable)
        except TimeoutError:
            self.abort()
            raise ConnectionFailed(
                f"{self._address.authority} took no bytes for {timeout_s:.0f} s"
            ) from None

    def want_more(self) -> None:
        if self._paused_reading and self._transport is not None:
            self._paused_reading = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes at once, whatever is going on."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Closes at once, and waits until nothing is left of it."""
        self.abort()
        await asyncio.shield(self._lost)

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self.alive = True

    def data_received(self, data: bytes) -> None:
        try:
            while data:
                data = self._take(data)
        except BadMessage as error:
            self._fail(ConnectionFailed(f"{self._address.authority} does not speak HTTP: {error}"))
            self.abort()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self._writable.add_done_callback(_retrieve)

    def resume_writing(self) -> None:
        if self._writable is not None:
            writable, self._writable = self._writable, None
            if not writable.done():
                writable.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's face
        self.alive = False
        self._transport = None
        self._lost.set_result(None)
        if self in self._spare:
            self._spare.remove(self)
        if self._answer is not None and self._body.length is None and isinstance(self._body, Body):
            # The end of the connection is the end of such a body.
            answer, self._answer = self._answer, None
            answer.end()
        self._fail(ConnectionFailed(f"{self._address.authority} closed the connection"))

    # ------------------------------------------------------------------ inside

    def _alive(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionFailed(f"the connection to {self._address.authority} is gone")
        return self._transport

    def _take(self, data: bytes) -> bytes:
        if self._answer is not None:
            return self._take_body(data)
        self._held += data
        end = self._held.find(END_OF_HEAD)
        if end < 0:
            if len(self._held) > MAX_HEAD_BYTES:
                raise BadMessage("the head of an answer is too long")
            return b""
        data, rest = self._held[: end + 4], self._held[end + 4 :]
        self._held = b""
        head = parse_answer(data)
        if 100 <= head.status < 200:
            # The server says that it is still there, as often as it likes.
            return rest
        if self._told is None:
            raise BadMessage("an answer to nothing")
        self._body = answer_body(head, to_head=self._method == b"HEAD")
        self._keep = head.keep_alive
        self._answer = Answer(head, self)
        if not self._told.done():
            self._told.set_result(self._answer)
        self._told = None
        if self._body.done:
            self._complete()
        return rest

    def _take_body(self, data: bytes) -> bytes:
        answer, body = self._answer, self._body
        assert answer is not None
        piece = body.feed(data)
        if piece and not answer.feed(piece) and self._transport is not None:
            self._paused_reading = True
            self._transport.pause_reading()
        if not body.done:
            return b""
        self._complete()
        return body.rest

    def _complete(self) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        self.served += 1
        if isinstance(self._body, ChunkedBody):
            answer.trailers = self._body.trailers
        self.want_more()
        if self._keep:
            self._release_if_idle()
        if not self._keep and self._transport is not None:
            self._transport.close()
        answer.end()

    def _release_if_idle(self) -> None:
        """Puts it aside for the next request, once both sides have finished this one."""
        if self._sending or self._told is not None or self._answer is not None or not self._keep:
            return
        if len(self._spare) < MAX_SPARE and self.alive:
            self._spare.append(self)
        elif self._transport is not None:
            self._transport.close()

    def _fail(self, error: ConnectionFailed) -> None:
        if self._told is not None and not self._told.done():
            self._told.set_exception(error)
        self._told = None
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.end(error)
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(error)
        self._writable = None


def _retrieve(future: "asyncio.Future[Answer] | asyncio.Future[None]") -> None:
    if not future.cancelled():
        future.exception()
