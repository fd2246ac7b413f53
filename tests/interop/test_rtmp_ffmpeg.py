"""Real ffmpeg publishes by RTMP, and what arrives is what it sent."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.edge.ingest import PublishRequest
from server.edge.rtmp import RtmpServer
from server.errors import NodeError, NotAllowed
from server.media.segmenter import Segmenter
from tests.support.processes import Program, ffmpeg_publish, program
from tests.support.waiting import until
from trickle.media.packets import CLOCK_HZ, Codec, Packet


class Recording:
    """A publication that keeps what it gets."""

    def __init__(self, request: PublishRequest) -> None:
        self.request = request
        self.packets: list[Packet] = []
        self.ended: str | None = None
        self.on_closed: Callable[[str], None] | None = None
        self.on_keyframe_wanted: Callable[[], None] | None = None

    def packet(self, packet: Packet) -> None:
        self.packets.append(packet)

    def end(self, reason: str, *, goodbye: bool = False) -> None:
        assert self.ended is None, "ended twice"
        self.ended = reason

    @property
    def pictures(self) -> list[Packet]:
        return [packet for packet in self.packets if packet.codec.is_video]

    def as_ts(self) -> bytes:
        segmenter = Segmenter()
        pieces = [piece for packet in self.packets for piece in segmenter.feed(packet)]
        return b"".join([piece.data for piece in pieces])


class Studio:
    """An ingest that lets everybody in, or nobody."""

    def __init__(self) -> None:
        self.recordings: list[Recording] = []
        self.refusal: NodeError | None = None

    async def publish(self, request: PublishRequest) -> Recording:
        if self.refusal is not None:
            raise self.refusal
        self.recordings.append(Recording(request))
        return self.recordings[-1]


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
async def server(studio: Studio) -> AsyncGenerator[RtmpServer, None]:
    server = RtmpServer(studio)
    await server.listen("127.0.0.1", 0)
    yield server
    await server.close()
    assert server.connections == 0


def short(server: RtmpServer, name: str = "kitchen", *, extra: tuple[str, ...] = ()) -> list[str]:
    """Two seconds of picture and sound, as fast as they can be made."""
    command = list(
        ffmpeg_publish(
            f"rtmp://127.0.0.1:{server.port}/live/{name}",
            size="320x180",
            extra=(*extra, "-t", "2"),
        )
    )
    command.remove("-re")
    return command


async def ended(publisher: Program) -> int:
    async with asyncio.timeout(20):
        return await publisher.process.wait()


async def recorded(studio: Studio) -> Recording:
    await until(
        lambda: bool(studio.recordings) and studio.recordings[0].ended is not None, within_s=5
    )
    return studio.recordings[0]


def probe(path: Path) -> list[dict[str, Any]]:
    entries = "stream=codec_name,width,height,nb_read_frames,start_time"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-count_frames", "-of", "json"]
    output = subprocess.run([*command, str(path)], capture_output=True, check=True).stdout
    streams: list[dict[str, Any]] = json.loads(output)["streams"]
    return streams


def complaints(path: Path) -> str:
    """What a full decode has to say; nothing, if the file is sound."""
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()


async def test_picture_and_sound_arrive_whole(
    server: RtmpServer, studio: Studio, tmp_path: Path
) -> None:
    async with program(*short(server, "kitchen?pipeline=toon&token=t")) as publisher:
        assert await ended(publisher) == 0, publisher.lines
    recording = await recorded(studio)
    request = recording.request
    assert (request.stream, request.pipeline, request.token) == ("kitchen", "toon", "t")
    path = tmp_path / "out.ts"
    path.write_bytes(recording.as_ts())
    video, audio = probe(path)
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 320, 180)
    assert video["nb_read_frames"] == "60"
    assert audio["codec_name"] == "aac"
    assert int(audio["nb_read_frames"]) >= 90
    assert complaints(path) == ""


async def test_b_frames_keep_their_order_and_their_times(
    server: RtmpServer, studio: Studio, tmp_path: Path
) -> None:
    reordered = ("-preset", "veryfast", "-tune", "film", "-bf", "2")
    async with program(*short(server, extra=reordered)) as publisher:
        assert await ended(publisher) == 0, publisher.lines
    recording = await recorded(studio)
    shown = sorted(packet.pts for packet in recording.pictures)
    decoded = [packet.dts for packet in recording.pictures]
    assert decoded == sorted(decoded)
    assert any(packet.pts != packet.dts for packet in recording.pictures)
    steps = {after - before for before, after in pairwise(shown)}
    assert steps <= {33 * 90, 34 * 90}
    path = tmp_path / "out.ts"
    path.write_bytes(recording.as_ts())
    assert probe(path)[0]["nb_read_frames"] == "60"
    assert complaints(path) == ""


async def test_every_keyframe_brings_its_parameter_sets(server: RtmpServer, studio: Studio) -> None:
    async with program(*short(server)) as publisher:
        assert await ended(publisher) == 0, publisher.lines
    keyframes = [packet for packet in (await recorded(studio)).pictures if packet.keyframe]
    assert len(keyframes) == 2
    assert all(b"\0\0\0\1\x67" in packet.data for packet in keyframes)


async def test_two_streams_at_once_do_not_mix(server: RtmpServer, studio: Studio) -> None:
    async with program(*short(server, "one")) as one, program(*short(server, "two")) as two:
        assert [await ended(one), await ended(two)] == [0, 0]
    await until(lambda: all(each.ended for each in studio.recordings), within_s=5)
    counts = {each.request.stream: len(each.pictures) for each in studio.recordings}
    assert counts == {"one": 60, "two": 60}


async def test_a_publisher_that_is_killed_ends_its_publication_at_once(
    server: RtmpServer, studio: Studio
) -> None:
    url = f"rtmp://127.0.0.1:{server.port}/live/kitchen"
    async with program(*ffmpeg_publish(url, size="320x180")) as publisher:
        await until(
            lambda: bool(studio.recordings) and len(studio.recordings[0].pictures) > 10, within_s=10
        )
        publisher.kill()
        await until(lambda: studio.recordings[0].ended is not None, within_s=1)
    assert "publisher" in str(studio.recordings[0].ended)


async def test_pictures_arrive_as_they_are_made(server: RtmpServer, studio: Studio) -> None:
    url = f"rtmp://127.0.0.1:{server.port}/live/kitchen"
    async with program(*ffmpeg_publish(url, size="320x180")):
        await until(
            lambda: bool(studio.recordings) and len(studio.recordings[0].pictures) > 20, within_s=10
        )
    pictures = (await recorded(studio)).pictures
    assert pictures[20].dts - pictures[0].dts == pytest.approx(20 / 30 * CLOCK_HZ, abs=200)


async def test_a_publisher_that_is_replaced_is_told_so_and_cut_off(
    server: RtmpServer, studio: Studio
) -> None:
    url = f"rtmp://127.0.0.1:{server.port}/live/kitchen"
    async with program(*ffmpeg_publish(url, size="320x180")) as publisher:
        await until(
            lambda: bool(studio.recordings) and bool(studio.recordings[0].packets), within_s=10
        )
        on_closed = studio.recordings[0].on_closed
        assert on_closed is not None
        on_closed("another publisher took the stream")
        await publisher.said("another publisher took the stream", within_s=5)
        assert await ended(publisher) != 0
    assert studio.recordings[0].ended is None


async def test_a_refusal_is_shown_to_the_person_at_ffmpeg(
    server: RtmpServer, studio: Studio
) -> None:
    studio.refusal = NotAllowed("that token is not known here")
    async with program(*short(server)) as publisher:
        await publisher.said("that token is not known here", within_s=10)
        assert await ended(publisher) != 0


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("other/kitchen", "There is no application 'other'"),
        ("live/%2e%2e", "cannot be the name of a stream"),
        ("live/kitchen?params={broken", "params is not JSON"),
    ],
)
async def test_a_wrong_address_is_explained(
    server: RtmpServer, studio: Studio, path: str, says: str
) -> None:
    command = short(server)
    command[-1] = f"rtmp://127.0.0.1:{server.port}/{path}"
    async with program(*command) as publisher:
        await publisher.said(says, within_s=10)
        assert await ended(publisher) != 0
    assert studio.recordings == []


async def test_audio_of_another_codec_is_refused_by_name(
    server: RtmpServer, studio: Studio
) -> None:
    async with program(*short(server, extra=("-c:a", "libmp3lame"))) as publisher:
        await publisher.said("MP3 audio is not taken here; send AAC", within_s=10)
    assert (await recorded(studio)).packets == []


async def test_a_stream_without_sound_is_a_stream(server: RtmpServer, studio: Studio) -> None:
    async with program(*short(server, extra=("-an",))) as publisher:
        assert await ended(publisher) == 0, publisher.lines
    recording = await recorded(studio)
    assert {packet.codec for packet in recording.packets} == {Codec.H264}
    assert len(recording.pictures) == 60


def by_pyav(server: RtmpServer, *encoder: str) -> tuple[str, ...]:
    url = f"rtmp://127.0.0.1:{server.port}/live/kitchen"
    return (sys.executable, "-m", "tests.interop.rtmp_by_pyav", url, *encoder)


async def test_hevc_by_enhanced_rtmp_arrives_whole(
    server: RtmpServer, studio: Studio, tmp_path: Path
) -> None:
    options = ("preset=ultrafast", "x265-params=log-level=none:bframes=2")
    async with program(*by_pyav(server, "libx265", *options)) as publisher:
        assert await ended(publisher) == 0, publisher.lines
    recording = await recorded(studio)
    assert {packet.codec for packet in recording.packets} == {Codec.HEVC}
    path = tmp_path / "out.ts"
    path.write_bytes(recording.as_ts())
    (found,) = probe(path)
    assert (found["codec_name"], found["width"], found["height"]) == ("hevc", 320, 192)
    assert found["nb_read_frames"] == "30"
    assert complaints(path) == ""


async def test_av1_is_refused_by_name(server: RtmpServer, studio: Studio) -> None:
    async with program(*by_pyav(server, "libsvtav1", "preset=12")) as publisher:
        await ended(publisher)
    assert "AV1 video is not taken here; send H.264 or HEVC" in str((await recorded(studio)).ended)
