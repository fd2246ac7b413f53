"""ffmpeg publishes over RTMP; what viewers get is the transformed picture, in time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import av
import numpy as np
import pytest

from runners.sdk import Picture
from server.gateway.room import Room
from server.media.stream import LiveStream, StreamReader
from tests.support.node import NodeClient, node_here
from tests.support.processes import ffmpeg_publish, program

PATIENCE_S = 20.0


@asynccontextmanager
async def pictures(stream: LiveStream) -> AsyncGenerator[AsyncGenerator[Picture, None], None]:
    """Decodes what a viewer of `stream` would get."""
    reader = StreamReader(stream)
    decoder = av.CodecContext.create("h264", "r")

    async def decoded() -> AsyncGenerator[Picture, None]:
        async for packet in reader:
            if packet.codec.is_video:
                for frame in decoder.decode(av.Packet(packet.data)):
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)

    generator = decoded()
    try:
        yield generator
    finally:
        reader.close()
        await generator.aclose()


async def first_picture(stream: LiveStream) -> Picture:
    async with asyncio.timeout(PATIENCE_S), pictures(stream) as shown:
        return await anext(shown)


def room_of(node: object, name: str) -> Room:
    return node.gateway.rooms._rooms[name]  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
async def node() -> AsyncGenerator[tuple[object, NodeClient], None]:
    async with node_here() as (running, client):
        yield running, client


async def test_the_picture_comes_back_transformed(node: tuple[object, NodeClient]) -> None:
    running, client = node
    url = f"{client.rtmp_url}/journey?pipeline=neon"
    async with program(*ffmpeg_publish(url)):
        report = await client.until_live("journey")
        room = room_of(running, "journey")
        seen = await first_picture(room.output)
        sent = await first_picture(room.source)
    assert seen.shape == sent.shape == (720, 1280, 3)
    # Neon is dark but for the edges; ffmpeg's test picture is bright all over.
    assert np.median(seen) < 40 < np.median(sent)
    assert report["pipeline"] == "neon"
    assert report["input"]["protocol"] == "rtmp"
    assert (report["output"]["width"], report["output"]["height"]) == (1280, 720)


async def test_passthrough_gives_back_what_was_sent(node: tuple[object, NodeClient]) -> None:
    running, client = node
    still = ffmpeg_publish(f"{client.rtmp_url}/same?pipeline=passthrough", pattern="smptebars")
    async with program(*still):
        await client.until_live("same")
        room = room_of(running, "same")
        seen, sent = await first_picture(room.output), await first_picture(room.source)
    assert np.abs(seen.astype(int) - sent.astype(int)).mean() < 6


async def test_audio_comes_back_with_the_picture(node: tuple[object, NodeClient]) -> None:
    running, client = node
    async with program(*ffmpeg_publish(f"{client.rtmp_url}/sound?pipeline=passthrough")):
        report = await client.until("sound", lambda r: bool(r["output"]["audio"]))
        room = room_of(running, "sound")
        reader = StreamReader(room.output)
        stamps: dict[bool, int] = {}
        async with asyncio.timeout(PATIENCE_S):
            while len(stamps) < 2:
                packet = await anext(reader)
                stamps[packet.codec.is_video] = packet.pts
        reader.close()
    # ffmpeg sends AAC, as OBS does; browsers play Opus.
    assert (report["input"]["audio"], report["output"]["audio"]) == ("aac", "opus")
    assert abs(stamps[True] - stamps[False]) < 90_000 / 2


async def test_parameters_and_pipeline_change_while_live(node: tuple[object, NodeClient]) -> None:
    running, client = node
    url = f"{client.rtmp_url}/change?pipeline=passthrough"
    async with program(*ffmpeg_publish(url, pattern="smptebars")):
        await client.until_live("change")
        room = room_of(running, "change")
        async with pictures(room.output) as shown, asyncio.timeout(PATIENCE_S):
            plain = np.median(await anext(shown))
            update = f"{client.url}/live/video-to-video/change/update"
            async with client.http.post(update, json={"model_id": "neon"}) as answer:
                assert answer.status == 200
            async for picture in shown:
                if np.median(picture) < plain / 2:
                    break
        assert (await client.status("change"))["pipeline"] == "neon"


async def test_two_streams_do_not_mix(node: tuple[object, NodeClient]) -> None:
    running, client = node
    one = ffmpeg_publish(f"{client.rtmp_url}/one?pipeline=neon", size="640x360", rate=15)
    two = ffmpeg_publish(f"{client.rtmp_url}/two?pipeline=passthrough", size="320x180", rate=15)
    async with program(*one), program(*two):
        first, second = await client.until_live("one"), await client.until_live("two")
        seen_one = await first_picture(room_of(running, "one").output)
        seen_two = await first_picture(room_of(running, "two").output)
    assert seen_one.shape == (360, 640, 3)
    assert seen_two.shape == (180, 320, 3)
    assert first["runner"]["id"] != second["runner"]["id"]


async def test_a_bad_pipeline_is_refused_and_the_publisher_told(
    node: tuple[object, NodeClient],
) -> None:
    _, client = node
    async with program(*ffmpeg_publish(f"{client.rtmp_url}/bad?pipeline=cartoon")) as publisher:
        async with asyncio.timeout(PATIENCE_S):
            assert await publisher.process.wait() != 0
    async with client.http.get(f"{client.url}/live/video-to-video/bad/status") as answer:
        assert answer.status == 404
