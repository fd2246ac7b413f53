"""A reader of a live stream that may wait: it keeps a bounded queue between the stream and itself.

Whoever writes to a socket or a process reads through this. When he falls behind he loses packets
of his own, from a keyframe to a keyframe, so what he does get can still be decoded.
"""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import structlog

from trickle.media.packets import Packet

if TYPE_CHECKING:
    from server.media.stream import LiveStream

# Must hold the whole replay of a group of pictures (`gop.GOP_PACKETS_MAX`) and some seconds more.
READER_PACKETS_MAX: Final = 2048
READER_BYTES_MAX: Final = 16 * 1024 * 1024
_COMPLAIN_EVERY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class StreamReader:
    """Iterate over it; it ends when the stream does, or at `close`.

    Attributes:
        dropped: Packets lost so far because the iteration was too slow.
        end_reason: Why it ended; empty while it has not.
    """

    def __init__(
        self,
        stream: "LiveStream",
        *,
        limit: int = READER_PACKETS_MAX,
        bytes_max: int = READER_BYTES_MAX,
        catch_up: bool = True,
    ) -> None:
        self.dropped = 0
        self.end_reason = ""
        self._stream = stream
        self._limit = limit
        self._bytes_max = bytes_max
        self._queue: deque[Packet] = deque()
        self._bytes = 0
        self._over = False
        self._skipping = False
        self._wake: asyncio.Future[None] | None = None
        self._complained_at: float | None = None
        stream.attach(self, catch_up=catch_up)

    def packet(self, packet: Packet) -> None:
        """The stream calls this."""
        if self._skipping:
            if packet.codec.is_video and not packet.keyframe:
                self._lost(1)
                return
            self._skipping = not packet.codec.is_video
        self._queue.append(packet)
        self._bytes += len(packet.data)
        if len(self._queue) > self._limit or self._bytes > self._bytes_max:
            self._shed()
        self._notify()

    def ended(self, reason: str) -> None:
        """The stream calls this. What is queued can still be read."""
        self._over = True
        self.end_reason = self.end_reason or reason
        self._notify()

    def close(self) -> None:
        """Stops reading; a pending iteration ends."""
        self._stream.detach(self)
        self._queue.clear()
        self._bytes = 0
        self.ended("closed")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Packet:
        while not self._queue:
            if self._over:
                raise StopAsyncIteration
            assert self._wake is None, "one iteration at a time"
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        packet = self._queue.popleft()
        self._bytes -= len(packet.data)
        return packet

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _shed(self) -> None:
        """Goes on at the newest keyframe in the queue, or at the next one to come."""
        queue = self._queue
        newest = 0
        for index in range(len(queue) - 1, 0, -1):
            if queue[index].keyframe and queue[index].codec.is_video:
                newest = index
                break
        if not newest:
            newest = len(queue)
            self._skipping = self._video_was_seen()
        self._lost(newest)
        for _ in range(newest):
            self._bytes -= len(queue.popleft().data)
        if self._skipping:
            self._stream.request_keyframe()

    def _video_was_seen(self) -> bool:
        return any(packet.codec.is_video for packet in self._queue)

    def _lost(self, packets: int) -> None:
        self.dropped += packets
        now = time.monotonic()
        if self._complained_at is None or now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            _log.warning("reader too slow", stream=self._stream.name, dropped=self.dropped)
