"""Stock WebRTC clients, and a node's edge for them to meet: what the WHIP and WHEP tests share.

The clients are aiortc's own `RTCPeerConnection`, unchanged, so that nothing of ours vouches for
itself. The gateway behind the edge is a dozen lines: one `LiveStream` per name.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from fractions import Fraction

import aiohttp
import av
import numpy as np
import pytest
from aiohttp import web
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from server.edge.ingest import PublishRequest
from server.edge.webrtc import IceServer, WebRtcRoutes
from server.errors import NodeError, StreamNotFound
from server.media.rtc.endpoint import RtcEndpoint
from server.media.stream import LiveStream
from trickle.media.packets import Packet

# A number is drawn as this many black or white squares.
BITS = 12
SQUARE = 16


class Room:
    """A stream and what happened to its publisher."""

    def __init__(self, name: str) -> None:
        self.stream = LiveStream(name)
        self.requests: list[PublishRequest] = []
        self.packets: list[Packet] = []
        self.arrivals: list[float] = []
        self.ends: list[str] = []
        self.publication: Held | None = None


class Held:
    """A publication."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.on_closed: Callable[[str], None] | None = None
        self.on_keyframe_wanted: Callable[[], None] | None = None

    def packet(self, packet: Packet) -> None:
        self.room.packets.append(packet)
        self.room.arrivals.append(time.monotonic())
        self.room.stream.publish(packet)

    def end(self, reason: str, *, goodbye: bool = False) -> None:
        self.room.ends.append(reason)
        self.room.stream.pause()

    def want_keyframe(self) -> None:
        if self.on_keyframe_wanted is not None:
            self.on_keyframe_wanted()


class Gateway:
    """Takes everything in and gives it out again, untouched."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.viewers: list[tuple[str, bool]] = []
        self.left_count = 0
        self.refusal: NodeError | None = None

    def room(self, name: str) -> Room:
        return self.rooms.setdefault(name, Room(name))

    async def publish(self, request: PublishRequest) -> Held:
        if self.refusal is not None:
            raise self.refusal
        room = self.room(request.stream)
        room.requests.append(request)
        held = room.publication = Held(room)
        room.stream.begin(held.want_keyframe)
        return held

    async def view(self, stream: str, *, source: bool, wait: bool) -> LiveStream:
        if not wait and not self.room(stream).stream.live:
            raise StreamNotFound(f"nobody publishes {stream}")
        self.viewers.append((stream, source))
        return self.room(stream).stream

    def left(self, stream: str) -> None:
        self.left_count += 1


class Node:
    """An edge that listens."""

    def __init__(self, url: str, gateway: Gateway, endpoint: RtcEndpoint) -> None:
        self.url = url
        self.gateway = gateway
        self.endpoint = endpoint

    def room(self, name: str) -> Room:
        return self.gateway.room(name)


@asynccontextmanager
async def running_node(
    *,
    endpoint: RtcEndpoint | None = None,
    ice_servers: tuple[IceServer, ...] = (),
    extra_routes: Iterable[web.RouteDef] = (),
) -> AsyncIterator[Node]:
    """A WHIP and WHEP server on ports of its own."""
    from server.edge.http import application
    from server.obs.metrics import Metrics

    gateway = Gateway()
    endpoint = endpoint or RtcEndpoint("127.0.0.1", 0)
    await endpoint.start()
    routes = WebRtcRoutes(endpoint, gateway, gateway, ice_servers=ice_servers)
    app = application(Metrics(), body_max_bytes=1 << 20, routes=[*routes.routes(), *extra_routes])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Node(f"http://127.0.0.1:{runner.addresses[0][1]}", gateway, endpoint)
    finally:
        await endpoint.close()
        await runner.cleanup()


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients of a test use the loopback interface, which they leave out otherwise."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])


def numbered(number: int, width: int = 320, height: int = 240) -> av.VideoFrame:
    """A grey picture with `number` in it."""
    picture = np.full((height, width), 110, np.uint8)
    for bit in range(BITS):
        shade = 235 if number >> bit & 1 else 16
        picture[SQUARE : 3 * SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = shade
    chroma = np.full((height // 2, width), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.vstack([picture, chroma]), format="yuv420p")


def number_in(frame: av.VideoFrame) -> int:
    """The number in a picture made by `numbered`, whatever happened to the picture since."""
    picture = frame.to_ndarray(format="gray")
    number = 0
    for bit in range(BITS):
        middle = picture[SQUARE + 8 : 3 * SQUARE - 8, bit * SQUARE + 4 : (bit + 1) * SQUARE - 4]
        number |= (float(middle.mean()) > 110) << bit
    return number


class NumberedTrack(MediaStreamTrack):
    """Numbered pictures at `fps`, encoded by the client."""

    kind = "video"

    def __init__(
        self, *, fps: int = 30, sizes: tuple[tuple[int, int], ...] = ((320, 240),)
    ) -> None:
        super().__init__()
        self.sent: dict[int, float] = {}
        self._fps = fps
        self._sizes = sizes
        self._began = time.monotonic()
        self.number = 0

    async def recv(self) -> av.VideoFrame:
        self.number += 1
        await asyncio.sleep(max(0.0, self._began + self.number / self._fps - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        width, height = self._sizes[min(self.number // 30, len(self._sizes) - 1)]
        frame = numbered(self.number, width, height)
        frame.pts, frame.time_base = self.number * 90_000 // self._fps, Fraction(1, 90_000)
        self.sent[self.number] = time.monotonic()
        return frame


class ToneTrack(MediaStreamTrack):
    """Silence, 20 ms at a time, with a loud packet whenever the time is a whole second."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        self._count += 1
        await asyncio.sleep(max(0.0, self._began + self._count * 0.02 - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        loud = self._count % 50 == 0
        samples = np.full((1, 1920), 9000 if loud else 0, np.int16)
        samples[0, ::4] *= -1
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 48_000
        frame.pts, frame.time_base = self._count * 960, Fraction(1, 48_000)
        return frame


def peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


class Client:
    """A stock peer connection with a WHIP or WHEP session."""

    def __init__(self, pc: RTCPeerConnection, session: str, headers: dict[str, str]) -> None:
        self.pc = pc
        self.session = session
        self.headers = headers

    async def until_connected(self) -> None:
        async with asyncio.timeout(10):
            while self.pc.connectionState != "connected":
                assert self.pc.connectionState not in ("failed", "closed")
                await asyncio.sleep(0.005)


async def post(url: str, sdp: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    """POSTs an offer; returns status, body and headers."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            url, data=sdp.encode(), headers={"Content-Type": "application/sdp", **headers}
        ) as answer,
    ):
        return answer.status, await answer.text(), dict(answer.headers)


async def negotiate(pc: RTCPeerConnection, url: str) -> Client:
    """Offers what `pc` holds at `url`, and lets it connect."""
    await pc.setLocalDescription(await pc.createOffer())
    status, answer, headers = await post(url, pc.localDescription.sdp)
    assert status == 201, answer
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return Client(pc, headers["Location"], headers)


@asynccontextmanager
async def publishing(url: str, *tracks: MediaStreamTrack) -> AsyncIterator[Client]:
    """Publishes `tracks` to a WHIP URL."""
    pc = peer()
    for track in tracks:
        pc.addTransceiver(track, direction="sendonly")
    try:
        yield await negotiate(pc, url)
    finally:
        await pc.close()


@asynccontextmanager
async def watching(url: str, *kinds: str) -> AsyncIterator[Client]:
    """Watches a WHEP URL."""
    pc = peer()
    for kind in kinds or ("video", "audio"):
        pc.addTransceiver(kind, direction="recvonly")
    try:
        yield await negotiate(pc, url)
    finally:
        await pc.close()


async def pictures(client: Client, count: int, *, timeout_s: float = 15.0) -> list[av.VideoFrame]:
    """The next `count` pictures that a viewer decodes."""
    track = next(
        receiver.track for receiver in client.pc.getReceivers() if receiver.track.kind == "video"
    )
    frames: list[av.VideoFrame] = []
    async with asyncio.timeout(timeout_s):
        while len(frames) < count:
            frame = await track.recv()
            assert isinstance(frame, av.VideoFrame)
            frames.append(frame)
    return frames
