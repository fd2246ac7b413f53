"""What a gateway asks of an orchestrator, and what its operator may look at."""

from typing import Any, Final

from aiohttp import web

from runners.pool import RunnerPool
from server.edge.http import read_json
from server.edge.openapi import Operation
from server.errors import BadRequest, RunnersLoading
from server.orchestrator.jobs import LiveJobs, LiveRequest

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/live-video-to-video",
        summary="Begins a live job: answers with the trickle channels it lives on.",
        body={"application/json": {"model_id": "toon", "params": {}, "stream_id": "kitchen"}},
        answers={200: ("application/json", "manifest_id and the four channel URLs.")},
        errors={
            400: "bad_request, bad_parameters",
            502: "orchestrator_failed",
            503: "no_runner_free, runners_loading",
        },
    ),
    Operation(
        method="GET",
        path="/pipelines",
        summary="Every pipeline that this node's runners serve, with the schema of its parameters.",
        answers={200: ("application/json", "The list.")},
    ),
    Operation(
        method="GET",
        path="/runners",
        summary="The runners: what they serve, how they are, what they do.",
        answers={200: ("application/json", "The list.")},
    ),
)


class OrchestratorApi:
    """The routes, and what they need."""

    def __init__(self, jobs: LiveJobs, pool: RunnerPool) -> None:
        self._jobs = jobs
        self._pool = pool

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/live-video-to-video", self._start),
            web.get("/pipelines", self._pipelines),
            web.get("/runners", self._runners),
        ]

    async def _start(self, request: web.Request) -> web.Response:
        return web.json_response(await self._jobs.start(_live_request(await read_json(request))))

    async def _pipelines(self, _request: web.Request) -> web.Response:
        pipelines = self._pool.pipelines()
        if not pipelines and self._pool.states()["loading"]:
            # An empty list would say that there will never be any.
            raise RunnersLoading("the runners are still loading")
        return web.json_response({"pipelines": pipelines})

    async def _runners(self, _request: web.Request) -> web.Response:
        return web.json_response({"runners": self._pool.describe(), "jobs": len(self._jobs)})


def _live_request(body: dict[str, Any]) -> LiveRequest:
    model_id = body.get("model_id")
    if not isinstance(model_id, str) or not model_id:
        raise BadRequest("model_id is missing: the name of a pipeline")
    params = body.get("params") or {}
    if not isinstance(params, dict):
        raise BadRequest(f"params must be an object, not {type(params).__name__}")
    return LiveRequest(
        pipeline=model_id,
        params=params,
        stream_id=str(body.get("stream_id", "")),
        request_id=str(body.get("gateway_request_id", "")),
    )
