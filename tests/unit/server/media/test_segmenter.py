"""Segments stand alone, begin at keyframes, and lose nothing."""

from collections.abc import Callable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from server.media.segmenter import Segmenter, SegmentPiece
from tests.unit.trickle.media.samples import FRAME, aac, clip, opus, picture
from trickle.media.mpegts import TsDemuxer
from trickle.media.packets import Codec, Packet

SECOND = 30

MAKE: dict[str, Callable[[int], Packet]] = {
    "V": picture,
    "K": partial(picture, key=True),
    "h": partial(picture, codec=Codec.HEVC),
    "H": partial(picture, key=True, codec=Codec.HEVC),
    "A": aac,
    "O": opus,
}


def cut(packets: list[Packet], segmenter: Segmenter | None = None) -> list[bytes]:
    """The segments, joined from their pieces."""
    segmenter = segmenter or Segmenter()
    segments: list[bytes] = []
    for packet in packets:
        for piece in segmenter.feed(packet):
            if piece.new_segment:
                segments.append(b"")
            segments[-1] += piece.data
    return segments


def read(segment: bytes) -> list[Packet]:
    demuxer = TsDemuxer()
    return demuxer.feed(segment) + demuxer.flush()


def video(count: int, *, key_every: int) -> list[Packet]:
    return clip(count, audio=None, key_every=key_every, sizes=(300,))


def test_every_segment_stands_alone_and_together_they_are_the_stream() -> None:
    packets = clip(4 * SECOND, key_every=SECOND, sizes=(300,))
    segments = [read(segment) for segment in cut(packets)]
    assert [segment[0].keyframe and segment[0].codec.is_video for segment in segments] == [True] * 4
    assert [packet for segment in segments for packet in segment] == packets


def test_a_keyframe_too_soon_does_not_cut() -> None:
    segments = cut(video(3 * SECOND, key_every=10))
    assert [len(read(segment)) for segment in segments] == [SECOND, SECOND, SECOND]


def test_without_keyframes_a_segment_ends_at_the_limit() -> None:
    segments = cut(video(10 * SECOND, key_every=10_000))
    assert [len(read(segment)) for segment in segments] == [4 * SECOND, 4 * SECOND, 2 * SECOND]


def test_only_a_forced_cut_is_no_place_to_start() -> None:
    segmenter = Segmenter()
    begins = [
        piece.keyframe
        for packet in video(5 * SECOND, key_every=10_000)
        for piece in segmenter.feed(packet)
        if piece.new_segment
    ]
    assert begins == [True, False]


def test_nothing_comes_out_before_the_first_keyframe() -> None:
    segmenter = Segmenter()
    assert segmenter.feed(aac(0)) == []
    assert segmenter.feed(picture(0)) == []
    assert segmenter.dropped == 2
    assert segmenter.feed(picture(FRAME, key=True))[0].new_segment


def test_audio_that_appears_late_is_carried_from_its_first_packet() -> None:
    packets = [picture(0, key=True), picture(FRAME), aac(FRAME), picture(2 * FRAME)]
    (segment,) = cut(packets)
    assert read(segment) == packets


def test_another_audio_codec_is_carried_from_its_first_packet() -> None:
    packets = [aac(0), picture(0, key=True), aac(0), opus(1800), picture(FRAME)]
    (segment,) = cut(packets)
    assert read(segment) == packets[1:]


def test_another_video_codec_begins_a_segment_at_its_keyframe() -> None:
    packets = [
        picture(0, key=True),
        picture(FRAME, codec=Codec.HEVC),
        picture(2 * FRAME, key=True, codec=Codec.HEVC),
    ]
    first, second = cut(packets)
    assert (read(first), read(second)) == ([packets[0]], [packets[2]])


def test_every_packet_leaves_at_once() -> None:
    segmenter = Segmenter()
    demuxer = TsDemuxer()
    for packet in clip(8):
        if packet.codec.is_video or segmenter.segments:
            pieces = segmenter.feed(packet)
            assert [out for piece in pieces for out in demuxer.feed(piece.data)] == [packet]


def test_it_says_when_a_keyframe_would_be_welcome() -> None:
    segmenter = Segmenter(min_segment_s=1.0)
    due = []
    for packet in video(2 * SECOND, key_every=45):
        segmenter.feed(packet)
        due.append(segmenter.keyframe_due)
    assert due == [False] * 30 + [True] * 15 + [False] * 15


def test_time_that_goes_back_cuts_at_the_next_keyframe() -> None:
    segmenter = Segmenter()
    segmenter.feed(picture(10**9, key=True))
    assert segmenter.feed(picture(0, key=True))[0].new_segment


@given(
    events=st.lists(st.tuples(st.integers(-1000, 200_000), st.sampled_from("VKAOhH")), max_size=60)
)
def test_what_comes_out_is_always_readable_from_every_cut(events: list[tuple[int, str]]) -> None:
    segmenter = Segmenter()
    now = 0
    pieces: list[SegmentPiece] = []
    for step, what in events:
        now += step
        pieces += segmenter.feed(MAKE[what](now))
    assert not pieces or pieces[0].new_segment
    for piece in pieces:
        if piece.new_segment:
            (packet,) = read(piece.data)
            assert packet.codec.is_video
