"""Runner processes kept running, and lent out one job at a time.

The orchestrator owns a pool. A runner that dies, or reports that it cannot go on, is replaced
under the same name; whoever had borrowed it is told, and has to borrow another.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import aiohttp

from runners.errors import ChildFailed, NoRunner, RunnerRefused, RunnerUnreachable
from runners.health import RunnerStatus
from runners.host import Child, Deadlines, Exit
from runners.messages import Message, Report
from runners.spec import RunnerSpec

__all__ = ["NoRunner", "RunnerLease", "RunnerPool", "RunnerRefused", "RunnerUnreachable"]

log = logging.getLogger(__name__)

# A runner ends the stream before, and may wait for its model, before it answers.
_START_S: Final = 20.0

# Between two starts of a runner that keeps dying. It is tried for ever: the node is there to
# serve, and what was wrong (a card, a disk) may be mended.
_BACK_OFF_S: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
# A runner that lived so long has earned an immediate restart again.
_HEALTHY_S: Final = 60.0


class SeatState(StrEnum):
    """What a runner does, for whoever looks on."""

    LOADING = "loading"
    IDLE = "idle"
    BUSY = "busy"
    FAILED = "failed"


class _Seat:
    """One place in the pool, and the runner process that sits there at the moment."""

    def __init__(self, spec: RunnerSpec) -> None:
        self.spec = spec
        self.restarts = 0
        self.lease: RunnerLease | None = None
        self.problem = ""
        self.child: Child | None = None
        self.url = ""
        self.pipelines: list[dict[str, Any]] = []
        self.is_ready = False

    @property
    def state(self) -> SeatState:
        if self.is_ready:
            return SeatState.IDLE if self.lease is None else SeatState.BUSY
        return SeatState.FAILED if self.problem else SeatState.LOADING

    def serves(self, model_id: str) -> bool:
        return any(info["name"] == model_id for info in self.pipelines)

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.spec.name,
            "state": self.state.value,
            "url": self.url,
            "pid": self.child.pid if self.child is not None else None,
            "pipelines": [info["name"] for info in self.pipelines],
            "restarts": self.restarts,
            "problem": self.problem or None,
        }


class RunnerLease:
    """A runner that nobody else gives jobs to.

    Attributes:
        runner_id: Its name.
        url: Its HTTP address.
        restarts: How often a process under that name had died when it was borrowed.
    """

    def __init__(self, seat: _Seat, http: aiohttp.ClientSession) -> None:
        self.runner_id = seat.spec.name
        self.url = seat.url
        self.restarts = seat.restarts
        self._seat = seat
        self._http = http
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self, job: Mapping[str, Any]) -> None:
        """Gives it the job; see `runners.live.job.Job` for what that holds.

        Raises:
            RunnerRefused: It will not do it; `status` and `reason` say why.
            RunnerUnreachable: It does not answer.
        """
        timeout = aiohttp.ClientTimeout(total=_START_S)
        url = f"{self.url}/live-video-to-video"
        try:
            async with self._http.post(url, json=dict(job), timeout=timeout) as answer:
                if answer.status == 200:
                    return
                raise _refusal(answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RunnerUnreachable(
                f"runner {self.runner_id} does not answer: {type(error).__name__} {error}"
            ) from error

    async def lost(self) -> str:
        """Waits until the runner dies under its job, and says why."""
        return await asyncio.shield(self._lost)

    async def release(self) -> None:
        """Gives it back. Its stream ends when its input channel does, or when the next begins."""
        if self._seat.lease is self:
            self._seat.lease = None

    def lose(self, reason: str) -> None:
        """Called by the pool: the process is gone."""
        if not self._lost.done():
            self._lost.set_result(reason)


class RunnerPool:
    """Keeps a runner process for each spec."""

    def __init__(
        self,
        specs: Sequence[RunnerSpec],
        *,
        on_change: Callable[[], None] = lambda: None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Describes a pool; `start` starts it.

        Args:
            specs: What to run; the names must differ.
            on_change: Told when a runner became ready, was lost, borrowed or given back.
            deadlines: How long a runner's steps may take.
        """
        self._seats = [_Seat(spec) for spec in specs]
        self._on_change = on_change
        self._deadlines = deadlines
        self._http: aiohttp.ClientSession | None = None
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Starts every runner and returns without waiting for them."""
        self._http = aiohttp.ClientSession()
        self._running = asyncio.create_task(self._run(), name="runner-pool")

    async def close(self) -> None:
        """Stops every runner; when this returns no process is left."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        if self._http is not None:
            await self._http.close()

    async def ready(self) -> None:
        """Waits until every runner is ready or has failed once."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: all(seat.state is not SeatState.LOADING for seat in self._seats)
            )

    def pipelines(self) -> list[dict[str, Any]]:
        """What the runners offer together, each pipeline once; see `spec.PipelineInfo`."""
        found: dict[str, dict[str, Any]] = {}
        for seat in self._seats:
            for info in seat.pipelines:
                found.setdefault(info["name"], info)
        return list(found.values())

    def describe(self) -> list[dict[str, Any]]:
        """Every runner: id, state, url, pid, pipelines, restarts, problem."""
        return [seat.describe() for seat in self._seats]

    def states(self) -> dict[str, int]:
        """How many runners are in each state, those included in which none is."""
        counts = Counter(seat.state for seat in self._seats)
        return {state.value: counts[state] for state in SeatState}

    async def acquire(self, model_id: str) -> RunnerLease:
        """Borrows an idle runner that serves the pipeline.

        Raises:
            NoRunner: There is none at this moment.
        """
        for seat in self._seats:
            if seat.state is SeatState.IDLE and seat.serves(model_id):
                assert self._http is not None
                seat.lease = RunnerLease(seat, self._http)
                self._on_change()
                return seat.lease
        raise NoRunner(self._why_none(model_id))

    def _why_none(self, model_id: str) -> str:
        able = [seat for seat in self._seats if seat.serves(model_id)]
        if able:
            states = Counter(seat.state.value for seat in able)
            return f"no runner with {model_id!r} is free: {_list(states)}"
        known = sorted(info["name"] for info in self.pipelines())
        if known:
            return f"no runner here has {model_id!r}; there is {', '.join(known)}"
        return f"no runner is ready yet: {_list(Counter(seat.state.value for seat in self._seats))}"

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for seat in self._seats:
                group.create_task(self._keep(seat), name=f"runner.{seat.spec.name}")

    async def _keep(self, seat: _Seat) -> None:
        """Keeps a process in one seat."""
        deaths = 0
        while True:
            began_at = time.monotonic()
            exit_ = await self._live_once(seat)
            deaths = 0 if time.monotonic() - began_at > _HEALTHY_S else deaths
            delay_s = _BACK_OFF_S[min(deaths, len(_BACK_OFF_S) - 1)]
            deaths += 1
            seat.restarts += 1
            seat.problem = exit_.reason
            if seat.lease is not None:
                seat.lease.lose(f"runner {seat.spec.name}: {exit_.reason}")
                seat.lease = None
            extra = {"runner": seat.spec.name, "reason": seat.problem, "again_in_s": delay_s}
            log.warning("runner lost", extra=extra)
            await self._tell()
            await asyncio.sleep(delay_s)

    async def _live_once(self, seat: _Seat) -> Exit:
        spec = seat.spec
        child = seat.child = Child(
            spec.name,
            spec.argv(),
            env=spec.env,
            deadlines=self._deadlines,
            on_message=lambda message: self._heard(seat, message),
        )
        try:
            async with asyncio.TaskGroup() as group:
                living = group.create_task(child.run(), name=f"{spec.name}.run")
                welcoming = group.create_task(self._welcome(seat, child))
                exit_ = await living
                welcoming.cancel()
            return exit_
        finally:
            seat.is_ready = False
            seat.child = None
            seat.url = ""

    async def _welcome(self, seat: _Seat, child: Child) -> None:
        try:
            details = await child.ready()
        except ChildFailed:
            return  # `run` says why
        seat.url = f"http://{seat.spec.host}:{details['port']}"
        seat.pipelines = details["pipelines"]
        seat.problem = ""
        seat.is_ready = True
        extra = {"runner": seat.spec.name, "url": seat.url, "runner_pid": child.pid}
        log.info("runner ready", extra=extra)
        await self._tell()

    def _heard(self, seat: _Seat, message: Message) -> None:
        match message:
            case Report(status=RunnerStatus.ERROR.value, message=reason) if seat.child:
                seat.child.stop(f"reported an error: {reason}")
            case _:
                pass

    async def _tell(self) -> None:
        self._on_change()
        async with self._changed:
            self._changed.notify_all()


def _refusal(status: int, body: str) -> RunnerRefused:
    try:
        detail = json.loads(body)["detail"]
        return RunnerRefused(status, str(detail.get("code", "")), str(detail["msg"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return RunnerRefused(status, "", f"status {status}: {body[:200]}")


def _list(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items()) or "there are none"
