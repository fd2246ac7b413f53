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
from trickle.client import Client
from trickle.cursors import Backoff, PublisherCursor, Verdict
from trickle.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    TrickleError,
    UnexpectedAnswer,
)
from trickle.headers import parse_index
from trickle.writing import RETRY_BUDGET_S, RETRY_FIRST_S, RETRY_MOST_S, SegmentWriter

# The segments that a publisher hands out belong to its face.
__all__ = ["SegmentWriter", "TricklePublisher"]

# After the end of a body its answer is a formality.
ANSWER_S: Final = 5.0

# Closing must not hold up whoever is closing.
CLOSE_S: Final = 2.0

# Segments sent but not answered. More than that means the way there is longer than the stream.
MAX_UNANSWERED: Final = 8


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
