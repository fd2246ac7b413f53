"""One live stream from its first byte to its last: trickle in, trickle out, and all in between.

The session owns the media channels, the decoding and the encoding thread. It outlives
model processes: when one is lost the stream goes on with a picture that says so, until the next
has taken over. It does not outlive its input, its output, or a model that cannot be had.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from runners.health import INPUT_GONE_S
from runners.host import Exit
from runners.live.events import Event
from runners.live.inlet import Inlet
from runners.live.job import Job
from runners.live.model import Model
from runners.live.outbox import Outbox
from runners.live.outlet import Outlet, Piece
from runners.live.reports import Reports
from runners.live.settings import Settings
from runners.live.tally import Tally
from runners.live.turnstile import Turnstile
from runners.messages import Close, Given, Message, Opened, Refused
from runners.pacing import Drop
from trickle.errors import TrickleError
from trickle.lines import JsonSubscriber
from trickle.publisher import SegmentWriter, TricklePublisher
from trickle.subscriber import TrickleSubscriber

log = logging.getLogger(__name__)

# What is still in the decoder and the encoder when the input ends.
_DRAIN_S: Final = 3.0
_LAST_WORDS_S: Final = 1.0
# How soon a change of state is noticed.
_LOOK_S: Final = 0.2


class LiveSession:
    """Serves one job. `run` returns why it ended.

    Attributes:
        tally: Its numbers.
        settings: Its pipeline and parameters.
    """

    def __init__(self, job: Job, model: Model, pipeline: str) -> None:
        self.job = job
        self.settings = Settings(pipeline, job.params)
        self.tally = Tally(model.health)
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._has_output = False
        self._proved_epoch = 0
        self._reports = Reports(job.events_url, model.health, self.tally, self.settings)
        self._outbox = Outbox(on_behind=self._behind)
        self._outlet = Outlet(
            model.outward,
            self.tally,
            emit=self._on_loop(self._piece),
            on_error=self._on_loop(self._reports.error),
            on_crash=self._on_loop(self._crashed),
        )
        self._turnstile = Turnstile(
            model, self._outlet, self.tally, on_error=self._on_loop(self._reports.error)
        )
        self._inlet = Inlet(
            self._turnstile,
            self._outlet,
            self.tally,
            on_error=self._on_loop(self._reports.error),
            on_room=self._on_loop(self._room.set),
            on_crash=self._on_loop(self._crashed),
        )

    async def run(self) -> str:
        """Runs until the input ends or nothing more can come of it, and says why."""
        self._reports.trace("runner_receive_stream_request")
        self._model.health.stream_began(time.monotonic())
        self._outlet.start(self._turnstile)
        self._inlet.start()
        self._model.attach(self)
        try:
            async with asyncio.TaskGroup() as group:
                reporting = group.create_task(self._report(), name="live.report")
                telling = group.create_task(self._reports.send_all(), name="live.events")
                control = group.create_task(self._control(), name="live.control")
                sending = group.create_task(self._send(), name="live.send")
                receiving = group.create_task(self._receive(), name="live.receive")
                reason = await self._over
                receiving.cancel()
                await self._drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await asyncio.wait([sending])
                for task in (reporting, control, sending):
                    task.cancel()
                self._reports.status()
                await self._reports.sent(within_s=_LAST_WORDS_S)
                telling.cancel()
            return reason
        finally:
            self._model.detach(self)
            self._model.send(Close())
            self._model.health.stream_ended()
            self._turnstile.closed("ended")
            self._inlet.end()
            self._outlet.end()

    def end(self, reason: str) -> None:
        """Ends the stream from outside, in good order."""
        if not self._over.done():
            self._over.set_result(reason)

    def status(self) -> Event:
        """What `GET /status` says of this stream."""
        return self._reports.status_body()

    # ---- media

    async def _receive(self) -> None:
        is_first = True
        try:
            async with TrickleSubscriber(self.job.subscribe_url) as subscriber:
                async for segment in subscriber:
                    async for chunk in segment:
                        if is_first:
                            self._reports.trace("runner_receive_first_ingest_segment")
                            is_first = False
                        self._inlet.feed(chunk)
                        while self._inlet.is_full:
                            self._room.clear()
                            await self._room.wait()
                    self._inlet.feed(b"")
        except TrickleError as error:
            self.end(f"input failed: {error}")
        else:
            self.end("input ended")

    async def _send(self) -> None:
        try:
            async with TricklePublisher(self.job.publish_url) as publisher:
                await self._send_pieces(publisher)
        except TrickleError as error:
            self.end(f"output failed: {error}")

    async def _send_pieces(self, publisher: TricklePublisher) -> None:
        writer: SegmentWriter | None = None
        while (piece := await self._outbox.get()) is not None:
            if piece.begins_segment:
                if writer is not None:
                    await writer.close()
                writer = await publisher.next()
            if writer is not None:
                await writer.write(piece.data)
        if writer is not None:
            await writer.close()

    async def _drain(self) -> None:
        """Lets out what is still on its way."""
        self._inlet.end()
        await asyncio.to_thread(self._inlet.join, _DRAIN_S)
        await asyncio.to_thread(self._turnstile.drain, _DRAIN_S)
        self._outlet.end()
        await asyncio.to_thread(self._outlet.join, _DRAIN_S)
        self._outbox.end()

    def _piece(self, piece: Piece) -> None:
        if not self._has_output:
            self._has_output = True
            self._reports.trace("runner_send_first_processed_segment")
        self._outbox.put(piece, time.monotonic())

    def _behind(self, pieces: int) -> None:
        self.tally.drop(Drop.SEND_BEHIND, pieces)
        self._outlet.keyframe()

    def _crashed(self, error: BaseException) -> None:
        log.error("media thread failed", exc_info=error)
        self._reports.error(f"{type(error).__name__}: {error}")
        self.end("media thread failed")

    # ---- the model

    def connected(self) -> None:
        """A model process is there, and knows nothing of this stream."""
        self._turnstile.closed("restarting" if self._reports.restarts else "starting")
        self._model.send(self.settings.open())

    def lost(self, exit_: Exit) -> None:
        """The model process is gone."""
        self._turnstile.closed("restarting")
        if (failure := self._model.health.failure) is not None:
            self._reports.error(failure)
            self.end(failure)
        else:
            self._reports.restart(exit_.lines)

    def received(self, message: Message) -> None:
        """The model process says something. On its link's thread."""
        match message:
            case Given():
                self._turnstile.given(message)
                if message.error is not None:
                    self._later(self._reports.error, message.error)
                elif message.epoch != self._proved_epoch:
                    self._proved_epoch = message.epoch
                    self._later(self.settings.proved, message.epoch)
            case Opened(epoch=epoch):
                self._turnstile.opened(epoch)
                self._later(self._opened, message)
            case Refused():
                self._later(self._refused, message)
            case _:
                pass

    def _opened(self, message: Opened) -> None:
        following = self.settings.opened(message)
        self._reports.params_changed()
        if following is not None:
            self._model.send(following)

    def _refused(self, message: Refused) -> None:
        self._reports.error(message.message)
        following = self.settings.refused(message)
        if following is not None:
            self._model.send(following)
        elif not self.settings.is_open:
            self.end(f"pipeline cannot be opened: {message.message}")

    async def _control(self) -> None:
        if not self.job.control_url:
            return
        try:
            async with TrickleSubscriber(self.job.control_url) as subscriber:
                async for document in JsonSubscriber(subscriber):
                    following = self.settings.change(document)
                    if following is not None:
                        self._model.send(following)
        except TrickleError as error:
            log.warning("control channel lost", extra={"problem": str(error)})

    async def _report(self) -> None:
        while True:
            self._reports.look()
            if self._model.health.input_gone(time.monotonic()):
                self.end(f"no input for {INPUT_GONE_S:g} s")
            await asyncio.sleep(_LOOK_S)

    # ---- threads

    def _later(self, call: Callable[..., None], *args: Any) -> None:
        """Calls on the event loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to care
            self._loop.call_soon_threadsafe(call, *args)

    def _on_loop(self, call: Callable[..., None]) -> Callable[..., None]:
        return lambda *args: self._later(call, *args)
