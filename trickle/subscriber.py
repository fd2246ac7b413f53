"""Reading a trickle channel over HTTP.

While one segment is being read, the GET for the next one already stands open. `trickle.local` has
the same face inside the server's process. What an answer means is decided in `trickle.cursors`.
"""

import asyncio
import contextlib
import ssl as ssl_module
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from trickle import headers
from trickle.asking import Answer, ClientConnection
from trickle.channel import CURRENT
from trickle.client import Client
from trickle.cursors import Backoff, Deliver, End, SubscriberCursor
from trickle.errors import (
    ChannelNotFound,
    ConnectionFailed,
    EndOfStream,
    NotAllowed,
    UnexpectedAnswer,
)
from trickle.headers import parse_index

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 2.0
RETRY_BUDGET_S: Final = 15.0

# A GET that waits is asked again this often, over a new connection: the machine at the other end
# may have vanished without a word.
REFRESH_S: Final = 60.0


class SegmentReader:
    """One segment being read: iterate over it for its bytes as they come.

    Attributes:
        seq: Its number.
        mime_type: What the channel says it holds; may be empty.
        truncated: It is not whole: its publisher did not finish it, or the connection broke, and
            the rest was gone before it could be had. Known at its end.
    """

    def __init__(
        self, subscriber: "TrickleSubscriber", seq: int, mime_type: str, answer: Answer
    ) -> None:
        self.seq = seq
        self.mime_type = mime_type
        self._subscriber = subscriber
        self.truncated = False
        self._answer = answer
        self._delivered = 0
        self._backoff = _backoff()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def read(self) -> bytes:
        """The rest of the segment, once it is complete.

        Raises:
            ConnectionFailed: It broke, and could not be taken up again.
        """
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """The rest is not wanted."""
        self._answer.abandon()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            try:
                data = await self._answer.chunk()
            except ConnectionFailed as error:
                if not await self._resume(error):
                    self.truncated = True
                    return
                continue
            if not data:
                self.truncated = _says_truncated(self._answer)
                return
            self._backoff.succeeded()
            self._delivered += len(data)
            yield data

    async def _resume(self, error: ConnectionFailed) -> bool:
        """Asks for the rest of the same segment; False if it is gone.

        A server that does not know of offsets sends all of it, and we pass over what we had.
        """
        self._subscriber.resumed += 1
        while True:
            delay_s = self._backoff.failed(asyncio.get_running_loop().time())
            if delay_s is None:
                raise error
            await asyncio.sleep(delay_s)
            try:
                subscriber, had = self._subscriber, self._delivered
                _, told = await subscriber._ask(self.seq, offset=had)  # noqa: SLF001 - its own
                answer = await told
                if answer.head.status != 200:
                    answer.abandon()
                    return False
                begins = parse_index(answer.head.header(headers.OFFSET) or "0") or 0
                if begins > had or not await _pass_over(answer, had - begins):
                    return False
            except ConnectionFailed as another:
                error = another
            else:
                self._answer = answer
                return True


def _says_truncated(answer: Answer) -> bool:
    name = headers.TRUNCATED.lower().encode()
    behind = any(line.lower().startswith(name) for line in answer.trailers)
    return behind or answer.head.header(headers.TRUNCATED) is not None


async def _pass_over(answer: Answer, size: int) -> bool:
    """Reads `size` bytes away; False when there were not so many."""
    while size > 0:
        data = await answer.chunk()
        if not data:
            return False
        size -= len(data)
        if size < 0:
            answer.put_back(data[size:])
    return True


class TrickleSubscriber:
    """Reads one channel, segment by segment, for as long as it lasts.

    ```python
    async with TrickleSubscriber("http://127.0.0.1:8935/ai/trickle/demo") as subscriber:
        async for segment in subscriber:
            async for chunk in segment:
                ...
    ```

    Attributes:
        client: Its connections.
        name: Of the channel.
        cursor: Where it is, and what it had to skip.
        resumed: How often a broken connection was taken up again inside a segment.
    """

    def __init__(
        self,
        url: str,
        *,
        start: int = CURRENT,
        ssl: ssl_module.SSLContext | None = None,
        complete: bool = False,
        max_behind: int | None = None,
        token: str | None = None,
        reader: str = "",
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: Of the channel.
            start: A number, NEXT (for events, which one must not see twice), or CURRENT (for
                media: a picture at once, at the price of some old bytes).
            ssl: For https; verification is on by default.
            complete: See `SubscriberCursor`.
            max_behind: See `SubscriberCursor`.
            token: That gives the right to read, where the server asks for one.
            reader: A name of its own. On a lossless channel publishers wait for readers with one.
        """
        self.client = Client(url, ssl, token=token)
        # That we read what follows a body, which is where a segment may say that it was cut.
        self._lines = {"TE": "trailers", "Connection": "TE", **self.client.headers}
        if reader:
            self._lines[headers.READER] = reader
        self.name = self.client.address.name
        self.cursor = SubscriberCursor(start, complete=complete, max_behind=max_behind)
        self.resumed = 0
        self._ahead: asyncio.Task[tuple[ClientConnection, asyncio.Future[Answer]]] | None = None
        self._reader: SegmentReader | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[SegmentReader]:
        return self._segments()

    async def next(self) -> SegmentReader:
        """Waits for the next segment to begin. What was not read of the last one is dropped.

        Raises:
            EndOfStream: The publisher closed the channel.
            ChannelNotFound: There is no such channel, or no more.
            NotAllowed: It wants another token.
            ConnectionFailed: The server is out of reach.
            UnexpectedAnswer: It said something outside the protocol.
        """
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        backoff = _backoff()
        loop = asyncio.get_running_loop()
        while True:
            try:
                answer = await self._answer()
            except ConnectionFailed:
                delay_s = backoff.failed(loop.time())
                if delay_s is None:
                    raise
                await asyncio.sleep(delay_s)
                continue
            head = answer.head
            step = self.cursor.answered(
                head.status,
                seq=parse_index(head.header(headers.SEQ) or ""),
                latest=parse_index(head.header(headers.LATEST) or ""),
                oldest=parse_index(head.header(headers.OLDEST) or ""),
                closed=head.header(headers.CLOSED) is not None,
                now=loop.time(),
            )
            if isinstance(step, Deliver):
                self._connect_ahead()
                mime_type = head.header("content-type") or ""
                self._reader = SegmentReader(self, step.seq, mime_type, answer)
                return self._reader
            await self._drain(answer)
            if head.status == 401:
                raise NotAllowed(self.name)
            if isinstance(step, End):
                raise EndOfStream(self.name) if step.clean else ChannelNotFound(self.name)
            if step is None:
                delay_s = backoff.failed(loop.time())
                if head.status < 500 or delay_s is None:
                    raise UnexpectedAnswer(f"GET {self.name}/{self.cursor.position}", head.status)
            else:
                delay_s = step.delay_s
            await asyncio.sleep(delay_s)

    def seek(self, seq: int) -> None:
        """Goes to a number, NEXT or CURRENT; the next `next` begins there."""
        self.cursor.seek(seq)
        self._forget_ahead()

    async def close(self) -> None:
        """Lets go of every connection."""
        self._reader = None
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            ahead.cancel()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()
        await self.client.close()

    # ------------------------------------------------------------------ inside

    async def _segments(self) -> AsyncIterator[SegmentReader]:
        with contextlib.suppress(EndOfStream):
            while True:
                yield await self.next()

    async def _answer(self) -> Answer:
        """The answer for the present position, from the GET that stands ahead or from a new one.

        Being cancelled costs nothing: the GET stands on for the next call.
        """
        while True:
            if self._ahead is None:
                self._connect_ahead()
            assert self._ahead is not None
            ahead = self._ahead
            try:
                async with asyncio.timeout(REFRESH_S):
                    _, told = await asyncio.shield(ahead)
                    answer = await asyncio.shield(told)
            except TimeoutError:
                self._forget_ahead()
            except ConnectionFailed:
                self._ahead = None
                raise
            else:
                self._ahead = None
                return answer

    def _forget_ahead(self) -> None:
        """The GET that stands ahead is of no more use; its connection neither."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.cancel() or ahead.cancelled():
            return
        if ahead.exception() is None:
            ahead.result()[0].abort()

    def _connect_ahead(self) -> None:
        position = self.cursor.position
        self._ahead = asyncio.create_task(self._ask(position), name=f"trickle.ahead.{self.name}")

    async def _ask(
        self, seq: int, *, offset: int = 0
    ) -> tuple[ClientConnection, "asyncio.Future[Answer]"]:
        connection = await self.client.connect()
        path = f"{self.client.address.path}/{seq}"
        if offset:
            path += f"?offset={offset}"
        return connection, connection.request("GET", path, self._lines)

    async def _drain(self, answer: Answer) -> None:
        """Reads an answer that is no segment to its end: the connection can then be used again."""
        with contextlib.suppress(ConnectionFailed):
            while await answer.chunk():
                pass


def _backoff() -> Backoff:
    return Backoff(first_s=RETRY_FIRST_S, most_s=RETRY_MOST_S, budget_s=RETRY_BUDGET_S)
