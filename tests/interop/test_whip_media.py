"""Publishing by WHIP with a stock aiortc client: what arrives, and what is left when it goes."""

import asyncio
import gc
import os
import signal
import sys
import textwrap
from itertools import pairwise

import aiohttp
import av
import psutil
import pytest
from aiortc import RTCSessionDescription

from server.media.rtc.endpoint import RtcEndpoint
from tests.support.waiting import until
from tests.support.webrtc import (
    Node,
    NumberedTrack,
    ToneTrack,
    loopback,
    negotiate,
    number_in,
    peer,
    post,
    publishing,
    running_node,
)
from tests.unit.server.media.rtc.offers import without
from trickle.media.annexb import parameter_sets
from trickle.media.packets import Codec, Packet

__all__ = ["loopback"]

pytestmark = pytest.mark.usefixtures("loopback")


def decoded(packets: list[Packet]) -> list[av.VideoFrame]:
    """What a decoder that joins at the first packet sees."""
    decoder = av.CodecContext.create("h264", "r")
    frames: list[av.VideoFrame] = []
    for packet in packets:
        if packet.codec is Codec.H264:
            coded = av.Packet(packet.data)
            coded.pts = packet.pts
            frames += decoder.decode(coded)
    return [*frames, *decoder.decode(None)]


def pictures(node: Node) -> list[Packet]:
    return [p for p in node.room("cam").packets if p.codec is Codec.H264]


async def test_every_picture_arrives_untouched_and_at_its_time() -> None:
    async with running_node() as node:
        async with publishing(f"{node.url}/cam/whip", NumberedTrack(), ToneTrack()):
            await until(lambda: len(pictures(node)) >= 45, within_s=15)
        packets = node.room("cam").packets
    video = [p for p in packets if p.codec is Codec.H264]
    numbers = [number_in(frame) for frame in decoded(packets)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert video[0].keyframe
    assert all(parameter_sets(p.data, p.codec) for p in video if p.keyframe)
    assert {b.pts - a.pts for a, b in pairwise(video)} == {3000}
    sound = [p.pts for p in packets if p.codec is Codec.OPUS]
    assert {b - a for a, b in pairwise(sound)} <= set(range(1500, 2101))


async def test_sound_and_picture_are_on_one_clock() -> None:
    async with running_node() as node:
        async with publishing(f"{node.url}/cam/whip", NumberedTrack(), ToneTrack()):
            await until(lambda: len(pictures(node)) >= 90, within_s=15)
        room = node.room("cam")
    # Both tracks began together, so at any moment their clocks show the same, give or take the
    # time that a picture takes to encode.
    last = {p.codec: (p.pts, at) for p, at in zip(room.packets, room.arrivals, strict=True)}
    (video_pts, video_at), (audio_pts, audio_at) = last[Codec.H264], last[Codec.OPUS]
    skew_s = (video_pts - audio_pts) / 90_000 - (video_at - audio_at)
    assert abs(skew_s) < 0.04


async def test_a_client_without_candidates_is_found_by_its_checks() -> None:
    async with running_node() as node:
        pc = peer()
        pc.addTransceiver(NumberedTrack(), direction="sendonly")
        await pc.setLocalDescription(await pc.createOffer())
        offer = without(pc.localDescription.sdp, "a=candidate")
        offer = without(offer, "a=end-of-candidates")
        status, answer, _ = await post(f"{node.url}/cam/whip", offer)
        assert status == 201
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await until(lambda: len(pictures(node)) >= 3, within_s=10)
        await pc.close()


async def test_the_size_may_change_while_the_stream_runs() -> None:
    async with running_node() as node:
        track = NumberedTrack(sizes=((320, 240), (640, 360), (480, 272)))
        async with publishing(f"{node.url}/cam/whip", track):
            await until(lambda: node.room("cam").stream.stats().width == 480, within_s=15)
            await until(lambda: track.number >= 75, within_s=15)
        frames = decoded(node.room("cam").packets)
    sizes = list(dict.fromkeys((frame.width, frame.height) for frame in frames))
    assert sizes == [(320, 240), (640, 360), (480, 272)]
    numbers = [number_in(frame) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_keyframe_that_is_wanted_comes() -> None:
    async with running_node() as node, publishing(f"{node.url}/cam/whip", NumberedTrack()):
        await until(lambda: len(pictures(node)) >= 5, within_s=10)
        before = sum(p.keyframe for p in pictures(node))
        node.room("cam").stream.request_keyframe()
        await until(lambda: sum(p.keyframe for p in pictures(node)) > before, within_s=3)


async def test_a_publisher_that_closes_is_noticed_at_once() -> None:
    async with running_node() as node:
        async with publishing(f"{node.url}/cam/whip", NumberedTrack()) as client:
            await client.until_connected()
        await until(lambda: node.room("cam").ends == ["client_closed"], within_s=2)
        assert node.endpoint.sessions == 0


async def test_a_publisher_that_the_gateway_ends_is_disconnected() -> None:
    async with running_node() as node:
        async with publishing(f"{node.url}/cam/whip", NumberedTrack()) as client:
            await client.until_connected()
            publication = node.room("cam").publication
            assert publication is not None
            assert publication.on_closed is not None
            publication.on_closed("stream_replaced")
            await until(lambda: client.pc.connectionState == "closed", within_s=5)
        assert node.room("cam").ends == ["stream_replaced"]


async def test_a_client_that_never_connects_holds_no_place_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.media.rtc.session.CONNECT_TIMEOUT_S", 0.3)
    async with running_node() as node:
        pc = peer()
        pc.addTransceiver(NumberedTrack(), direction="sendonly")
        await pc.setLocalDescription(await pc.createOffer())
        status, _, _ = await post(f"{node.url}/cam/whip", pc.localDescription.sdp)
        assert status == 201
        await until(lambda: node.room("cam").ends == ["connect_timeout"], within_s=3)
        assert node.endpoint.sessions == 0
        await pc.close()


async def test_a_client_that_sends_nothing_is_told_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.media.rtc.publishing.FIRST_MEDIA_S", 0.5)
    async with running_node() as node:
        pc = peer()
        pc.addTransceiver("video", direction="sendonly")
        client = await negotiate(pc, f"{node.url}/cam/whip")
        await client.until_connected()
        await until(lambda: node.room("cam").ends == ["no_media"], within_s=5)
        await pc.close()


PUBLISHER = """
    import asyncio, sys
    import aioice.ice
    aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]
    from tests.support.webrtc import NumberedTrack, publishing

    async def main():
        async with publishing(sys.argv[1], NumberedTrack()) as client:
            await client.until_connected()
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_a_publisher_that_is_killed_is_noticed_within_ten_seconds() -> None:
    async with running_node() as node:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(PUBLISHER), f"{node.url}/cam/whip"
        )
        try:
            await until(lambda: len(pictures(node)) >= 5, within_s=20)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await until(lambda: node.room("cam").ends == ["connection_lost"], within_s=10)
        assert node.endpoint.sessions == 0


def resources() -> tuple[int, int, int]:
    """Tasks, descriptors and resident bytes of this process."""
    gc.collect()
    process = psutil.Process(os.getpid())
    return len(asyncio.all_tasks()), process.num_fds(), process.memory_info().rss


async def visit(node: Node, http: aiohttp.ClientSession, n: int) -> None:
    """A client that connects and leaves: every other one politely."""
    pc = peer()
    pc.addTransceiver("video", direction="sendonly")
    client = await negotiate(pc, f"{node.url}/s{n % 10}/whip")
    await client.until_connected()
    if n % 2:
        async with http.delete(node.url + client.session) as answer:
            assert answer.status == 200
    await pc.close()


async def test_two_hundred_visits_leave_nothing_behind() -> None:
    endpoint = RtcEndpoint("127.0.0.1", 0)
    # No connection is kept: each kept one is a task and two descriptors of aiohttp's.
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        running_node(endpoint=endpoint) as node,
        aiohttp.ClientSession(connector=connector) as http,
    ):

        async def visits(count: int) -> None:
            for n in range(0, count, 4):
                await asyncio.gather(*(visit(node, http, n + k) for k in range(4)))
            await until(lambda: endpoint.sessions == 0, within_s=10)

        await visits(40)  # what is made once is made now
        before = resources()
        await visits(200)
        await until(lambda: resources()[0] <= before[0], within_s=5)
        after = resources()
    assert after[1] <= before[1] + 2
    # The clients of this process grow too; a leaked session alone is 225 kB.
    assert after[2] - before[2] < 16 << 20
