"""The orchestrator, put together: one port for its API and for trickle, and the runners behind."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Final

import structlog
from aiohttp import web

from runners.pool import RunnerPool
from runners.spec import RunnerSpec
from server.config import OrchestratorConfig
from server.edge import http, openapi
from server.edge.listen import opening
from server.obs.metrics import Metrics
from server.orchestrator.api import OPERATIONS, OrchestratorApi
from server.orchestrator.jobs import LiveJobs
from trickle.serve import TrickleServer

log = structlog.get_logger(__name__)

# go-livepeer's path; its gateways and runners are told whole URLs, but people know this one.
TRICKLE_BASE: Final = "/ai/trickle/"

# A job's request is a pipeline and its parameters; a ComfyUI workflow is the largest known.
BODY_MAX_BYTES: Final = 4 << 20

SHUTDOWN_S: Final = 1.0


class Orchestrator:
    """A running orchestrator.

    Attributes:
        url: How gateways reach it.
    """

    def __init__(self, url: str, pool: RunnerPool, jobs: LiveJobs) -> None:
        self.url = url
        self.pool = pool
        self.jobs = jobs


@asynccontextmanager
async def orchestrator(
    config: OrchestratorConfig, metrics: Metrics
) -> AsyncGenerator[Orchestrator, None]:
    """Serves for as long as the body runs; when it returns no runner and no socket is left.

    Raises:
        AddressInUse: The port is taken.
    """
    trickle = TrickleServer(TRICKLE_BASE)
    pool = RunnerPool(
        [
            RunnerSpec(name=f"runner-{number}", pipelines=config.runners.pipelines)
            for number in range(1, config.runners.count + 1)
        ]
    )
    jobs = LiveJobs(trickle, pool, idle_s=config.idle_s)
    metrics.watch(lambda: _readings(trickle, pool, jobs))
    app = http.application(
        metrics,
        body_max_bytes=BODY_MAX_BYTES,
        routes=[
            *OrchestratorApi(jobs, pool).routes(),
            *openapi.routes(
                "Penstock orchestrator", version("penstock"), (*OPERATIONS, *http.OPERATIONS)
            ),
        ],
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        assert runner.server is not None, "set up above"
        with opening(config.host, config.port, setting="orchestrator.port"):
            server = await asyncio.get_running_loop().create_server(
                lambda: trickle.protocol(fallback=runner.server), config.host, config.port
            )
        port = server.sockets[0].getsockname()[1]
        local = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
        url = config.service_uri.rstrip("/") or f"http://{local}:{port}"
        jobs.public_base = url + TRICKLE_BASE
        jobs.runner_base = f"http://{local}:{port}{TRICKLE_BASE}"
        try:
            async with asyncio.TaskGroup() as tasks:
                own = [
                    tasks.create_task(trickle.run(), name="trickle"),
                    tasks.create_task(jobs.run(), name="jobs"),
                ]
                await pool.start()
                try:
                    yield Orchestrator(url, pool, jobs)
                finally:
                    for task in own:
                        task.cancel()
                    await pool.close()
        finally:
            server.close()
            trickle.close()
    finally:
        await runner.cleanup()


def _readings(
    trickle: TrickleServer, pool: RunnerPool, jobs: LiveJobs
) -> Iterator[tuple[str, str, str, float]]:
    for name, value in asdict(trickle.counters).items():
        yield "counter", f"penstock_trickle_{name}", f"Trickle server: {name}.", value
    yield "gauge", "penstock_live_jobs", "Live jobs under way.", len(jobs)
    for state, count in pool.states().items():
        yield "gauge", f"penstock_runners_{state}", f"Runners that are {state}.", count
