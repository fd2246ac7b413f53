"""One live job: a stream's packets out to one orchestrator, its results back.

`run` returns when the source ends and raises when the orchestrator fails. It never goes elsewhere:
choosing another orchestrator is the caller's business, and needs a new LiveJob.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog

from server.errors import OrchestratorFailed
from server.gateway.latency import LatencyMeter
from server.gateway.orchestrators import JobUrls
from server.media.segmenter import Segmenter
from server.media.stream import LiveStream, StreamReader
from trickle.errors import TrickleError
from trickle.lines import JsonPublisher, JsonSubscriber
from trickle.media.mpegts import TsDemuxer
from trickle.publisher import SegmentWriter, TricklePublisher
from trickle.subscriber import TrickleSubscriber
from trickle.tasks import alongside

log = structlog.get_logger(__name__)

# Keeps the control channel, and whatever lies between, from being taken for dead.
KEEPALIVE_S: Final = 10.0

# A browser sends a keyframe only when asked. A segment can be cut at none other, and a runner that
# lost its place finds it again there.
KEYFRAME_EVERY_S: Final = 2.0

# Once the input has ended, the runner has this long to send what it still holds.
DRAIN_S: Final = 2.0


class LiveJob:
    """Carries one stream through one orchestrator.

    Attributes:
        urls: Where its channels are.
        latency: How long pictures are away.
        sending: Whether pictures have gone out; False while the source waits for a keyframe.
    """

    def __init__(
        self,
        urls: JobUrls,
        *,
        source: LiveStream,
        output: LiveStream,
        on_event: Callable[[Mapping[str, Any]], None],
        on_latency: Callable[[float], None],
        segment_min_s: float,
        result_timeout_s: float,
    ) -> None:
        self.urls = urls
        self.latency = LatencyMeter()
        self.sending = False
        self._source = source
        self._output = output
        self._on_event = on_event
        self._on_latency = on_latency
        self._segment_min_s = segment_min_s
        self._result_timeout_s = result_timeout_s
        self._params: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(maxsize=16)
        self._sent_at = self._result_at = float("-inf")
        self._begun_at = time.monotonic()
        self._ending = False

    def update(self, params: Mapping[str, Any]) -> None:
        """Sends parameters to the runner; of many in a hurry the oldest are forgotten."""
        if self._params.full():
            self._params.get_nowait()
        self._params.put_nowait(params)

    async def run(self) -> None:
        """Runs until the source ends and its last results have come.

        Raises:
            OrchestratorFailed: A channel closed under us, broke, or results stopped coming.
        """
        try:
            async with (
                alongside(
                    self._while_it_lasts(self._control()),
                    self._while_it_lasts(self._events()),
                    self._watch(),
                ),
                asyncio.TaskGroup() as media,
            ):
                receiving = media.create_task(self._receive(), name="live.receive")
                await self._send()
                try:
                    async with asyncio.timeout(DRAIN_S):
                        await asyncio.shield(receiving)
                except TimeoutError:
                    receiving.cancel()
        except* (OrchestratorFailed, TrickleError, ConnectionError, TimeoutError) as group:
            # One clause: two that both apply would leave as a group, which nobody expects.
            error = _first(group)
            if isinstance(error, OrchestratorFailed):
                raise error from None
            raise OrchestratorFailed(f"{self.urls.orchestrator}: {error}") from group
        finally:
            self._output.pause()

    async def _send(self) -> None:
        reader = StreamReader(self._source)
        segmenter = Segmenter(min_segment_s=self._segment_min_s)
        keyframe_at = time.monotonic()
        try:
            async with TricklePublisher(self.urls.publish) as publisher:
                writer: SegmentWriter | None = None
                async for packet in reader:
                    now = time.monotonic()
                    if packet.codec.is_video:
                        if packet.keyframe:
                            keyframe_at = now
                        elif now - keyframe_at > KEYFRAME_EVERY_S:
                            self._source.request_keyframe()
                        self.latency.sent(packet.pts, now)
                        self._sent_at, self.sending = now, True
                    for piece in segmenter.feed(packet):
                        if piece.new_segment:
                            if writer is not None:
                                await writer.close()
                            writer = await publisher.next()
                        assert writer is not None, "a segmenter's first piece opens a segment"
                        await writer.write(piece.data)
                self._ending = True
                if writer is not None:
                    await writer.close()
        finally:
            reader.close()

    async def _receive(self) -> None:
        demuxer = TsDemuxer()
        self._output.begin(None)
        async with TrickleSubscriber(self.urls.subscribe) as subscriber:
            async for segment in subscriber:
                async for chunk in segment:
                    now = time.monotonic()
                    for packet in demuxer.feed(chunk):
                        if packet.codec.is_video:
                            self._result_at = now
                            away_s = self.latency.received(packet.pts, now)
                            if away_s is not None:
                                self._on_latency(away_s)
                        self._output.publish(packet)
        for packet in demuxer.flush():
            self._output.publish(packet)
        if not self._ending:
            raise OrchestratorFailed(f"{self.urls.orchestrator} ended the job")

    async def _while_it_lasts(self, work: Coroutine[object, object, None]) -> None:
        """Once we have ended the input, the orchestrator closes every channel: no failure then."""
        try:
            await work
        except (TrickleError, ConnectionError):
            if not self._ending:
                raise

    async def _control(self) -> None:
        async with TricklePublisher(self.urls.control, mime_type="application/json") as channel:
            control = JsonPublisher(channel)
            while True:
                try:
                    async with asyncio.timeout(KEEPALIVE_S):
                        params = await self._params.get()
                except TimeoutError:
                    params = {"keep": "alive"}
                await control.send(params)

    async def _events(self) -> None:
        async with TrickleSubscriber(self.urls.events) as channel:
            async for document in JsonSubscriber(channel):
                event = document.get("event", document)
                if isinstance(event, Mapping):
                    self._on_event(event)

    async def _watch(self) -> None:
        """Fails the job when pictures go out and nothing comes back."""
        while True:
            await asyncio.sleep(self._result_timeout_s / 4)
            now = time.monotonic()
            flowing = now - self._sent_at < self._result_timeout_s / 2
            silent_s = now - max(self._result_at, self._begun_at)
            if flowing and silent_s > self._result_timeout_s:
                raise OrchestratorFailed(
                    f"{self.urls.orchestrator} has sent no result for {silent_s:.0f} s"
                )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep it lies."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
