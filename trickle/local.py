"""Publishing and reading inside the server's process, with function calls for sockets.

The faces are those of `trickle.publisher` and `trickle.subscriber`. `trickle.serve` hands them out.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from trickle.channel import CURRENT, Channel, Writing
from trickle.cursors import Deliver, End, PublisherCursor, SubscriberCursor
from trickle.errors import ChannelClosed, ChannelNotFound, EndOfStream, SegmentError
from trickle.headers import NO_SEGMENT
from trickle.segment import Segment

if TYPE_CHECKING:
    from trickle.serve import TrickleServer


class LocalWriter:
    """One segment to be filled. Its bytes are with every reader when `write` returns.

    Attributes:
        seq: Its number.
        dropped: It was closed under us: further bytes go nowhere.
    """

    def __init__(self, server: "TrickleServer", channel: Channel, writing: Writing) -> None:
        self.seq = writing.segment.seq
        self._server = server
        self._channel = channel
        self._writing = writing
        self._over = False

    @property
    def dropped(self) -> bool:
        return not self._over and self._writing.segment.ended

    async def write(self, data: bytes) -> None:
        """Adds bytes.

        Raises:
            ChannelClosed: The channel was closed.
            SegmentTooLarge: The segment is full, and ends here.
        """
        self._send(data, end=False)

    async def close(self) -> None:
        """Ends the segment."""
        self._send(b"", end=True)

    async def finish(self, data: bytes) -> None:
        """Adds the last bytes and the end, of which readers hear at once."""
        self._send(data, end=True)

    async def abort(self) -> None:
        """Gives the segment up, and lets its readers go on to the next."""
        if not self._over:
            self._over = True
            self._writing.segment.end(self._now(), truncated=True)
            self._channel.abandon(self._writing, now=self._now())

    def _send(self, data: bytes, *, end: bool) -> None:
        if self._over:
            return
        if self._channel.closed:
            self._over = True
            raise ChannelClosed(self._channel.name)
        self._over = end
        self._server.counters.bytes_in += len(data)
        self._server.counters.segments_in += end
        self._channel.write(self._writing, data, now=self._now(), end=end)
        self._server.watch_timers(self._channel)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class LocalPublisher:
    """Publishes one channel, segment by segment."""

    def __init__(self, server: "TrickleServer", name: str, *, mime_type: str) -> None:
        self.name = name
        self.mime_type = mime_type
        self._server = server
        self._cursor: PublisherCursor | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def next(self) -> LocalWriter:
        """Returns the next segment to fill.

        Raises:
            ChannelNotFound: The channel does not exist, and the server does not make it.
        """
        channel = self._server.find(self.name, mime_type=self.mime_type)
        now = asyncio.get_running_loop().time()
        if self._cursor is None or self._cursor.next_seq < channel.next_seq:
            # The first, or somebody else has published meanwhile.
            self._cursor = PublisherCursor(channel.next_seq)
        seq, _ = self._cursor.take()
        writing = channel.open_write(seq, now=now)
        return LocalWriter(self._server, channel, writing)

    async def publish(self, data: bytes) -> None:
        """Publishes `data` as one segment.

        Raises: As `next` and `LocalWriter.write`.
        """
        writer = await self.next()
        await writer.finish(data)

    async def close(self) -> None:
        """Ends the channel for everybody."""
        self._server.close_channel(self.name)


class _Waiter:
    """Hears of a segment's changes on behalf of a task."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._changed: asyncio.Future[None] | None = None

    def changed(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def wait(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        self._segment.watch(self)
        try:
            await self._changed
        finally:
            self._segment.unwatch(self)


class LocalReader:
    """One segment being read: iterate over it for its bytes as they come."""

    def __init__(self, server: "TrickleServer", channel: Channel, segment: Segment) -> None:
        self.seq = segment.seq
        self.mime_type = channel.mime_type
        self._server = server
        self._segment = segment
        self._at = 0

    @property
    def truncated(self) -> bool:
        return self._segment.truncated

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def read(self) -> bytes:
        """The rest of the segment, once it is complete."""
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """The rest is not wanted."""

    async def _chunks(self) -> AsyncIterator[bytes]:
        segment, waiter = self._segment, _Waiter(self._segment)
        while True:
            while self._at < len(segment.chunks):
                data = segment.chunks[self._at]
                self._at += 1
                self._server.counters.bytes_out += len(data)
                yield data
            if segment.ended:
                return
            await waiter.wait()


class LocalSubscriber:
    """Reads one channel, segment by segment, for as long as it lasts."""

    def __init__(
        self,
        server: "TrickleServer",
        name: str,
        *,
        start: int = CURRENT,
        complete: bool = False,
        max_behind: int | None = None,
    ) -> None:
        self.name = name
        self.cursor = SubscriberCursor(start, complete=complete, max_behind=max_behind)
        self._server = server
        self._channel: Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[LocalReader]:
        return self._segments()

    def seek(self, seq: int) -> None:
        """Goes to a number, NEXT or CURRENT."""
        self.cursor.seek(seq)

    async def next(self) -> LocalReader:
        """Waits for the next segment to begin.

        Raises:
            EndOfStream: The channel was closed.
            ChannelNotFound: There is no such channel.
        """
        loop = asyncio.get_running_loop()
        while True:
            channel = self._find()
            status, latest = 200, channel.next_seq
            segment: Segment | None = None
            try:
                segment = channel.open_read(self.cursor.position, now=loop.time())
            except SegmentError:
                status = NO_SEGMENT
            else:
                # From here on it is this one, also when we are cancelled and come back.
                self.cursor.position = segment.seq
                self._server.watch_timers(channel)
                waiter = _Waiter(segment)
                while not segment.chunks and not segment.ended:
                    await waiter.wait()
                if segment.void:
                    status = NO_SEGMENT
            step = self.cursor.answered(
                status,
                seq=None if segment is None else segment.seq,
                latest=latest if segment is None or not segment.void else channel.next_seq,
                oldest=channel.oldest,
                closed=channel.closed and (segment is None or not segment.chunks),
                now=loop.time(),
            )
            if isinstance(step, Deliver) and segment is not None:
                return LocalReader(self._server, channel, segment)
            if isinstance(step, End):
                raise EndOfStream(self.name)
            if not isinstance(step, Deliver) and step is not None:
                await asyncio.sleep(step.delay_s)

    async def close(self) -> None:
        """Nothing is held."""

    def _find(self) -> Channel:
        found = self._server.channels.get(self.name)
        if found is None:
            if self._channel is not None:
                raise EndOfStream(self.name)
            raise ChannelNotFound(self.name)
        self._channel = found
        return found

    async def _segments(self) -> AsyncIterator[LocalReader]:
        with contextlib.suppress(EndOfStream):
            while True:
                yield await self.next()
