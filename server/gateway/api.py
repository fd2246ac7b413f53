"""What a user of a gateway may ask over HTTP, apart from media: pipelines, status, parameters.

The paths of `/live/video-to-video/...` are go-livepeer's; `/pipelines` and `/node` are ours.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from server.edge.http import EventStream, read_json
from server.edge.ingest import check_stream_name
from server.edge.openapi import Operation
from server.errors import NoOrchestrator, Overloaded, RunnersLoading, StreamNotFound
from server.gateway.latency import Percentiles
from server.gateway.orchestrators import Orchestrators
from server.gateway.rooms import Rooms
from server.gateway.status import Media, Report, State

WEB: Final = Path(__file__).parents[2] / "web"

# A page shows numbers that move; between two changes of state they are sent this often.
EVENT_EVERY_S: Final = 1.0

# Each costs a report a second. A page needs one.
EVENT_STREAMS_MAX: Final = 1000

# The page's own files: nothing else may run in it, and nobody else may frame it.
PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
        "style-src 'self' 'unsafe-inline'; connect-src *; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/pipelines",
        summary="Every pipeline that can be asked for, with the JSON schema of its parameters.",
        answers={200: ("application/json", "The list.")},
        errors={503: "no_orchestrator, runners_loading"},
    ),
    Operation(
        method="GET",
        path="/node",
        summary="What this node is: version, RTMP address, orchestrators, default pipeline.",
        answers={200: ("application/json", "The facts.")},
    ),
    Operation(
        method="GET",
        path="/streams",
        summary="The report of every stream that is there.",
        answers={200: ("application/json", "The list.")},
    ),
    Operation(
        method="GET",
        path="/live/video-to-video/{stream}/status",
        summary="How a stream is; kept for a minute after its end.",
        answers={200: ("application/json", "The report.")},
        errors={404: "stream_not_found"},
    ),
    Operation(
        method="GET",
        path="/live/video-to-video/{stream}/events",
        summary="The same report every second and at each change, as server-sent events.",
        answers={200: ("text/event-stream", "`event: status` with the report as data.")},
    ),
    Operation(
        method="POST",
        path="/live/video-to-video/{stream}/update",
        summary="Changes parameters while live; `model_id` changes the pipeline.",
        body={"application/json": {"model_id": "toon", "levels": 5}},
        answers={200: ("application/json", "Handed to the runner.")},
        errors={400: "bad_request, bad_parameters", 404: "stream_not_found", 413: "too_large"},
    ),
)


class GatewayApi:
    """The routes, and what they need."""

    def __init__(self, rooms: Rooms, orchestrators: Orchestrators, node: dict[str, object]) -> None:
        self._rooms = rooms
        self._orchestrators = orchestrators
        self._node = node
        self._followers = 0

    def routes(self) -> list[web.RouteDef]:
        stream = "/live/video-to-video/{stream}"
        return [
            web.get("/", self._page),
            web.get("/style.css", self._file),
            web.get("/src/{file:[a-z0-9_.-]+\\.js}", self._file),
            web.get("/node", self._about),
            web.get("/pipelines", self._pipelines),
            web.get("/streams", self._streams),
            web.get(f"{stream}/status", self._status),
            web.get(f"{stream}/events", self._events),
            web.post(f"{stream}/update", self._update),
        ]

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(WEB / "index.html", headers=PAGE_HEADERS)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = WEB / request.path.lstrip("/")
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers=PAGE_HEADERS)

    async def _about(self, _request: web.Request) -> web.Response:
        return web.json_response(self._node)

    async def _pipelines(self, _request: web.Request) -> web.Response:
        catalogue = await self._orchestrators.catalogue()
        if not len(catalogue):
            if self._orchestrators.loading:
                raise RunnersLoading("the runners are still loading")
            raise NoOrchestrator("no orchestrator offers a pipeline")
        return web.json_response({"pipelines": [offer.to_json() for offer in catalogue]})

    async def _streams(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"streams": [report.to_json() for report in self._rooms.reports()]}
        )

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self._rooms.report(request.match_info["stream"]).to_json())

    async def _update(self, request: web.Request) -> web.Response:
        await self._rooms.update(request.match_info["stream"], await read_json(request))
        return web.json_response({})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        name = check_stream_name(request.match_info["stream"])
        if self._followers >= EVENT_STREAMS_MAX:
            raise Overloaded(f"{self._followers} clients follow events already")
        self._followers += 1
        try:
            events = EventStream(request)
            response = await events.start()
            while await events.send("status", self._report(name).to_json()):
                changed = self._rooms.changed(name) or asyncio.Event()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVENT_EVERY_S):
                        await changed.wait()
        finally:
            self._followers -= 1
        return response

    def _report(self, name: str) -> Report:
        """A page may follow a stream before it is there."""
        try:
            return self._rooms.report(name)
        except StreamNotFound:
            return Report(
                stream=name,
                state=State.WAITING,
                message="Waiting for somebody to publish.",
                input=Media(),
                output=Media(),
                latency_ms=Percentiles(),
                dropped=0,
                pipeline=str(self._node["default_pipeline"]),
            )
