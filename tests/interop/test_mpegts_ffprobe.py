"""FFmpeg reads our MPEG-TS without a complaint, and we read FFmpeg's without a loss."""

import io
import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import pytest

from server.media.segmenter import Segmenter
from trickle.media.mpegts import TsDemuxer, TsMuxer
from trickle.media.packets import Codec, Packet

VIDEO = {
    Codec.H264: ("libx264", "-preset", "veryfast", "-bf", "2"),
    Codec.HEVC: ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
}
AUDIO = {Codec.AAC: ("aac",), Codec.OPUS: ("libopus",)}
SECONDS = 2


@cache
def ffmpeg_ts(video: Codec | None, audio: Codec | None, *more: str) -> bytes:
    """Two seconds as FFmpeg writes them."""
    command = ["ffmpeg", "-v", "error"]
    if video:
        command += ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30"]
    if audio:
        command += ["-f", "lavfi", "-i", "sine=sample_rate=48000"]
    if video:
        command += ["-c:v", *VIDEO[video], "-pix_fmt", "yuv420p", "-g", "30"]
    if audio:
        command += ["-c:a", *AUDIO[audio]]
    command += ["-t", str(SECONDS), *more, "-f", "mpegts", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def demux(data: bytes, *, piece_bytes: int = 1316) -> list[Packet]:
    demuxer = TsDemuxer()
    packets = []
    for at in range(0, len(data), piece_bytes):
        packets += demuxer.feed(data[at : at + piece_bytes])
    packets += demuxer.flush()
    assert demuxer.counters.units_dropped == 0
    return packets


@dataclass(frozen=True, slots=True)
class Probed:
    codec: str
    frames: int
    packets: list[tuple[int, int, str]]


def probe(path: Path) -> list[Probed]:
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_packets"]
    output = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, check=True)
    found = json.loads(output.stdout)
    return [
        Probed(
            stream["codec_name"],
            int(stream["nb_read_frames"]),
            [
                (packet["pts"], packet["dts"], packet["flags"])
                for packet in found["packets"]
                if packet["stream_index"] == stream["index"]
            ],
        )
        for stream in found["streams"]
    ]


def complaints(path: Path) -> str:
    """What a full decode has to say; nothing, if the file is sound."""
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()


def of(packets: list[Packet], *, video: bool) -> list[Packet]:
    return [packet for packet in packets if packet.codec.is_video is video]


PAIRS = [
    (Codec.H264, Codec.AAC),
    (Codec.H264, Codec.OPUS),
    (Codec.HEVC, Codec.AAC),
    (Codec.H264, None),
    (None, Codec.OPUS),
    (None, Codec.AAC),
]


@pytest.mark.parametrize(("video", "audio"), PAIRS)
def test_we_read_every_packet_that_ffmpeg_wrote(
    video: Codec | None, audio: Codec | None, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.ts"
    path.write_bytes(ffmpeg_ts(video, audio))
    packets = demux(path.read_bytes())
    for expected in probe(path):
        ours = of(packets, video=expected.codec in ("h264", "hevc"))
        assert len(ours) == len(expected.packets)
        for packet, (pts, dts, flags) in zip(ours, expected.packets, strict=True):
            assert abs(packet.pts - pts) <= 1
            assert abs(packet.dts - dts) <= 1
            assert packet.keyframe == flags.startswith("K")


@pytest.mark.parametrize(("video", "audio"), PAIRS)
def test_ffmpeg_reads_every_packet_that_we_wrote(
    video: Codec | None, audio: Codec | None, tmp_path: Path
) -> None:
    packets = demux(ffmpeg_ts(video, audio))
    muxer = TsMuxer(video, audio)
    path = tmp_path / "ours.ts"
    path.write_bytes(b"".join([muxer.mux(packet) for packet in packets]))
    assert complaints(path) == ""
    for found in probe(path):
        ours = of(packets, video=found.codec in ("h264", "hevc"))
        assert [stamps[:2] for stamps in found.packets] == [(p.pts, p.dts) for p in ours]
        assert [flags.startswith("K") for _, _, flags in found.packets] == [
            p.keyframe for p in ours
        ]
        assert found.frames >= len(ours) - (2 if found.codec == "opus" else 1)


def test_pictures_over_64_kib_are_read_by_ffmpeg_and_leave_our_demuxer_at_once(
    tmp_path: Path,
) -> None:
    large = ("-s", "1920x1080", "-bf", "0", "-qp", "1", "-t", "0.4")
    packets = demux(ffmpeg_ts(Codec.H264, None, *large))
    assert min(len(packet.data) for packet in packets) > 65_536
    muxer, demuxer = TsMuxer(Codec.H264, None), TsDemuxer()
    written = [muxer.mux(packet) for packet in packets]
    path = tmp_path / "large.ts"
    path.write_bytes(b"".join(written))
    assert complaints(path) == ""
    assert probe(path)[0].frames == len(packets)
    assert [demuxer.feed(piece) for piece in written] == [[packet] for packet in packets]


def test_every_segment_can_be_decoded_alone(tmp_path: Path) -> None:
    segments: list[bytes] = []
    segmenter = Segmenter()
    for packet in demux(ffmpeg_ts(Codec.H264, Codec.AAC)):
        for piece in segmenter.feed(packet):
            segments += [b""] * piece.new_segment
            segments[-1] += piece.data
    assert len(segments) == SECONDS
    for number, segment in enumerate(segments):
        path = tmp_path / f"{number}.ts"
        path.write_bytes(segment)
        assert complaints(path) == ""
        assert probe(path)[0].frames == 30


def test_pyav_as_ai_runners_use_it_reads_our_stream() -> None:
    packets = demux(ffmpeg_ts(Codec.H264, Codec.OPUS))
    muxer = TsMuxer(Codec.H264, Codec.OPUS)
    wire = io.BytesIO(b"".join([muxer.mux(packet) for packet in packets]))
    with av.open(wire, mode="r", format="mpegts") as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "opus"]
        pictures = len(list(container.decode(video=0)))
    assert pictures == len(of(packets, video=True))


def test_ffmpegs_stream_is_not_waited_for_once_its_stuffing_is_known() -> None:
    wire = ffmpeg_ts(Codec.H264, None, "-bf", "0")
    demuxer = TsDemuxer()
    total = waited = 0
    for at in range(0, len(wire), 188):
        begins = wire[at + 1 : at + 3] == b"\x41\x00"
        for _ in demuxer.feed(wire[at : at + 188]):
            total += 1
            waited += begins
    # The first eight teach it, and one in 184 ends flush with its packet.
    assert total >= 58
    assert waited <= 12
