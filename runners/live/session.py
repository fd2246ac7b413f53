"""One live stream from its first byte to its last: trickle in, trickle out, and all in between.

The session owns the channels, the decoding and the encoding thread, and the reports. It outlives
model processes: when one is lost the stream goes on with a picture that says so, until the next
has taken over. It does not outlive its input, its output, or a model that cannot be had.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from runners.health import INPUT_GONE_S, State
from runners.host import Exit
from runners.live import events
from runners.live.inlet import Inlet
from runners.live.job import Job
from runners.live.model import Model
from runners.live.outbox import Outbox
from runners.live.outlet import Outlet, Piece
from runners.live.settings import Settings
from runners.live.tally import Tally
from runners.live.turnstile import Turnstile
from runners.messages import Close, Given, Message, Opened, Refused
from runners.pacing import Drop
from trickle.errors import TrickleError
from trickle.lines import JsonPublisher, JsonSubscriber
from trickle.publisher import SegmentWriter, TricklePublisher
from trickle.subscriber import TrickleSubscriber

log = logging.getLogger(__name__)

# ai-runner's pace; gateways give up on a runner that says nothing for 30 s.
_STATUS_S: Final = 10.0
_STATS_S: Final = 1.0
_LOOK_S: Final = 0.2

# Where every frame fails, the same error is news again after this.
_SAME_ERROR_S: Final = 5.0
# Events that wait for the network; more is a channel that nobody serves.
_MAX_EVENTS: Final = 100
# What is still in the decoder and the encoder when the input ends.
_DRAIN_S: Final = 3.0
# Logs of a lost model process that travel in an event: the end says why. Well below 32 KiB.
_MAX_LOG_LINES: Final = 10
_MAX_LOG_CHARS: Final = 300


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
        self._events: asyncio.Queue[events.Event] = asyncio.Queue(_MAX_EVENTS)
        self._room = asyncio.Event()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._last_error: tuple[str, float] = ("", float("-inf"))
        self._restarts_before = model.health.restarts
        self._restart_logs: list[str] | None = None
        self._sends_params = True
        self._has_output = False
        self._proved_epoch = 0
        self._params_at_ms: float | None = None
        self._state = State.LOADING
        self._state_at_ms = self._started_ms = _now_ms()
        self._outbox = Outbox(on_behind=self._behind)
        self._outlet = Outlet(
            model.outward,
            self.tally,
            emit=self._on_loop(self._piece),
            on_error=self._on_loop(self._error),
            on_crash=self._on_loop(self._crashed),
        )
        self._turnstile = Turnstile(
            model, self._outlet, self.tally, on_error=self._on_loop(self._error)
        )
        self._inlet = Inlet(
            self._turnstile,
            self._outlet,
            self.tally,
            on_error=self._on_loop(self._error),
            on_room=self._on_loop(self._room.set),
            on_crash=self._on_loop(self._crashed),
        )

    async def run(self) -> str:
        """Runs until the input ends or nothing more can come of it, and says why."""
        self._trace("runner_receive_stream_request")
        self._model.health.stream_began(time.monotonic())
        self._outlet.start(self._turnstile)
        self._inlet.start()
        self._model.attach(self)
        try:
            async with asyncio.TaskGroup() as group:
                reporting = group.create_task(self._report(), name="live.report")
                telling = group.create_task(self._tell(), name="live.events")
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
                self._say(events.status(self._status(), _now_ms(), with_params=True))
                await self._last_words(telling)
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

    def status(self) -> events.Event:
        """What `GET /status` says of this stream."""
        return events.status_body(self._status(), with_params=True)

    # ---- media

    async def _receive(self) -> None:
        is_first = True
        try:
            async with TrickleSubscriber(self.job.subscribe_url) as subscriber:
                async for segment in subscriber:
                    async for chunk in segment:
                        if is_first:
                            self._trace("runner_receive_first_ingest_segment")
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
            self._trace("runner_send_first_processed_segment")
        self._outbox.put(piece, time.monotonic())

    def _behind(self, pieces: int) -> None:
        self.tally.drop(Drop.SEND_BEHIND, pieces)
        self._outlet.keyframe()

    def _crashed(self, error: BaseException) -> None:
        log.error("media thread failed", exc_info=error)
        self._error(f"{type(error).__name__}: {error}")
        self.end("media thread failed")

    # ---- the model

    def connected(self) -> None:
        """A model process is there, and knows nothing of this stream."""
        self._turnstile.closed("starting" if not self._restarts() else "restarting")
        self._model.send(self.settings.open())

    def lost(self, exit_: Exit) -> None:
        """The model process is gone."""
        self._turnstile.closed("restarting")
        lines = [line[:_MAX_LOG_CHARS] for line in exit_.lines[-_MAX_LOG_LINES:]]
        self._restart_logs = lines
        pipeline, count = self.settings.pipeline, self._restarts()
        if (failure := self._model.health.failure) is not None:
            self._say(events.error(pipeline, failure, _now_ms()))
            self.end(failure)
        else:
            self._say(events.restart(pipeline, count, lines, _now_ms()))

    def received(self, message: Message) -> None:
        """The model process says something. On its link's thread."""
        match message:
            case Given():
                self._turnstile.given(message)
                if message.error is not None:
                    self._later(self._error, message.error)
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
        self._params_at_ms = _now_ms()
        self._sends_params = True
        if following is not None:
            self._model.send(following)

    def _refused(self, message: Refused) -> None:
        self._error(message.message)
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

    # ---- reports

    async def _report(self) -> None:
        next_status = next_stats = 0.0
        while True:
            now = time.monotonic()
            health = self._model.health
            state = health.state(now)
            if state is not self._state:
                self._state, self._state_at_ms = state, _now_ms()
                next_status = now
            if now >= next_status:
                next_status = now + _STATUS_S
                self._say(events.status(self._status(), _now_ms(), with_params=self._sends_params))
                self._sends_params = False
                self._restart_logs = None
            if now >= next_stats:
                next_stats = now + _STATS_S
                self._say_stats()
            if health.input_gone(now):
                self.end(f"no input for {INPUT_GONE_S:g} s")
            await asyncio.sleep(_LOOK_S)

    def _say_stats(self) -> None:
        counts = self.tally.counts()
        restarts = self._restarts()
        now_ms = _now_ms()
        self._say(events.stats(self.settings.pipeline, counts, restarts=restarts, now_ms=now_ms))

    async def _tell(self) -> None:
        """Sends events until there are none and the session is over."""
        if not self.job.events_url:
            return
        try:
            async with TricklePublisher(
                self.job.events_url, mime_type="application/json"
            ) as publisher:
                channel = JsonPublisher(publisher)
                while True:
                    await channel.send(await self._events.get())
                    self._events.task_done()
        except TrickleError as error:
            log.warning("events channel lost", extra={"problem": str(error)})

    async def _last_words(self, telling: asyncio.Task[None]) -> None:
        if not telling.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._events.join()
        telling.cancel()

    def _say(self, event: events.Event) -> None:
        """Queues an event; where nobody takes them the oldest go."""
        if self._events.full():
            self._events.get_nowait()
            self._events.task_done()
        self._events.put_nowait(event)

    def _trace(self, kind: str) -> None:
        self._say(events.trace(kind, _now_ms()))

    def _error(self, message: str) -> None:
        now = time.monotonic()
        self._model.health.error(message, now)
        last, at = self._last_error
        if message == last and now - at < _SAME_ERROR_S:
            return
        self._last_error = message, now
        self._say(events.error(self.settings.pipeline, message, _now_ms()))

    def _status(self) -> events.StatusFields:
        health, counts = self._model.health, self.tally.counts()
        return events.StatusFields(
            pipeline=self.settings.pipeline,
            start_time=self._started_ms,
            state=health.state(time.monotonic()),
            last_state_update_time=self._state_at_ms,
            input_last_time=_wall_ms(health.last_input_at),
            input_fps=counts.input_fps,
            output_last_time=_wall_ms(health.last_output_at),
            output_fps=counts.output_fps,
            last_params_update_time=self._params_at_ms,
            params=self.settings.params,
            last_error_time=_wall_ms(health.last_error_at),
            last_error=health.last_error,
            last_restart_time=_wall_ms(health.last_restart_at),
            last_restart_logs=self._restart_logs,
            restart_count=self._restarts(),
        )

    def _restarts(self) -> int:
        return self._model.health.restarts - self._restarts_before

    # ---- threads

    def _later(self, call: Callable[..., None], *args: Any) -> None:
        """Calls on the event loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to care
            self._loop.call_soon_threadsafe(call, *args)

    def _on_loop(self, call: Callable[..., None]) -> Callable[..., None]:
        return lambda *args: self._later(call, *args)


def _now_ms() -> int:
    return round(time.time() * 1000)


def _wall_ms(at: float | None) -> int | None:
    """When something on the monotonic clock was, in milliseconds since 1970."""
    return None if at is None else round((time.time() - time.monotonic() + at) * 1000)
