"""What one stream tells its gateway: states, errors, restarts, numbers, on the events channel.

`events` has the shapes; this decides when something is worth saying, and never lets a channel
that nobody serves hold up the stream.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from runners.health import Health, State
from runners.live import events
from runners.live.settings import Settings
from runners.live.tally import Tally
from trickle.errors import ChannelError, TrickleError
from trickle.lines import JsonPublisher
from trickle.publisher import TricklePublisher

log = logging.getLogger(__name__)

# ai-runner's pace; gateways give up on a runner that says nothing for 30 s.
_STATUS_S: Final = 10.0
_STATS_S: Final = 1.0
# Where every frame fails, the same error is news again after this.
_SAME_ERROR_S: Final = 5.0
# Events that wait for the network; more is a channel that nobody serves.
_MAX_EVENTS: Final = 100
# Logs of a lost model process that travel in an event: the end says why. Well below 32 KiB.
_MAX_LOG_LINES: Final = 10
_MAX_LOG_CHARS: Final = 300


class Reports:
    """The events of one stream. Called on the event loop only."""

    def __init__(self, url: str, health: Health, tally: Tally, settings: Settings) -> None:
        """Begins a stream's reports.

        Args:
            url: Of the events channel; empty where nobody listens.
            health: Of the runner.
            tally: Of the stream.
            settings: Of the stream.
        """
        self._url = url
        self._health = health
        self._tally = tally
        self._settings = settings
        self._queue: asyncio.Queue[events.Event] = asyncio.Queue(_MAX_EVENTS)
        self._restarts_before = health.restarts
        self._restart_logs: list[str] | None = None
        self._last_error: tuple[str, float] = ("", float("-inf"))
        self._params_are_news = True
        self._params_at_ms: float | None = None
        self._state = State.LOADING
        self._state_at_ms = self._began_ms = _now_ms()
        self._next_status = self._next_stats = 0.0

    @property
    def restarts(self) -> int:
        """How many model processes this stream has lost."""
        return self._health.restarts - self._restarts_before

    def look(self) -> None:
        """Says what has changed and what is due. Call a few times per second."""
        now = time.monotonic()
        state = self._health.state(now)
        if state is not self._state:
            self._state, self._state_at_ms = state, _now_ms()
            self._next_status = now
        if now >= self._next_status:
            self._next_status = now + _STATUS_S
            self.status()
        if now >= self._next_stats:
            self._next_stats = now + _STATS_S
            counts, pipeline = self._tally.counts(), self._settings.pipeline
            self._say(events.stats(pipeline, counts, restarts=self.restarts, now_ms=_now_ms()))

    def status(self) -> None:
        """Says how the runner is, with what has not been said yet."""
        news = self._params_are_news
        self._say(events.status(self._fields(), _now_ms(), with_params=news))
        self._params_are_news = False
        self._restart_logs = None

    def status_body(self) -> events.Event:
        """Returns how the runner is, all of it."""
        return events.status_body(self._fields(), with_params=True)

    def trace(self, kind: str) -> None:
        """Says that the stream passed a milestone."""
        self._say(events.trace(kind, _now_ms()))

    def error(self, message: str) -> None:
        """Says that something went wrong, unless it has just said the same."""
        now = time.monotonic()
        self._health.error(message, now)
        last, at = self._last_error
        if message != last or now - at > _SAME_ERROR_S:
            self._last_error = message, now
            self._say(events.error(self._settings.pipeline, message, _now_ms()))

    def restart(self, lines: Sequence[str]) -> None:
        """Says that a model process was lost; `lines` are the last that it printed."""
        self._restart_logs = [line[:_MAX_LOG_CHARS] for line in lines[-_MAX_LOG_LINES:]]
        pipeline = self._settings.pipeline
        self._say(events.restart(pipeline, self.restarts, self._restart_logs, _now_ms()))

    def params_changed(self) -> None:
        """The model has confirmed other parameters: the next status carries them, soon."""
        self._params_at_ms = _now_ms()
        self._params_are_news = True

    async def send_all(self) -> None:
        """Sends events as they come, until cancelled or the channel is lost."""
        if not self._url:
            return
        try:
            async with TricklePublisher(self._url, mime_type="application/json") as publisher:
                channel = JsonPublisher(publisher)
                while True:
                    await channel.send(await self._queue.get())
                    self._queue.task_done()
        except ChannelError:
            return  # whoever gave us the job has ended it; the input says so too
        except TrickleError as error:
            log.warning("events channel lost", extra={"problem": str(error)})

    async def sent(self, *, within_s: float) -> None:
        """Waits until what was said has been sent, if somebody takes it."""
        try:
            async with asyncio.timeout(within_s if self._url else 0):
                await self._queue.join()
        except TimeoutError:
            log.debug("events left unsent", extra={"count": self._queue.qsize()})

    def _say(self, event: events.Event) -> None:
        """Queues an event; where nobody takes them the oldest go."""
        if self._queue.full():
            self._queue.get_nowait()
            self._queue.task_done()
        self._queue.put_nowait(event)

    def _fields(self) -> events.StatusFields:
        health, counts = self._health, self._tally.counts()
        return events.StatusFields(
            pipeline=self._settings.pipeline,
            start_time=self._began_ms,
            state=health.state(time.monotonic()),
            last_state_update_time=self._state_at_ms,
            input_last_time=_wall_ms(health.last_input_at),
            input_fps=counts.input_fps,
            output_last_time=_wall_ms(health.last_output_at),
            output_fps=counts.output_fps,
            last_params_update_time=self._params_at_ms,
            params=self._settings.params,
            last_error_time=_wall_ms(health.last_error_at),
            last_error=health.last_error,
            last_restart_time=_wall_ms(health.last_restart_at),
            last_restart_logs=self._restart_logs,
            restart_count=self.restarts,
        )


def _now_ms() -> int:
    return round(time.time() * 1000)


def _wall_ms(at: float | None) -> int | None:
    """When something on the monotonic clock was, in milliseconds since 1970."""
    return None if at is None else round((time.time() - time.monotonic() + at) * 1000)
