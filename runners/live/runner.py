"""A runner: one model, kept alive, and the stream that it serves at the moment.

A new job replaces the one before, as peers expect of an ai-runner: whoever lends runners out
knows which are free, and a gateway that lost us must be able to come back.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jsonschema

from runners.errors import BadParams, Busy, NotReady, UnknownModel
from runners.health import Health, RunnerStatus, State, runner_status
from runners.host import Deadlines
from runners.live.job import Job
from runners.live.model import Model
from runners.live.session import LiveSession

log = logging.getLogger(__name__)

# A job that comes while the model loads waits this long; ai-runner's peers allow ten seconds.
_READY_S: Final = 8.0
# The stream before gets this long to let out what it has.
_REPLACE_S: Final = 8.0


class LiveRunner:
    """Serves one job at a time.

    Attributes:
        health: How it is.
        model: Its model process.
        session: The stream that it serves, if any.
        jobs: How many it has taken.
    """

    def __init__(
        self,
        pipelines: Sequence[str],
        *,
        on_change: Callable[[RunnerStatus, str], None] = lambda _status, _message: None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.health = Health(time.monotonic())
        self.model = Model(pipelines, self.health, on_change=self._changed, deadlines=deadlines)
        self.session: LiveSession | None = None
        self.jobs = 0
        self._on_change = on_change
        self._last_status: RunnerStatus | None = None
        self._starting = False
        self._serving: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None

    @property
    def state(self) -> State:
        return self.health.state(time.monotonic())

    @property
    def status(self) -> RunnerStatus:
        return runner_status(self.state)

    @property
    def pipelines(self) -> list[dict[str, Any]]:
        """What it offers; empty until the model has been ready."""
        return self.model.pipelines

    async def run(self) -> None:
        """Runs until cancelled. A model that cannot be had leaves it in ERROR, still answering."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self.model.run(), name="live.model")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    async def start(self, job: Job) -> None:
        """Begins a stream, in place of the one before.

        Raises:
            NotReady: The model is still loading, or has failed.
            UnknownModel: It is for a pipeline that is not served here.
            BadParams: Its parameters do not fit the pipeline's schema.
            Busy: Another job is being started.
        """
        if self._starting:
            raise Busy("another job is being started")
        self._starting = True
        try:
            await self._await_model()
            pipeline = self._pipeline_for(job)
            await self.stop("replaced by another job")
            if self._group is None:
                raise NotReady("the runner is stopping")
            self.session = LiveSession(job, self.model, pipeline)
            self.jobs += 1
            self._serving = self._group.create_task(self._serve(self.session), name="live.session")
        finally:
            self._starting = False

    async def stop(self, reason: str) -> None:
        """Ends the stream, if there is one, and waits for its end."""
        serving, session = self._serving, self.session
        if serving is None or session is None or serving.done():
            return
        session.end(reason)
        await asyncio.wait([serving], timeout=_REPLACE_S)
        if not serving.done():
            serving.cancel()
            await asyncio.wait([serving])

    async def _serve(self, session: LiveSession) -> None:
        extra = {"stream": session.job.stream_id, "manifest": session.job.manifest_id}
        log.info("stream begun", extra={**extra, "pipeline": session.settings.pipeline})
        self._changed()
        try:
            reason = await session.run()
            log.info("stream ended", extra={**extra, "reason": reason})
        except Exception:
            # The outermost shell of the stream: the runner lives on for the next one.
            log.exception("stream failed", extra=extra)
        finally:
            if self.session is session:
                self.session = None
            self._changed()

    async def _await_model(self) -> None:
        try:
            async with asyncio.timeout(_READY_S):
                await self.model.ready()
        except TimeoutError:
            raise NotReady("the model is still loading") from None
        if self.health.failure is not None:
            raise NotReady(self.health.failure)

    def _pipeline_for(self, job: Job) -> str:
        names = [info["name"] for info in self.pipelines]
        name = job.model_id or names[0]
        for info in self.pipelines:
            if info["name"] == name:
                check_params(info, job.params)
                return name
        raise UnknownModel(f"no pipeline {name!r} here; this runner has {', '.join(names)}")

    def _changed(self) -> None:
        status = self.status
        if status is not self._last_status:
            self._last_status = status
            self._on_change(status, self.health.failure or "")


def check_params(info: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """Checks parameters against what a pipeline says of itself.

    Raises:
        BadParams: They do not fit; the message names the first that does not.
    """
    validator = jsonschema.Draft202012Validator(info["schema"])
    error = jsonschema.exceptions.best_match(validator.iter_errors(dict(params)))
    if error is not None:
        where = ".".join(map(str, error.absolute_path))
        raise BadParams(f"{where}: {error.message}" if where else error.message)
