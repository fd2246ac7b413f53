"""Publishing on a trickle channel over HTTP.

One POST carries the present segment; the POST for the next one already stands open, so that its
first byte goes out without any handshake. `trickle.local` has the same face inside the server's
process. What an answer means is decided in `trickle.cursors`.
"""

import asyncio
import contextlib
import ssl as ssl_module
from collections import deque
from types import TracebackType
from typing import Final, Self

from trickle import headers
from trickle.asking import Answer, ClientConnection
from trickle.client import Client
from trickle.cursors import Backoff, PublisherCursor, Verdict, judge_post
from trickle.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    TrickleError,
    UnexpectedAnswer,
)
from trickle.headers import parse_index
from trickle.http1 import AnswerHead

# A network that takes nothing for so long will not make a live stream any more.
WRITE_STALL_S: Final = 10.0

# A network that takes a piece of this size within the above is slow, but alive.
PIECE_BYTES: Final = 256 << 10

# After the end of a body its answer is a formality.
ANSWER_S: Final = 5.0

# Closing must not hold up whoever is closing.
CLOSE_S: Final = 2.0

# Segments sent but not answered. More than that means the way there is longer than the stream.
MAX_UNANSWERED: Final = 8

# Trying the same segment again, while nothing of it was sent.
RETRY_FIRST_S: Final = 0.25
RETRY_MOST_S: Final = 2.0
RETRY_BUDGET_S: Final = 8.0


class SegmentWriter:
    """One segment to be filled.

    Attributes:
        seq: Its number.
        dropped: The server closed it under us, or the connection broke inside it. Further bytes go
            nowhere, and the next segment is a fresh start.
    """

    def __init__(self, publisher: "TricklePublisher", seq: int, *, reset: bool) -> None:
        self.seq = seq
        self.dropped = False
        self._publisher = publisher
        self._reset = reset
        self._connection: ClientConnection | None = None
        self._told: asyncio.Future[Answer] | None = None
        self._sent = False
        self._whole = False
        self._over = False

    async def write(self, data: bytes) -> None:
        """Sends bytes to whoever reads, and waits while the network is behind.

        Raises:
            ChannelNotFound: The channel does not exist.
            ChannelClosed: The channel was closed.
            NotAllowed: It wants another token.
            ConnectionFailed: The server is out of reach.
        """
        if data and not self._over:
            await self._send(data, end=False)

    async def close(self) -> None:
        """Ends the segment. Its readers are told at once; the server's answer is read later.

        Raises:
            ChannelNotFound: The channel does not exist.
            ChannelClosed: The channel was closed.
            ConnectionFailed: The server is out of reach.
        """
        if not self._over:
            await self._send(b"", end=True)

    async def finish(self, data: bytes) -> None:
        """Sends the last bytes and the end in one piece, which small readers depend on.

        Raises: As `write`.
        """
        if not self._over:
            await self._send(data, end=True)

    async def abort(self) -> None:
        """Gives the segment up, and lets its readers go on to the next."""
        if self._over:
            return
        self._over = True
        if self._connection is not None:
            self._connection.abort()
        if self._sent:
            await self._publisher._drop(self.seq)  # noqa: SLF001 - its own publisher

    # Called by the publisher.

    def _give_up(self) -> None:
        """Its answer does not come."""
        if self._connection is not None:
            self._connection.abort()
        self._told = None

    async def _open(self) -> None:
        """Puts the request on the wire."""
        publisher = self._publisher
        lines = {"Content-Type": publisher.mime_type, **publisher.client.headers}
        if self._reset:
            lines[headers.RESET] = "1"
        path = f"{publisher.client.address.path}/{self.seq}"
        self._connection = await publisher.client.connect()
        self._told = self._connection.request("POST", path, lines, body=True)

    async def _send(self, data: bytes, *, end: bool) -> None:
        """Sends one piece, over a new connection if need be, as long as nothing went before it."""
        backoff = Backoff(first_s=RETRY_FIRST_S, most_s=RETRY_MOST_S, budget_s=RETRY_BUDGET_S)
        while True:
            reused = self._connection is not None and self._connection.served > 0
            try:
                if self._told is None:
                    await self._open()
                assert self._told is not None
                if not self._told.done():
                    await self._transmit(data, end=end)
                    return
            except ConnectionFailed as error:
                verdict = judge_post(None, closed=False, whole=False, sent=self._sent)
                reason = str(error)
            else:
                # It answered, or broke, before we were done.
                verdict, reason = self._verdict(), self._reason()
            if await self._settle(verdict):
                return
            self._told = None
            # A connection that has served before was simply closed as idle.
            delay_s = 0.0 if reused else backoff.failed(asyncio.get_running_loop().time())
            self._connection = None
            if delay_s is None:
                raise ConnectionFailed(f"segment {self.seq} could not be sent: {reason}")
            await asyncio.sleep(delay_s)

    async def _transmit(self, data: bytes, *, end: bool) -> None:
        connection = self._connection
        assert connection is not None
        view = memoryview(data)
        while len(view) > PIECE_BYTES:
            connection.write(view[:PIECE_BYTES])
            self._sent = True
            await connection.drain(WRITE_STALL_S)
            view = view[PIECE_BYTES:]
        self._sent = self._sent or bool(view)
        if end:
            self._whole = self._over = True
            connection.finish(view)
        else:
            connection.write(view)
        await connection.drain(WRITE_STALL_S)
        if end:
            self._publisher._finished(self)  # noqa: SLF001 - its own publisher

    async def _settle(self, verdict: Verdict) -> bool:
        """Acts on an answer that came too early; False to try the same segment again."""
        if verdict is Verdict.RETRY:
            return False
        publisher = self._publisher
        self._over = True
        if verdict is Verdict.GONE:
            raise ChannelNotFound(publisher.name)
        if verdict is Verdict.REFUSED:
            raise NotAllowed(publisher.name)
        if verdict is Verdict.ENDED:
            raise ChannelClosed(publisher.name)
        publisher.dropped += 1
        self.dropped = True
        if verdict is Verdict.BROKEN:
            await publisher._drop(self.seq)  # noqa: SLF001 - its own publisher
        return True

    def _answer_head(self) -> AnswerHead | None:
        told = self._told
        if told is None or not told.done() or told.cancelled() or told.exception() is not None:
            return None
        return told.result().head

    def _reason(self) -> str:
        head = self._answer_head()
        return "the connection broke" if head is None else f"status {head.status}"

    def _verdict(self) -> Verdict:
        head = self._answer_head()
        return judge_post(
            None if head is None else head.status,
            closed=head is not None and head.header(headers.CLOSED) is not None,
            whole=self._whole,
            sent=self._sent,
        )


class TricklePublisher:
    """Publishes one channel, segment by segment.

    ```python
    async with TricklePublisher("http://127.0.0.1:8935/ai/trickle/demo") as publisher:
        segment = await publisher.next()
        await segment.write(b"...")
        await segment.close()
    ```
    Leaving it closes the channel for everybody.

    Attributes:
        client: Its connections.
        name: Of the channel.
        mime_type: Sent with every segment.
        dropped: Segments that were closed under us or broke on the way.
    """

    def __init__(
        self,
        url: str,
        *,
        mime_type: str = "video/MP2T",
        ssl: ssl_module.SSLContext | None = None,
        token: str | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: Of the channel.
            mime_type: Of its segments.
            ssl: For https; verification is on by default.
            token: That gives the right to publish, where the server asks for one.
        """
        self.client = Client(url, ssl, token=token)
        self.name = self.client.address.name
        self.mime_type = mime_type
        self.dropped = 0
        self._cursor: PublisherCursor | None = None
        self._ahead: asyncio.Task[SegmentWriter] | None = None
        self._unanswered: deque[SegmentWriter] = deque()
        self._closed = False
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        # So that the first segment, too, finds its connection standing.
        self._ahead = self._connect_ahead()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def next(self) -> SegmentWriter:
        """Returns the next segment to fill, and connects for the one after it.

        Raises:
            ChannelNotFound: The channel does not exist, as a segment before may have learnt.
            ChannelClosed: The channel was closed.
            NotAllowed: It wants another token.
            ConnectionFailed: The server is out of reach.
        """
        async with self._turn:
            self._read_answers()
            while len(self._unanswered) >= MAX_UNANSWERED:
                await self._await_answer(self._unanswered[0])
            if self._ahead is None:
                self._ahead = self._connect_ahead()
            try:
                # Kept when we are cancelled: a number once given out must be used.
                writer = await asyncio.shield(self._ahead)
            except TrickleError:
                self._ahead = None
                raise
            self._ahead = self._connect_ahead()
            return writer

    async def publish(self, data: bytes) -> None:
        """Publishes `data` as one segment, in one piece on the wire.

        Raises: As `next` and `SegmentWriter.write`.
        """
        writer = await self.next()
        await writer.finish(data)

    async def flush(self) -> None:
        """Waits until the server has answered for every segment that was ended.

        Raises: As `next`.
        """
        while self._unanswered:
            await self._await_answer(self._unanswered[0])

    async def close(self) -> None:
        """Ends the channel for everybody. Does its best, for a moment, and never raises."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_S):
                with contextlib.suppress(TrickleError):
                    await self.flush()
                # While the next POST still stands: the server then tells it that this is the end.
                with contextlib.suppress(ConnectionFailed):
                    await self.client.ask("DELETE", self.client.address.path)
        except TimeoutError:
            pass
        finally:
            if self._ahead is not None:
                self._ahead.cancel()
                await asyncio.wait([self._ahead])
                if not self._ahead.cancelled():
                    self._ahead.exception()
            await self.client.close()

    # ------------------------------------------------------------------ inside

    async def _first_seq(self) -> int:
        """Where the channel stands. Servers before `next` existed answer 400: they start at 0."""
        backoff = Backoff(first_s=RETRY_FIRST_S, most_s=RETRY_MOST_S, budget_s=RETRY_BUDGET_S)
        while True:
            try:
                answer = await self.client.ask("GET", f"{self.client.address.path}/next")
            except ConnectionFailed:
                delay_s = backoff.failed(asyncio.get_running_loop().time())
                if delay_s is None:
                    raise
                await asyncio.sleep(delay_s)
                continue
            if answer.head.header(headers.CLOSED) is not None:
                raise ChannelClosed(self.name)
            if answer.head.status == 401:
                raise NotAllowed(self.name)
            if answer.head.status == 404:
                # A server that makes channels on demand has none yet; the POST will tell.
                return 0
            if answer.head.status not in (200, 400):
                raise UnexpectedAnswer(f"GET next of {self.name}", answer.head.status)
            latest = parse_index(answer.head.header(headers.LATEST) or "")
            return latest if latest is not None and latest >= 0 else 0

    def _connect_ahead(self) -> "asyncio.Task[SegmentWriter]":
        # The number is given out here, before anything can wait.
        place = None if self._cursor is None else self._cursor.take()
        return asyncio.create_task(self._open(place), name=f"trickle.ahead.{self.name}")

    async def _open(self, place: tuple[int, bool] | None) -> SegmentWriter:
        """Connects for one segment. A failure is left to its first write, which tries again."""
        if place is None:
            self._cursor = PublisherCursor(await self._first_seq())
            place = self._cursor.take()
        seq, first = place
        writer = SegmentWriter(self, seq, reset=first)
        with contextlib.suppress(ConnectionFailed):
            await writer._open()  # noqa: SLF001 - its own writer
        return writer

    def _finished(self, writer: SegmentWriter) -> None:
        self._unanswered.append(writer)
        self._read_answers()

    def _read_answers(self) -> None:
        """Looks at the answers that are here."""
        while self._unanswered:
            told = self._unanswered[0]._told  # noqa: SLF001 - its own writer
            if told is not None and not told.done():
                return
            self._read_answer(self._unanswered.popleft())

    def _read_answer(self, writer: SegmentWriter) -> None:
        match writer._verdict():  # noqa: SLF001 - its own writer
            case Verdict.GONE:
                raise ChannelNotFound(self.name)
            case Verdict.ENDED:
                raise ChannelClosed(self.name)
            case Verdict.REFUSED:
                raise NotAllowed(self.name)
            case Verdict.PUBLISHED:
                pass
            case Verdict.DROPPED | Verdict.BROKEN | Verdict.RETRY:
                self.dropped += 1
                writer.dropped = True

    async def _await_answer(self, writer: SegmentWriter) -> None:
        told = writer._told  # noqa: SLF001 - its own writer
        if told is not None:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await asyncio.shield(told)
            except ConnectionFailed:
                pass
            except TimeoutError:
                writer._give_up()  # noqa: SLF001 - its own writer
        self._read_answers()

    async def _drop(self, seq: int) -> None:
        """Releases the readers of a segment that will not be ended."""
        with contextlib.suppress(ConnectionFailed, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.client.ask("DELETE", f"{self.client.address.path}/{seq}")
