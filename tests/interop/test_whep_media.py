"""Watching by WHEP with a stock aiortc client: pictures, sound, and comings and goings."""

import asyncio
import time

import av
import pytest

from server.media.rtc.playing import PlaySession
from tests.support.waiting import until
from tests.support.webrtc import (
    NumberedTrack,
    ToneTrack,
    loopback,
    number_in,
    pictures,
    publishing,
    running_node,
    watching,
)

__all__ = ["loopback"]

pytestmark = pytest.mark.usefixtures("loopback")


async def test_what_is_published_is_seen() -> None:
    async with (
        running_node() as node,
        publishing(f"{node.url}/cam/whip", NumberedTrack(), ToneTrack()),
        watching(f"{node.url}/cam/whep") as viewer,
    ):
        numbers = [number_in(frame) for frame in await pictures(viewer, 40)]
        assert numbers == list(range(numbers[0], numbers[0] + 40))
        sound = next(r.track for r in viewer.pc.getReceivers() if r.track.kind == "audio")
        async with asyncio.timeout(5):
            frame = await sound.recv()
        assert isinstance(frame, av.AudioFrame)
        assert frame.sample_rate == 48_000


async def test_a_viewer_that_comes_first_sees_the_publisher_that_comes_later() -> None:
    async with running_node() as node, watching(f"{node.url}/cam/whep") as viewer:
        await viewer.until_connected()
        async with publishing(f"{node.url}/cam/whip", NumberedTrack()):
            frames = await pictures(viewer, 10)
    assert number_in(frames[0]) <= 30


async def test_a_viewer_that_comes_late_starts_within_300_ms() -> None:
    async with (
        running_node() as node,
        publishing(f"{node.url}/cam/whip", NumberedTrack()),
    ):
        await until(lambda: len(node.room("cam").packets) > 45, within_s=10)
        began = time.monotonic()
        async with watching(f"{node.url}/cam/whep") as viewer:
            await pictures(viewer, 1)
            waited_s = time.monotonic() - began
        # Includes negotiation and handshake, and aiortc's wait for one more picture.
        assert waited_s < 0.3


async def test_a_viewer_stays_when_the_publisher_leaves_and_another_comes() -> None:
    async with running_node() as node, watching(f"{node.url}/cam/whep") as viewer:
        for _ in range(2):
            async with publishing(f"{node.url}/cam/whip", NumberedTrack()):
                frames = await pictures(viewer, 20)
                numbers = [number_in(frame) for frame in frames[5:]]
                assert numbers == sorted(numbers)
        assert viewer.pc.connectionState == "connected"


async def test_several_viewers_see_the_same_and_leave_without_a_trace() -> None:
    async with running_node() as node:
        room = node.room("cam")
        async with publishing(f"{node.url}/cam/whip", NumberedTrack(), ToneTrack()):
            async with (
                watching(f"{node.url}/cam/whep") as one,
                watching(f"{node.url}/cam/whep", "video") as two,
                watching(f"{node.url}/cam/whep", "audio") as three,
            ):
                seen = await asyncio.gather(pictures(one, 15), pictures(two, 15))
                assert {number_in(frame) for frame in seen[0][5:]} & {
                    number_in(frame) for frame in seen[1][5:]
                }
                await three.until_connected()
                assert room.stream.readers == 1  # packed once
            await until(lambda: node.endpoint.viewers == 0, within_s=5)
            assert room.stream.readers == 0
            assert node.gateway.left_count == 3


async def test_a_viewer_without_a_picture_can_ask_the_publisher_for_one() -> None:
    async with (
        running_node() as node,
        publishing(f"{node.url}/cam/whip", NumberedTrack()),
        watching(f"{node.url}/cam/whep", "video") as viewer,
    ):
        await pictures(viewer, 5)
        room = node.room("cam")
        keyframes = room.stream.stats().keyframes
        receiver = viewer.pc.getReceivers()[0]
        session = next(s for s in node.endpoint._sessions.values() if isinstance(s, PlaySession))
        await receiver._send_rtcp_pli(session.sources["video"].media)
        await until(lambda: room.stream.stats().keyframes > keyframes, within_s=3)


async def test_the_end_of_the_stream_is_the_end_of_its_viewers() -> None:
    async with running_node() as node, watching(f"{node.url}/cam/whep") as viewer:
        await viewer.until_connected()
        await until(lambda: node.room("cam").stream.readers == 1, within_s=5)
        node.room("cam").stream.end("over")
        await until(lambda: viewer.pc.connectionState == "closed", within_s=5)
        await until(lambda: node.endpoint.sessions == 0, within_s=5)


async def test_the_size_may_change_under_a_viewer() -> None:
    track = NumberedTrack(sizes=((320, 240), (640, 360)))
    async with (
        running_node() as node,
        publishing(f"{node.url}/cam/whip", track),
        watching(f"{node.url}/cam/whep", "video") as viewer,
    ):
        frames = await pictures(viewer, 50)
    assert {(frame.width, frame.height) for frame in frames} == {(320, 240), (640, 360)}
    numbers = [number_in(frame) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 50))
