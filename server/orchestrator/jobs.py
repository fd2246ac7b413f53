"""Live jobs: four trickle channels and a runner, from the gateway's request to the last segment.

A job ends when its gateway closes the input or falls silent, when its runner dies, or when the
node stops; in every case its channels are closed, which is how both other sides learn of it.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from runners.pool import (
    NoRunner,
    RunnerLease,
    RunnerPool,
    RunnerRefused,
    RunnerUnreachable,
)
from server.errors import (
    BadParameters,
    NoRunnerFree,
    OrchestratorFailed,
    Overloaded,
    RunnersLoading,
)
from server.obs.log import bound
from trickle.errors import TrickleError
from trickle.serve import TrickleServer

log = structlog.get_logger(__name__)

MEDIA: Final = "video/MP2T"
MESSAGES: Final = "application/json"

# Suffix to content type: what a live job's channels are called and what they hold.
CHANNELS: Final = {"": MEDIA, "-out": MEDIA, "-control": MESSAGES, "-events": MESSAGES}

# Knowing a manifest id is all it takes to publish to its channels or read them.
MANIFEST_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What a gateway asks for."""

    pipeline: str
    params: Mapping[str, Any]
    stream_id: str
    request_id: str


class LiveJob:
    """One job under way."""

    def __init__(self, manifest_id: str, request: LiveRequest, lease: RunnerLease) -> None:
        self.manifest_id = manifest_id
        self.request = request
        self.lease = lease
        self.begun_at = time.time()
        self.heard_at = time.monotonic()
        self.bytes_in = 0

    def urls(self, base: str) -> dict[str, str]:
        """Its channels under `base`, as the gateway sees them: it publishes the input."""
        own = base + self.manifest_id
        return {
            "manifest_id": self.manifest_id,
            "publish_url": own,
            "subscribe_url": f"{own}-out",
            "control_url": f"{own}-control",
            "events_url": f"{own}-events",
        }


class LiveJobs:
    """All live jobs of an orchestrator.

    Attributes:
        public_base: How gateways reach the trickle channels.
        runner_base: How this node's runners reach them.
    """

    def __init__(self, trickle: TrickleServer, pool: RunnerPool, *, idle_s: float) -> None:
        self.public_base = self.runner_base = ""
        self._trickle = trickle
        self._pool = pool
        self._idle_s = idle_s
        self._jobs: dict[str, LiveJob] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def __iter__(self) -> Any:
        return iter(self._jobs.values())

    def __len__(self) -> int:
        return len(self._jobs)

    async def run(self) -> None:
        """Owns the jobs' tasks; ends when cancelled, and every job with it."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._tasks = None

    async def start(self, request: LiveRequest) -> dict[str, str]:
        """Takes a job, and returns where its channels are.

        Raises:
            NoRunnerFree: Every runner that could is busy.
            RunnersLoading: Waiting for a moment will do.
            BadParameters: The runner would not take the parameters.
            OrchestratorFailed: The runner failed to start.
        """
        if self._tasks is None:
            raise Overloaded("the node is stopping")
        try:
            lease = await self._pool.acquire(request.pipeline)
        except NoRunner as error:
            loading = self._pool.states()["loading"]
            raise (RunnersLoading if loading else NoRunnerFree)(str(error)) from None
        manifest_id = secrets.token_hex(MANIFEST_ID_BYTES)
        job = LiveJob(manifest_id, request, lease)
        # All channels are there before anyone connects: a 404 would read as the end.
        for suffix, mime_type in CHANNELS.items():
            self._trickle.create(manifest_id + suffix, mime_type=mime_type)
        try:
            await lease.start(self._runner_request(job))
        except RunnerRefused as error:
            await self._end(job)
            if error.status == 400:
                raise BadParameters(str(error)) from None
            raise OrchestratorFailed(f"runner {lease.runner_id}: {error}") from None
        except RunnerUnreachable as error:
            await self._end(job)
            raise OrchestratorFailed(str(error)) from None
        except BaseException:
            await self._end(job)
            raise
        self._jobs[manifest_id] = job
        self._tasks.create_task(self._mind(job), name=f"job.{manifest_id}")
        log.info("job begun", manifest=manifest_id, runner=lease.runner_id, model=request.pipeline)
        return {**job.urls(self.public_base), "runner": lease.runner_id}

    def _runner_request(self, job: LiveJob) -> dict[str, Any]:
        """The runner's view is the mirror image: it reads the input and publishes the result."""
        urls = job.urls(self.runner_base)
        return {
            "subscribe_url": urls["publish_url"],
            "publish_url": urls["subscribe_url"],
            "control_url": urls["control_url"],
            "events_url": urls["events_url"],
            "model_id": job.request.pipeline,
            "params": dict(job.request.params),
            "gateway_request_id": job.request.request_id,
            "manifest_id": job.manifest_id,
            "stream_id": job.request.stream_id,
        }

    async def _mind(self, job: LiveJob) -> None:
        """Waits for whatever ends the job first, and clears up."""
        with bound(manifest=job.manifest_id, stream=job.request.stream_id):
            watchers = [
                asyncio.create_task(self._input_ends(job), name="job.input"),
                asyncio.create_task(job.lease.lost(), name="job.lease"),
                asyncio.create_task(self._falls_silent(job), name="job.idle"),
            ]
            try:
                done, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
                reason = done.pop().result()
                log.info("job ended", reason=reason, bytes_in=job.bytes_in)
            except Exception:
                # The outermost shell of a job: the others go on.
                log.exception("job failed")
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)
                await self._end(job)

    async def _input_ends(self, job: LiveJob) -> str:
        """Reads the input beside the runner: what is metered, and whether it still comes."""
        try:
            async for segment in self._trickle.local_subscriber(job.manifest_id):
                async for chunk in segment:
                    job.bytes_in += len(chunk)
                    job.heard_at = time.monotonic()
        except TrickleError as error:
            return str(error)
        return "the gateway closed the input"

    async def _falls_silent(self, job: LiveJob) -> str:
        while True:
            left_s = job.heard_at + self._idle_s - time.monotonic()
            if left_s <= 0:
                return f"the gateway has sent nothing for {self._idle_s:g} s"
            await asyncio.sleep(left_s)

    async def _end(self, job: LiveJob) -> None:
        self._jobs.pop(job.manifest_id, None)
        for suffix in CHANNELS:
            self._trickle.close_channel(job.manifest_id + suffix)
        await job.lease.release()
