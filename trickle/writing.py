"""One segment on its way from a publisher to a server over HTTP.

`trickle.publisher` opens these ahead of their first byte, and reads their answers. What an answer
means is decided in `trickle.cursors`.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from trickle import headers
from trickle.asking import Answer, ClientConnection
from trickle.cursors import Backoff, Verdict, judge_post
from trickle.errors import ChannelClosed, ChannelNotFound, ConnectionFailed, NotAllowed
from trickle.http1 import AnswerHead

if TYPE_CHECKING:
    from trickle.publisher import TricklePublisher

# A network that takes nothing for so long will not make a live stream any more.
WRITE_STALL_S: Final = 10.0

# A network that takes a piece of this size within the above is slow, but alive.
PIECE_BYTES: Final = 256 << 10

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
