"""A live stream through a runner, without a node: channels, a camera that counts, and a viewer.

Every picture of the camera carries its number in its pixels, so that a viewer can tell which
input an output was made of, whatever its time stamp says.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runners.codec import Colour, Decoder, Encoder, ToRgb
from runners.live.job import Job
from runners.sdk import Picture
from tests.support.waiting import until
from trickle.lines import JsonPublisher, JsonSubscriber
from trickle.media.mpegts import TsDemuxer, TsMuxer
from trickle.media.packets import CLOCK_HZ, Codec, Packet
from trickle.publisher import SegmentWriter, TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber

TRIALS = Path(__file__).with_name("trial_pipelines.py")

FIRST_PTS = 5 * CLOCK_HZ
_BITS = 10
_OPUS_TICKS = CLOCK_HZ // 50


def trial(*names: str) -> tuple[str, ...]:
    """The references of pipelines in `trial_pipelines`."""
    return tuple(f"{TRIALS}:{name}" for name in names)


def numbered(number: int, width: int, height: int, ground: int = 90) -> Picture:
    """A picture that carries a number, in white and black bars over its whole height."""
    picture = np.full((height, width, 3), ground, np.uint8)
    for bit in range(_BITS):
        left, right = width * bit // _BITS, width * (bit + 1) // _BITS
        picture[height // 4 : height // 2, left:right] = 235 if number >> bit & 1 else 20
    return picture


def number_in(picture: Picture) -> int:
    """The number that `numbered` wrote."""
    height, width = picture.shape[:2]
    row = picture[height * 3 // 8]
    middles = [width * (2 * bit + 1) // (2 * _BITS) for bit in range(_BITS)]
    return sum(1 << bit for bit, x in enumerate(middles) if row[x].mean() > 128)


@dataclass(slots=True)
class Seen:
    """One picture that the viewer got."""

    pts: int
    number: int
    shade: int
    width: int
    height: int
    keyframe: bool
    at: float


@dataclass(slots=True)
class Channels:
    """The four channels of a stream, and what came out of two of them."""

    base: str
    server: TrickleServer
    seen: list[Seen] = field(default_factory=list)
    sound: list[Packet] = field(default_factory=list)
    segments: list[list[int]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sent_at: dict[int, float] = field(default_factory=dict)
    is_over: bool = False

    def job(self, model_id: str, **params: Any) -> Job:
        return Job(
            subscribe_url=self.base,
            publish_url=f"{self.base}-out",
            control_url=f"{self.base}-control",
            events_url=f"{self.base}-events",
            model_id=model_id,
            params=params,
            gateway_request_id="request-1",
            manifest_id="stream",
        )

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event["event"] for event in self.events if event["event"]["type"] == kind]

    async def control(self, **document: Any) -> None:
        publisher = self.server.local_publisher("stream-control")
        await JsonPublisher(publisher).send(document)

    async def view(self) -> None:
        """Takes the output as a gateway does: all segments into one demuxer."""
        demuxer, decoder, to_rgb = TsDemuxer(), Decoder(Codec.H264), ToRgb()
        async with TrickleSubscriber(f"{self.base}-out") as subscriber:
            async for segment in subscriber:
                self.segments.append([])
                async for chunk in segment:
                    for packet in demuxer.feed(chunk):
                        self._see(packet, decoder, to_rgb)
        self.is_over = True

    def _see(self, packet: Packet, decoder: Decoder, to_rgb: ToRgb) -> None:
        if not packet.codec.is_video:
            self.sound.append(packet)
            return
        at = time.monotonic()
        self.segments[-1].append(packet.pts)
        for decoded in decoder.decode(packet):
            picture = np.empty((decoded.height, decoded.width, 3), np.uint8)
            to_rgb.convert(decoded, picture)
            self.seen.append(
                Seen(
                    decoded.pts,
                    number_in(picture),
                    int(picture[decoded.height * 3 // 4, decoded.width // 2].mean()),
                    decoded.width,
                    decoded.height,
                    packet.keyframe,
                    at,
                )
            )

    async def listen(self) -> None:
        async with TrickleSubscriber(f"{self.base}-events", start=0) as subscriber:
            async for document in JsonSubscriber(subscriber):
                self.events.append(document)

    async def sees(self, condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
        await until(condition, within_s=within_s)


@asynccontextmanager
async def channels() -> AsyncGenerator[Channels, None]:
    """A trickle server with a stream's channels, a viewer, and a reader of events."""
    server = TrickleServer()
    listening = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    made = Channels(f"http://127.0.0.1:{port}/ai/trickle/stream", server)
    for suffix in ("", "-out", "-control", "-events"):
        server.create(f"stream{suffix}", mime_type="video/MP2T")
    viewing = asyncio.create_task(made.view())
    hearing = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        for task in (viewing, hearing):
            task.cancel()
        await asyncio.wait([viewing, hearing])
        server.close()
        listening.close()
        await listening.wait_closed()


class Camera:
    """Publishes numbered pictures at their pace, and sound beside them if asked."""

    def __init__(
        self,
        to: Channels,
        *,
        width: int = 320,
        height: int = 180,
        fps: int = 30,
        sound: bool = False,
    ) -> None:
        self.width, self.height = width, height
        self.number = 0
        self.damaged = 0
        self._to = to
        self._fps = fps
        self._encoder = Encoder(width, height, Colour())
        self._muxer = TsMuxer(Codec.H264, Codec.OPUS if sound else None)
        self._sound = sound
        self._sound_pts = FIRST_PTS
        self._writer: SegmentWriter | None = None

    async def run(self, publisher: TricklePublisher, *, frames: int) -> None:
        """Publishes so many pictures, in real time."""
        began = time.monotonic()
        for count in range(frames):
            await self._picture(publisher)
            await asyncio.sleep(max(0.0, began + (count + 1) / self._fps - time.monotonic()))

    async def burst(self, publisher: TricklePublisher, *, frames: int) -> None:
        """The same, as fast as it goes."""
        for _ in range(frames):
            await self._picture(publisher)

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._encoder = Encoder(width, height, Colour())

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()

    async def _picture(self, publisher: TricklePublisher) -> None:
        pts = FIRST_PTS + self.number * CLOCK_HZ // self._fps
        picture = numbered(self.number, self.width, self.height)
        (packet,) = self._encoder.encode(picture, pts)
        self.number += 1
        if packet.keyframe or self._writer is None:
            await self.close()
            self._writer = await publisher.next()
        self._to.sent_at[pts] = time.monotonic()
        data = self._muxer.mux(packet)
        if self.damaged:
            self.damaged -= 1
            data = data[: len(data) // 3] + b"\xff" * 700
        await self._writer.write(data)
        while self._sound and self._sound_pts <= pts:
            spoken = Packet(
                Codec.OPUS,
                b"\xfc" + self._sound_pts.to_bytes(8, "big"),
                self._sound_pts,
                self._sound_pts,
                keyframe=True,
            )
            await self._writer.write(self._muxer.mux(spoken))
            self._sound_pts += _OPUS_TICKS


@asynccontextmanager
async def filming(to: Channels, **options: Any) -> AsyncGenerator[Camera, None]:
    """A camera that films until the body ends, in the background; its end ends the stream."""
    camera = Camera(to, **options)
    async with TricklePublisher(to.base) as publisher:
        running = asyncio.create_task(camera.run(publisher, frames=100_000))
        try:
            yield camera
        finally:
            running.cancel()
            await asyncio.wait([running])
