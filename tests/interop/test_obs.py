"""Real OBS Studio publishes to a real node with nothing but a server and a stream key."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np

from server.media.stream import LiveStream, StreamReader
from tests.support.node import node_here
from tests.support.obs import SIZE, needs_obs, obs_streaming

pytestmark = needs_obs

PATIENCE_S = 20.0
# OBS waits a second before it tries again, as its profile says, and then needs a keyframe.
RETURN_S = 8.0


class Line:
    """A line between OBS and the node that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.calls = 0
        self._far = (host, port)
        self._ends: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Line", None]:
        server = await asyncio.start_server(self._call, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        far_reader, far_writer = await asyncio.open_connection(*self._far)
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_carry(reader, far_writer))
                tasks.create_task(_carry(far_reader, writer))
        finally:
            for end in ends:
                end.close()
            self._ends -= ends


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError:
        writer.transport.abort()


async def lightness(stream: LiveStream) -> tuple[float, tuple[int, int]]:
    """How light the next picture of a stream is, and its size."""
    reader, decoder = StreamReader(stream), av.CodecContext.create("h264", "r")
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for packet in reader:
                if packet.codec.is_video:
                    for frame in decoder.decode(av.Packet(packet.data)):
                        picture = frame.to_ndarray(format="gray")
                        return float(np.median(picture)), (frame.width, frame.height)
    finally:
        reader.close()
    raise AssertionError("the stream ended")


async def test_what_obs_sends_comes_back_transformed(tmp_path: Path) -> None:
    async with node_here() as (node, client):
        assert node.gateway is not None
        server = f"rtmp://127.0.0.1:{urlsplit(client.rtmp_url).port}/live"
        async with obs_streaming(tmp_path, server=server, key="studio?pipeline=neon"):
            report = await client.until("studio", lambda r: bool(r["output"]["audio"]))
            source = await node.gateway.rooms.view("studio", source=True, wait=True)
            output = await node.gateway.rooms.view("studio", source=False, wait=True)
            sent, sent_size = await lightness(source)
            seen, seen_size = await lightness(output)
            for _ in range(2):
                node.gateway.rooms.left("studio")
    assert (report["pipeline"], report["input"]["protocol"]) == ("neon", "rtmp")
    assert (report["input"]["audio"], report["output"]["audio"]) == ("aac", "opus")
    assert sent_size == seen_size == SIZE
    # White without an edge is all backdrop to neon, and that is dark.
    assert seen < 60 < 200 < sent


async def test_obs_comes_back_by_itself_when_its_connection_breaks(tmp_path: Path) -> None:
    async with node_here() as (_, client):
        far = urlsplit(client.rtmp_url)
        async with (
            Line("127.0.0.1", far.port or 0).open() as line,
            obs_streaming(
                tmp_path,
                server=f"rtmp://127.0.0.1:{line.port}/live",
                key="studio?pipeline=passthrough",
            ),
        ):
            await client.until_live("studio")
            line.cut()
            broken = await client.until("studio", lambda r: r["state"] != "live", within_s=RETURN_S)
            await client.until(
                "studio",
                lambda r: (
                    r["state"] == "live" and r["output"]["frames"] > broken["output"]["frames"] + 30
                ),
                within_s=RETURN_S,
            )
            assert line.calls == 2
