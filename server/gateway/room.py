"""One stream's room: its publisher, its jobs one after another, its viewers.

The room owns two `LiveStream`s that outlive whoever feeds them: `source`, what the publisher
sends, and `output`, what runners make of it. `run` is the room's life: it ends when nobody
publishes and nobody waits, and then nothing of it is left.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import structlog

from server.config import GatewayConfig
from server.errors import NodeError, StreamReplaced
from server.gateway.latency import Percentiles
from server.gateway.live import LiveJob
from server.gateway.orchestrators import JobUrls, Orchestrators
from server.gateway.progress import Progress
from server.gateway.publishing import Publishing
from server.gateway.status import Media, Report, State, sentence, state_of
from server.media.stream import LiveStream
from server.obs.log import bound
from server.obs.metrics import Metrics

log = structlog.get_logger(__name__)

# Between one orchestrator failing and asking the next. A stream is worth trying for as long as
# its publisher stays, so there is no last try, only a longest pause.
BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 2.0

# A job that lasted this long was not the orchestrator's refusal in disguise.
JOB_PROVEN_S: Final = 10.0

# For the last results after the source has ended: a little over what a job itself allows.
DRAIN_S: Final = 3.0


# One that said goodbye may only be reloading its page; after that its runner is for others.
GOODBYE_GRACE_S: Final = 2.0

# A publisher that was cut off unnoticed for long still gets this much, to come back.
GRACE_MIN_S: Final = 1.0


class Room:
    """A stream that is there, or is waited for."""

    def __init__(
        self, name: str, config: GatewayConfig, orchestrators: Orchestrators, metrics: Metrics
    ) -> None:
        self.name = name
        self.source = LiveStream(name)
        self.output = LiveStream(name)
        self.pipeline = config.default_pipeline
        self.params: Mapping[str, Any] = {}
        self.viewers = 0
        self.was_published = False
        self.changed = asyncio.Event()
        self._config = config
        self._orchestrators = orchestrators
        self._metrics = metrics
        self._publisher: Publishing | None = None
        self._protocol: str | None = None
        self._goodbye = False
        self._entering = asyncio.Lock()
        self._entrants = 0
        self._wake = asyncio.Event()
        self._closing: str | None = None
        self._prepared: JobUrls | None = None
        self._job: LiveJob | None = None
        self._progress = Progress()

    # --- what the gateway calls

    @property
    def publishing(self) -> bool:
        return self._publisher is not None

    @property
    def over(self) -> bool:
        """Nobody can come in any more; a new publisher of this name needs a new room."""
        return self.source.ended

    async def admit(self, protocol: str, pipeline: str, params: Mapping[str, Any]) -> Publishing:
        """Lets a publisher in once an orchestrator has taken the job.

        Raises:
            NodeError: None has; the room is as it was.
        """
        self._entrants += 1
        try:
            async with self._entering:
                if self._job is not None or self._prepared is not None:
                    self.update(pipeline, params)  # the job goes on; only the publisher changes
                else:
                    self._prepared = await self._start(pipeline, params)
                    self.pipeline, self.params = pipeline, params
                previous, self._publisher = self._publisher, Publishing(self)
                self._protocol, self.was_published = protocol, True
                if previous is not None:
                    log.info("publisher replaced", stream=self.name)
                    previous.close(StreamReplaced.code)
                self.source.begin(self._publisher.want_keyframe)
                return self._publisher
        finally:
            self._entrants -= 1
            self._stir()

    def leave(self, publisher: Publishing, reason: str, *, goodbye: bool) -> None:
        """A publisher has gone; it may be one that was replaced already."""
        if self._publisher is publisher:
            self._goodbye = goodbye
            log.info("publisher gone", stream=self.name, reason=reason)
            self._publisher = None
            self.source.pause()
            self._stir()

    def update(self, pipeline: str, params: Mapping[str, Any]) -> None:
        """Takes new parameters, already checked, and hands them to the runner."""
        message = dict(params)
        if pipeline != self.pipeline:
            message["model_id"] = pipeline
        self.pipeline, self.params = pipeline, params
        if self._job is not None:
            self._job.update(message)
        self._say()

    def viewer_came(self) -> None:
        self.viewers += 1
        self._stir()

    def viewer_left(self) -> None:
        self.viewers -= 1
        self._stir()

    def close(self, reason: str) -> None:
        """Ends the room, whoever is in it."""
        self._closing = self._closing or reason
        self._stir()

    def report(self) -> Report:
        """Everything there is to say about this stream, now."""
        job, progress = self._job, self._progress
        given, made = self.source.stats(), self.output.stats()
        state = state_of(
            progress.facts(
                time.monotonic(),
                publishing=self.publishing,
                ended=self.source.ended,
                job_running=job is not None,
                given_fps=given.fps,
                made_fps=made.fps,
            )
        )
        runner = job.urls.runner if job is not None else None
        problem = progress.problem
        return Report(
            stream=self.name,
            state=state,
            message=sentence(state, pipeline=self.pipeline, runner=runner, problem=problem),
            input=Media.of(given, self._protocol),
            output=Media.of(made),
            latency_ms=job.latency.percentiles() if job is not None else Percentiles(),
            dropped=progress.dropped,
            pipeline=self.pipeline,
            params=self.params,
            orchestrator=job.urls.orchestrator if job is not None else None,
            runner={
                "id": runner or "runner",
                "state": progress.runner_state,
                "restarts": progress.restarts,
            }
            if job is not None
            else None,
            viewers=self.viewers,
            problem=problem if state in (State.FAILED, State.RESTARTING) else None,
        )

    # --- the room's life

    async def run(self) -> None:
        """Waits for a publisher, serves it while it stays, and clears up."""
        with bound(stream=self.name):
            try:
                if await self._publisher_comes():
                    await self._serve()
            finally:
                reason = self._closing or "the publisher has gone"
                if self._publisher is not None:
                    self._publisher.close(reason)
                    self._publisher = None
                self.source.end(reason)
                self.output.end(reason)
                self._say()

    async def _publisher_comes(self) -> bool:
        """False when nobody came in time, or nobody is left to wait."""
        # One turn of the loop, so that whoever opened the room can step in.
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.viewer_wait_s):
                while self._is_empty() and (self.viewers or self._entrants):
                    await self._stirred()
        return not self._is_empty() and self._closing is None

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            jobs = tasks.create_task(self._jobs(), name=f"jobs.{self.name}")
            while await self._publisher_stays():
                await self._stirred()
            self.source.end("the publisher has gone")
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await asyncio.shield(jobs)
            jobs.cancel()

    async def _publisher_stays(self) -> bool:
        """True while one is there, or comes back within the grace."""
        # A stream without a picture yet has nobody who could lose one: no grace.
        if self._is_empty() and self.source.stats().frames:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._grace_s()):
                    while self._is_empty():
                        await self._stirred()
            while self._is_empty() and self._entrants:
                await self._stirred()  # one is at the door; an orchestrator is being asked
        return not self._is_empty() and self._closing is None

    def _grace_s(self) -> float:
        """How much longer viewers are kept.

        It counts from the last packet: they have seen nothing since, however late we learned it.
        """
        grace_s = self._config.reconnect_grace_s
        if self._goodbye:
            return min(GOODBYE_GRACE_S, grace_s)
        silent_s = time.monotonic() - (self.source.stats().last_packet_at or 0.0)
        return max(grace_s - silent_s, min(GRACE_MIN_S, grace_s))

    def _is_empty(self) -> bool:
        return self._publisher is None and self._closing is None

    async def _jobs(self) -> None:
        """One job after another, until the source ends."""
        pause_s = BACKOFF_FIRST_S
        while not self.source.ended:
            began = time.monotonic()
            try:
                await self._one_job()
            except NodeError as error:
                if self.source.ended:
                    return
                self._progress.failed(error)
                self._metrics.job_failures.labels(error.code).inc()
                log.warning("live job failed", code=error.code, reason=error.message)
                self._say()
            if time.monotonic() - began > JOB_PROVEN_S:
                pause_s = BACKOFF_FIRST_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACKOFF_MAX_S)

    async def _one_job(self) -> None:
        urls, self._prepared = self._prepared, None
        if urls is None:
            urls = await self._start(self.pipeline, self.params)
        self._metrics.job_starts.inc()
        job = self._job = LiveJob(
            urls,
            source=self.source,
            output=self.output,
            on_event=self._on_event,
            on_latency=self._on_latency,
            segment_min_s=self._config.segment_min_s,
            result_timeout_s=self._config.result_timeout_s,
        )
        self._progress.job_began()
        self._say()
        try:
            with bound(manifest=urls.manifest_id):
                await job.run()
        finally:
            self._job = None
            self._progress.job_ended()
            self._say()

    async def _start(self, pipeline: str, params: Mapping[str, Any]) -> JobUrls:
        return await self._orchestrators.start(
            pipeline=pipeline, params=params, stream=self.name, request_id=uuid.uuid4().hex
        )

    # --- what jobs tell

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if self._progress.event(event):
            self._say()

    def _on_latency(self, away_s: float) -> None:
        self._metrics.latency.observe(away_s)
        if self._progress.result(time.monotonic()):
            self._say()

    # --- waiting

    def _stir(self) -> None:
        """Something happened that whoever waits in `run` should look at."""
        self._wake.set()
        self._say()

    async def _stirred(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    def _say(self) -> None:
        """There is news for whoever follows the report."""
        news, self.changed = self.changed, asyncio.Event()
        news.set()
