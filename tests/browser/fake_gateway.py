"""A gateway small enough to be told what to do: the page's side of the HTTP contract.

It serves the real page, answers WHIP and WHEP with stock aiortc (the picture comes back at half
the size, inverted if the effect says so) and lets a test decide what the status says. There is no
orchestrator and no runner: what the node does with a picture is tested in `test_journey.py`.
"""

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

WEB = Path(__file__).parents[2] / "web"
RETURNED_SIZE = (640, 360)  # stock aiortc encodes 720p slower than a busy machine likes

PIPELINES: list[dict[str, Any]] = [
    {
        "name": "passthrough",
        "title": "Passthrough",
        "description": "The picture as it came.",
        "schema": {"type": "object", "properties": {}},
        "defaults": {},
    },
    {
        "name": "negative",
        "title": "Negative",
        "description": "Dark becomes light and light becomes dark, as on film before the print.",
        "schema": {
            "type": "object",
            "$defs": {"Tint": {"enum": ["none", "warm", "cool_blue"], "type": "string"}},
            "properties": {
                "amount": {
                    "type": "number",
                    "title": "Amount",
                    "minimum": 0,
                    "maximum": 1,
                    "default": 1.0,
                    "description": "How far to go.",
                },
                "levels": {
                    "type": "integer",
                    "title": "Number Of Levels",
                    "minimum": 2,
                    "maximum": 16,
                    "default": 8,
                },
                "glow": {"type": "boolean", "title": "Glow", "default": False},
                "tint": {"allOf": [{"$ref": "#/$defs/Tint"}], "title": "Tint", "default": "none"},
                "ink": {
                    "type": "string",
                    "title": "Ink Colour",
                    "pattern": "^#[0-9a-fA-F]{6}$",
                    "default": "#112233",
                },
            },
        },
        "defaults": {
            "amount": 1.0,
            "levels": 8,
            "glow": False,
            "tint": "none",
            "ink": "#112233",
        },
    },
    {
        "name": "seeded",
        "title": "Seeded",
        "description": "Has a number without bounds, a text, and something no control is made for.",
        "schema": {
            "type": "object",
            "properties": {
                "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "Seed"},
                "prompt": {"type": "string", "maxLength": 40, "default": ""},
                "points": {"type": "array", "items": {"type": "array"}, "default": [[0, 1]]},
                "shadow": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": 255},
                    "minItems": 3,
                    "maxItems": 3,
                },
            },
        },
        "defaults": {"seed": 7, "prompt": "", "points": [[0, 1]], "shadow": [255, 0, 16]},
    },
]


def problem(status: int, code: str, detail: str, remedy: str, retry: str) -> web.Response:
    body = {"title": detail, "status": status, "detail": detail}
    return web.json_response(
        body | {"type": f"about:blank#{code}", "code": code, "retry": retry, "remedy": remedy},
        status=status,
        content_type="application/problem+json",
    )


NO_RUNNER_FREE = (
    503,
    "no_runner_free",
    "Both runners are busy.",
    "Wait for a stream to end, or raise orchestrator.runners.",
    "elsewhere",
)
TOO_MANY_VIEWERS = (
    503,
    "too_many_viewers",
    "500 are watching already.",
    "Raise gateway.viewers_max, or come back later.",
    "same",
)
BAD_OFFER = (400, "bad_offer", "The offer has no H.264.", "Send H.264 video.", "never")
NO_ORCHESTRATOR = (
    503,
    "no_orchestrator",
    "No orchestrator answers.",
    "Start one with `penstock orchestrator`.",
    "same",
)


class Transformed(MediaStreamTrack):
    """The publisher's picture, smaller, and inverted as far as the stream's parameters say."""

    kind = "video"

    def __init__(self, source: MediaStreamTrack, stream: "FakeStream") -> None:
        super().__init__()
        self._source = source
        self._stream = stream

    async def recv(self) -> VideoFrame:
        frame = await self._source.recv()
        assert isinstance(frame, VideoFrame)
        small = frame.reformat(*RETURNED_SIZE, format="rgb24")
        amount = 0.0
        if self._stream.pipeline == "negative":
            amount = float(self._stream.params.get("amount", 1.0))
        rgb = small.to_ndarray().astype(np.float32)
        made = VideoFrame.from_ndarray(
            (rgb * (1 - amount) + (255 - rgb) * amount).astype(np.uint8), format="rgb24"
        )
        made.pts, made.time_base = frame.pts, frame.time_base
        return made


@dataclass
class FakeStream:
    """What the gateway knows of one stream."""

    name: str
    pipeline: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    publisher: RTCPeerConnection | None = None
    source: MediaStreamTrack | None = None
    relay: MediaRelay = field(default_factory=MediaRelay)
    said: dict[str, Any] = field(default_factory=dict)  # a test's own words for the status
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def status(self) -> dict[str, Any]:
        live = self.publisher is not None
        side = {"fps": 30.0 if live else 0.0, "frames": 0, "width": 1280, "height": 720}
        status: dict[str, Any] = {
            "stream": self.name,
            "state": "live" if live else "waiting",
            "message": "",
            "input": side
            | {"protocol": "whip" if live else None, "video": "h264" if live else None}
            | {"audio": None},
            "output": side,
            "latency_ms": {"p50": 41.5, "p95": 60.0} if live else {"p50": None, "p95": None},
            "dropped": 3 if live else 0,
            "pipeline": self.pipeline if live else None,
            "params": self.params if live else None,
            "orchestrator": "http://localhost:8935" if live else None,
            "runner": {"id": "r1", "state": "ONLINE", "restarts": 0} if live else None,
            "viewers": 1,
            "problem": None,
        }
        return status | self.said


class FakeGateway:
    """Serves on one port, which it keeps over `stop` and `start`."""

    def __init__(self) -> None:
        self.port = 0
        self.pipelines = PIPELINES
        self.streams: dict[str, FakeStream] = {}
        self.sessions: dict[str, RTCPeerConnection] = {}
        self.updates: list[dict[str, Any]] = []
        self.offers: list[str] = []
        self.refuse: dict[str, tuple[int, str, str, str, str]] = {}
        self.unreachable = False  # answers offers so that no media ever gets through
        self.mute = False  # connected, and silent
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stream(self, name: str) -> FakeStream:
        return self.streams.setdefault(name, FakeStream(name))

    def say(self, name: str, **status: Any) -> None:
        """From now on the status of that stream says this instead."""
        stream = self.stream(name)
        stream.said = status
        stream.changed.set()

    async def start(self) -> None:
        app = web.Application()
        live = "/live/video-to-video/{stream}"
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/style.css", self._style),
                web.static("/src", WEB / "src"),
                web.get("/node", self._node),
                web.get("/pipelines", self._pipelines),
                web.post("/{stream}/whip", self._whip),
                web.post("/{stream}/whep", self._whep),
                web.delete("/{stream}/{kind:whip|whep}/{session}", self._delete),
                web.post(f"{live}/update", self._update),
                web.get(f"{live}/events", self._events),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Goes away as a killed process does: without a word, with everything it knew."""
        for session in list(self.sessions):
            await self._end(session)
        self.streams.clear()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _end(self, session: str) -> None:
        pc = self.sessions.pop(session)
        for stream in self.streams.values():
            if stream.publisher is pc:
                stream.publisher = stream.source = None
                stream.changed.set()
        await pc.close()

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(WEB / "index.html")

    async def _style(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(WEB / "style.css")

    async def _node(self, _: web.Request) -> web.Response:
        about = {"version": "0.0.1", "rtmp_url": "rtmp://localhost:1935/live"}
        return web.json_response(
            about | {"orchestrators": ["http://localhost:8935"], "default_pipeline": "negative"}
        )

    async def _pipelines(self, _: web.Request) -> web.Response:
        if refusal := self.refuse.get("pipelines"):
            return problem(*refusal)
        return web.json_response({"pipelines": self.pipelines})

    async def _update(self, request: web.Request) -> web.Response:
        change = await request.json()
        if refusal := self.refuse.get("update"):
            return problem(*refusal)
        self.updates.append(dict(change))
        stream = self.stream(request.match_info["stream"])
        if "model_id" in change:
            stream.pipeline, stream.params = change.pop("model_id"), {}
        stream.params = stream.params | change
        stream.changed.set()
        return web.json_response({})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        stream = self.stream(request.match_info["stream"])
        with contextlib.suppress(ConnectionResetError):
            while True:
                stream.changed.clear()
                text = f"event: status\ndata: {json.dumps(stream.status())}\n\n"
                if not self.mute:
                    await response.write(text.encode())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await stream.changed.wait()
        return response

    async def _whip(self, request: web.Request) -> web.Response:
        self.offers.append(request.path_qs)
        if refusal := self.refuse.get("whip"):
            return problem(*refusal)
        stream = self.stream(request.match_info["stream"])
        stream.pipeline = request.query.get("pipeline")
        stream.params = json.loads(request.query.get("params", "{}"))
        pc = RTCPeerConnection()

        @pc.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            stream.source = track

        answer = await self._answer(request, pc)
        stream.publisher = pc
        stream.changed.set()
        return answer

    async def _whep(self, request: web.Request) -> web.Response:
        if refusal := self.refuse.get("whep"):
            return problem(*refusal)
        stream = self.stream(request.match_info["stream"])
        pc = RTCPeerConnection()
        pc.addTrack(Waiting(stream))
        return await self._answer(request, pc)

    async def _answer(self, request: web.Request, pc: RTCPeerConnection) -> web.Response:
        offer = RTCSessionDescription(sdp=await request.text(), type="offer")
        session = uuid.uuid4().hex
        self.sessions[session] = pc
        await pc.setRemoteDescription(offer)
        await pc.setLocalDescription(await pc.createAnswer())
        sdp = pc.localDescription.sdp
        if self.unreachable:
            sdp = re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:thisisnotthepasswordinuse", sdp)
        return web.Response(
            status=201,
            text=sdp,
            content_type="application/sdp",
            headers={"Location": f"{request.path}/{session}"},
        )

    async def _delete(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        if session not in self.sessions:
            raise web.HTTPNotFound
        await self._end(session)
        return web.Response()


class Waiting(MediaStreamTrack):
    """What a viewer gets: the stream's picture, as soon and as often as somebody publishes."""

    kind = "video"

    def __init__(self, stream: FakeStream) -> None:
        super().__init__()
        self._stream = stream
        self._from: MediaStreamTrack | None = None
        self._made: Transformed | None = None

    async def recv(self) -> VideoFrame:
        while True:
            source = self._stream.source
            if source is None:
                await asyncio.sleep(0.02)
                continue
            if source is not self._from or self._made is None:
                self._from = source
                self._made = Transformed(self._stream.relay.subscribe(source), self._stream)
            with contextlib.suppress(MediaStreamError):
                return await self._made.recv()
            if self._stream.source is source:
                self._stream.source = None


@contextlib.asynccontextmanager
async def fake_gateway() -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway()
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
