"""The HTTP contract of an ai-runner, on top of `LiveRunner`. Routes and shapes, nothing else."""

import hmac
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from pydantic import ValidationError

from runners.errors import BadJob, RunnerError
from runners.live import hardware
from runners.live.job import Job
from runners.live.runner import LiveRunner

# A job is URLs and parameters; a ComfyUI workflow is the largest known.
_MAX_BODY_BYTES: Final = 4 << 20

_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PIPELINE: Final = "live-video-to-video"


def application(runner: LiveRunner) -> web.Application:
    """Returns the application that serves `runner`. Every route also takes a trailing slash."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_errors, _authorised])
    api = _Api(runner)
    routes = {
        "/health": api.health,
        "/version": api.version,
        "/hardware/info": api.hardware_info,
        "/hardware/stats": api.hardware_stats,
        "/metrics": api.metrics,
        "/pipelines": api.pipelines,
        "/status": api.status,
    }
    for path, answer in routes.items():
        app.router.add_get(path, answer)
        app.router.add_get(path + "/", answer)
    app.router.add_post("/live-video-to-video", api.start)
    app.router.add_post("/live-video-to-video/", api.start)
    return app


@web.middleware
async def _errors(request: web.Request, handler: _Answer) -> web.StreamResponse:
    """Turns our errors, and the framework's, into ai-runner's `{"detail": {"msg": ...}}`."""
    try:
        response: web.StreamResponse = await handler(request)
    except RunnerError as error:
        return _problem(error.status, error.code, error.message)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = error.reason.lower().replace(" ", "_")
        return _problem(error.status, code, f"{error.reason}: {request.method} {request.path}")
    return response


@web.middleware
async def _authorised(request: web.Request, handler: _Answer) -> web.StreamResponse:
    """With AUTH_TOKEN in the environment, as ai-runner has it, every request must carry it."""
    wanted = os.environ.get("AUTH_TOKEN")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if wanted and not hmac.compare_digest(given.encode(), wanted.encode()):
        return _problem(401, "not_allowed", "send the bearer token that AUTH_TOKEN names")
    return await handler(request)


def _problem(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"detail": {"msg": message, "code": code}}, status=status)


class _Api:
    def __init__(self, runner: LiveRunner) -> None:
        self._runner = runner
        self._registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"penstock_runner_{name}", words, registry=self._registry)
            for name, words in _GAUGES.items()
        }

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": self._runner.status.value})

    async def version(self, _request: web.Request) -> web.Response:
        ours = os.environ.get("VERSION") or _version()
        return web.json_response({**self._names(), "version": ours})

    async def hardware_info(self, _request: web.Request) -> web.Response:
        cards = await hardware.cards()
        info = {str(number): card.info() for number, card in enumerate(cards)}
        return web.json_response({**self._names(), "gpu_info": info})

    async def hardware_stats(self, _request: web.Request) -> web.Response:
        cards = await hardware.cards()
        stats = {str(number): card.stats() for number, card in enumerate(cards)}
        return web.json_response({**self._names(), "gpu_stats": stats})

    async def pipelines(self, _request: web.Request) -> web.Response:
        return web.json_response({"pipelines": self._runner.pipelines})

    async def status(self, _request: web.Request) -> web.Response:
        session = self._runner.session
        if session is None:
            return web.json_response({"type": "status", "state": self._runner.state.value})
        return web.json_response(session.status())

    async def metrics(self, _request: web.Request) -> web.Response:
        runner = self._runner
        values: dict[str, float] = {
            "streams": runner.session is not None,
            "jobs": runner.jobs,
            "restarts": runner.health.restarts,
        }
        if runner.session is not None:
            counts = runner.session.tally.counts()
            values |= {
                "input_fps": counts.input_fps,
                "output_fps": counts.output_fps,
                "frames_in": counts.frames_in,
                "frames_out": counts.frames_out,
                "frames_dropped": sum(counts.dropped_by.values()),
                "latency_p95_ms": counts.latency_ms["p95"] or 0,
            }
        for name, gauge in self._gauges.items():
            gauge.set(values.get(name, 0))
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")

    async def start(self, request: web.Request) -> web.Response:
        try:
            job = Job.model_validate(await request.json())
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors())
            raise BadJob("; ".join(problems)) from None
        except ValueError as error:
            raise BadJob(f"the body is not JSON: {error}") from None
        await self._runner.start(job)
        empty = dict.fromkeys(("publish_url", "subscribe_url", "control_url", "events_url"), "")
        ids = {"request_id": job.gateway_request_id, "manifest_id": job.manifest_id}
        return web.json_response({**empty, **ids})

    def _names(self) -> dict[str, str]:
        pipelines = self._runner.pipelines
        first = pipelines[0]["name"] if pipelines else "undefined"
        return {
            "pipeline": os.environ.get("PIPELINE") or _PIPELINE,
            "model_id": os.environ.get("MODEL_ID") or first,
        }


_GAUGES: Final = {
    "streams": "Streams under way.",
    "jobs": "Jobs taken since the start.",
    "restarts": "Model processes lost since the start.",
    "input_fps": "Frames per second that come in.",
    "output_fps": "Frames per second that go out.",
    "frames_in": "Frames of this stream that came in.",
    "frames_out": "Frames of this stream that went out.",
    "frames_dropped": "Frames of this stream that were dropped.",
    "latency_p95_ms": "From coded frame in to coded frame out.",
}


def _version() -> str:
    try:
        return version("penstock")
    except PackageNotFoundError:
        return "undefined"
