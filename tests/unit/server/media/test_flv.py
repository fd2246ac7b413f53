"""FLV tags become packets that anyone can decode, or an error that says what to send instead."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media.errors import CodecNotTaken, FlvError, MediaError
from server.media.flv import FlvReader
from tests.unit.server.media.flv_samples import (
    AAC_LC_48K_STEREO,
    aac,
    avcc,
    extended_video,
    hvcc,
    prefixed,
    video,
)
from tests.unit.trickle.media.samples import (
    H264_PPS,
    H264_SPS,
    H264_SPS_1080,
    HEVC_PPS,
    HEVC_SPS,
    HEVC_VPS,
)
from trickle.media.annexb import nal_units, picture_size
from trickle.media.packets import Codec, Packet
from trickle.media.ts_audio import adts_frames


@pytest.fixture
def reader() -> FlvReader:
    reader = FlvReader()
    reader.video(0, video(0, avcc()))
    reader.audio(0, aac(0, AAC_LC_48K_STEREO))
    return reader


def test_a_keyframe_gets_its_parameter_sets_and_a_picture_does_not(reader: FlvReader) -> None:
    (key,) = reader.video(0, video(1, prefixed(b"\x06sei", b"\x65idr")))
    (picture,) = reader.video(33, video(1, prefixed(b"\x41p"), key=False))
    assert nal_units(key.data) == [H264_SPS, H264_PPS, b"\x06sei", b"\x65idr"]
    assert nal_units(picture.data) == [b"\x41p"]
    assert (key.keyframe, picture.keyframe) == (True, False)


def test_parameter_sets_in_the_picture_itself_win(reader: FlvReader) -> None:
    (key,) = reader.video(0, video(1, prefixed(H264_SPS_1080, H264_PPS, b"\x65idr")))
    assert picture_size(key.data, Codec.H264) == (1920, 1080)
    assert nal_units(key.data)[0] == H264_SPS_1080


def test_a_new_configuration_in_mid_stream_counts_from_the_next_keyframe(reader: FlvReader) -> None:
    reader.video(0, video(1, prefixed(b"\x65idr")))
    reader.video(33, video(0, avcc(H264_SPS_1080)))
    (key,) = reader.video(33, video(1, prefixed(b"\x65idr")))
    assert picture_size(key.data, Codec.H264) == (1920, 1080)


def test_a_picture_is_a_keyframe_by_what_it_holds_and_not_by_its_label(reader: FlvReader) -> None:
    (labelled,) = reader.video(0, video(1, prefixed(b"\x41p"), key=True))
    assert not labelled.keyframe


def test_composition_time_moves_what_is_shown_and_not_what_is_decoded(reader: FlvReader) -> None:
    (later,) = reader.video(100, video(1, prefixed(b"\x41p"), shift_ms=67))
    (earlier,) = reader.video(133, video(1, prefixed(b"\x41p"), shift_ms=-33))
    assert (later.dts, later.pts) == (9000, 15030)
    assert (earlier.dts, earlier.pts) == (11970, 9000)


def test_time_goes_on_past_32_bits(reader: FlvReader) -> None:
    stamps = [
        reader.video(at % 2**32, video(1, prefixed(b"\x41p")))[0].dts
        for at in (2**32 - 33, 2**32, 2**32 + 33)
    ]
    assert stamps == [(2**32 - 33) * 90, 2**32 * 90, (2**32 + 33) * 90]


def test_filler_is_left_out(reader: FlvReader) -> None:
    (key,) = reader.video(0, video(1, prefixed(b"\x65idr", b"\x0c" + b"\xff" * 500)))
    assert nal_units(key.data)[-1] == b"\x65idr"
    assert reader.video(33, video(1, prefixed(b"\x0c\xff"))) == []


@pytest.mark.parametrize("length_bytes", [1, 2, 4])
def test_lengths_may_be_of_fewer_bytes(length_bytes: int) -> None:
    reader = FlvReader()
    reader.video(0, video(0, avcc(length_bytes=length_bytes)))
    units = prefixed(b"\x41a", b"\x41b", length_bytes=length_bytes)
    (packet,) = reader.video(0, video(1, units))
    assert nal_units(packet.data) == [b"\x41a", b"\x41b"]


def test_pictures_before_their_configuration_are_skipped_and_counted() -> None:
    reader = FlvReader()
    assert reader.video(0, video(1, prefixed(b"\x65idr"))) == []
    assert reader.audio(0, aac(1, b"frame")) == []
    assert reader.skipped == 2


def test_an_aac_frame_gets_a_header_that_tells_its_size(reader: FlvReader) -> None:
    (packet,) = reader.audio(21, aac(1, b"x" * 300))
    assert adts_frames(packet.data) == ([(packet.data, 1920.0)], b"")
    assert (packet.codec, packet.pts, packet.keyframe) == (Codec.AAC, 1890, True)


def test_enhanced_hevc_is_taken_with_and_without_composition_time() -> None:
    reader = FlvReader()
    reader.video(0, extended_video(0, b"hvc1", hvcc()))
    shifted = b"\0\0\x21" + prefixed(b"\x26\x01idr")
    (key,) = reader.video(0, extended_video(1, b"hvc1", shifted))
    (picture,) = reader.video(33, extended_video(3, b"hvc1", prefixed(b"\x02\x01p"), key=False))
    assert nal_units(key.data) == [HEVC_VPS, HEVC_SPS, HEVC_PPS, b"\x26\x01idr"]
    assert (key.pts - key.dts, key.keyframe) == (33 * 90, True)
    assert (picture.codec, picture.pts - picture.dts, picture.keyframe) == (Codec.HEVC, 0, False)


def test_modifiers_in_front_of_a_tag_are_passed_over() -> None:
    reader = FlvReader()
    reader.video(0, extended_video(0, b"avc1", avcc()))
    inner = b"avc1" + b"\0\0\0" + prefixed(b"\x65idr")
    # A nanosecond offset (three bytes), then coded frames.
    assert len(reader.video(0, bytes((0x97, 2, 0, 0, 0, 0x01)) + inner)) == 1


@pytest.mark.parametrize("many", [False, True])
def test_of_several_tracks_the_first_is_taken(many: bool) -> None:
    reader = FlvReader()
    reader.video(0, extended_video(0, b"avc1", avcc()))
    payload = b"\0\0\0" + prefixed(b"\x65idr")
    if many:
        track = b"\x11avc1\x00" + len(payload).to_bytes(3, "big") + payload + b"\x01\0\0\0"
    else:
        track = b"\x01avc1\x00" + payload
    (packet,) = reader.video(0, b"\x96" + track)
    assert nal_units(packet.data)[-1] == b"\x65idr"


def test_enhanced_opus_is_taken_as_it_is() -> None:
    reader = FlvReader()
    assert reader.audio(0, b"\x90OpusOpusHead") == []
    assert reader.audio(20, b"\x91Opus\xfcframe") == [
        Packet(Codec.OPUS, b"\xfcframe", 1800, 1800, keyframe=True)
    ]


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        (extended_video(0, b"av01", b""), "AV1 .* send H.264 or HEVC"),
        (extended_video(1, b"vp09", b""), "VP9"),
        (b"\x22\0\0\0\0", "Sorenson"),
    ],
)
def test_a_video_codec_that_cannot_go_on_is_refused_by_name(tag: bytes, says: str) -> None:
    with pytest.raises(CodecNotTaken, match=says):
        FlvReader().video(0, tag)


@pytest.mark.parametrize(
    ("tag", "says"), [(b"\x2fmp3", "MP3 .* send AAC"), (b"\x90fLaC", "fLaC"), (b"\xbf", "Speex")]
)
def test_an_audio_codec_that_cannot_go_on_is_refused_by_name(tag: bytes, says: str) -> None:
    with pytest.raises(CodecNotTaken, match=says):
        FlvReader().audio(0, tag)


def test_a_unit_longer_than_its_tag_is_refused(reader: FlvReader) -> None:
    with pytest.raises(FlvError, match="has 3 left"):
        reader.video(0, video(1, b"\0\0\0\x09abc"))


def test_end_of_sequence_and_empty_tags_say_nothing(reader: FlvReader) -> None:
    for tag in (b"", b"\x17", video(2, b""), video(1, b""), b"\x57\0", b"\xd1\0"):
        assert reader.video(0, tag) == []
    for tag in (b"", b"\xaf", aac(1, b"")):
        assert reader.audio(0, tag) == []


@given(noise=st.binary(max_size=80))
def test_noise_is_refused_and_never_crashes(noise: bytes) -> None:
    reader = FlvReader()
    reader.video(0, video(0, avcc()))
    for tag in (noise, video(0, noise), video(1, noise), b"\x90" + noise, b"\x96" + noise):
        with suppress(MediaError):
            reader.video(0, tag)
        with suppress(MediaError):
            reader.audio(0, tag)
    for fourcc in (b"hvc1", b"avc1"):
        with suppress(MediaError):
            reader.video(0, extended_video(0, fourcc, noise))
    for tag in (aac(0, noise), b"\xaf\x01" + noise):
        with suppress(MediaError):
            reader.audio(0, tag)
