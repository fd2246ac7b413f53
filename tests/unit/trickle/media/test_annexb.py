"""NAL units, keyframes and parameter sets are found wherever encoders put them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trickle.media.samples import (
    H264_AUD,
    H264_PPS,
    H264_SPS,
    HEVC_PPS,
    HEVC_SPS,
    HEVC_VPS,
    picture,
)
from trickle.media.annexb import (
    START_CODE,
    is_keyframe,
    join_nal_units,
    nal_type,
    nal_units,
    parameter_sets,
    picture_size,
    starts_with_delimiter,
    with_parameter_sets,
)
from trickle.media.packets import Codec

CODECS = st.sampled_from([Codec.H264, Codec.HEVC])


@given(units=st.lists(st.binary(min_size=1, max_size=40).filter(lambda unit: b"\0" not in unit)))
def test_splitting_undoes_joining(units: list[bytes]) -> None:
    assert nal_units(join_nal_units(units)) == units


def test_start_codes_of_three_and_four_bytes_are_the_same() -> None:
    assert nal_units(b"\0\0\1\x09\xf0\0\0\0\1\x41abc\0\0\1\x41d") == [
        b"\x09\xf0",
        b"\x41abc",
        b"\x41d",
    ]


def test_an_idr_is_a_keyframe_and_a_predicted_picture_is_not() -> None:
    assert is_keyframe(picture(0, key=True).data, Codec.H264)
    assert not is_keyframe(picture(0).data, Codec.H264)
    assert is_keyframe(picture(0, key=True, codec=Codec.HEVC).data, Codec.HEVC)
    assert not is_keyframe(picture(0, codec=Codec.HEVC).data, Codec.HEVC)


def test_parameter_sets_alone_are_no_keyframe() -> None:
    assert not is_keyframe(join_nal_units([H264_SPS, H264_PPS]), Codec.H264)


def test_a_keyframe_without_parameter_sets_gets_them_after_its_delimiter() -> None:
    bare = join_nal_units([H264_AUD, b"\x65abc"])
    assert nal_units(with_parameter_sets(bare, [H264_SPS, H264_PPS], Codec.H264)) == [
        H264_AUD,
        H264_SPS,
        H264_PPS,
        b"\x65abc",
    ]


def test_a_keyframe_keeps_its_own_parameter_sets() -> None:
    own = picture(0, key=True).data
    assert with_parameter_sets(own, [b"\x67other"], Codec.H264) is own


def test_parameter_sets_come_first_where_there_is_no_delimiter() -> None:
    assert with_parameter_sets(START_CODE + b"\x65abc", [H264_SPS], Codec.H264) == (
        START_CODE + H264_SPS + START_CODE + b"\x65abc"
    )


def test_all_three_kinds_of_hevc_parameter_sets_are_found() -> None:
    data = picture(0, key=True, codec=Codec.HEVC).data
    assert parameter_sets(data, Codec.HEVC) == (HEVC_VPS, HEVC_SPS, HEVC_PPS)


def test_a_delimiter_is_seen_behind_either_start_code() -> None:
    assert starts_with_delimiter(b"\0\0\1\x09\xf0", Codec.H264)
    assert starts_with_delimiter(b"\0\0\0\1\x46\x01\x50", Codec.HEVC)
    assert not starts_with_delimiter(b"\0\0\0\1\x41\xf0", Codec.H264)


def test_the_size_of_the_picture_is_read_from_its_own_parameter_sets() -> None:
    assert picture_size(picture(0, key=True).data, Codec.H264) == (640, 360)
    assert picture_size(picture(0, key=True, codec=Codec.HEVC).data, Codec.HEVC) == (1920, 1080)
    assert picture_size(picture(0).data, Codec.H264) is None


@given(noise=st.binary(max_size=300), codec=CODECS)
def test_noise_never_crashes(noise: bytes, codec: Codec) -> None:
    for data in (noise, START_CODE + noise):
        is_keyframe(data, codec)
        parameter_sets(data, codec)
        picture_size(data, codec)
        with_parameter_sets(data, [b"x"], codec)
        assert all(0 <= nal_type(unit, codec) < 64 for unit in nal_units(data))
