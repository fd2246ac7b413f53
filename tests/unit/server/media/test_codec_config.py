"""Decoder configurations are read as far as MPEG-TS needs them, and refused by name beyond that."""

import pytest

from server.media.codec_config import AudioConfig, parse_asc, parse_avcc, parse_hvcc
from server.media.errors import CodecNotTaken, FlvError
from tests.unit.server.media.flv_samples import avcc, hvcc
from tests.unit.trickle.media.samples import (
    H264_PPS,
    H264_SPS,
    H264_SPS_1080,
    HEVC_PPS,
    HEVC_SPS,
    HEVC_VPS,
)
from trickle.media.annexb import nal_units


def test_all_parameter_sets_are_kept_in_order() -> None:
    config = parse_avcc(avcc(H264_SPS, H264_SPS_1080, length_bytes=2))
    assert nal_units(config.annex_b) == [H264_SPS, H264_SPS_1080, H264_PPS]
    assert config.length_bytes == 2


def test_hevc_arrays_are_read() -> None:
    assert nal_units(parse_hvcc(hvcc()).annex_b) == [HEVC_VPS, HEVC_SPS, HEVC_PPS]


@pytest.mark.parametrize("cut", range(len(avcc())))
def test_an_h264_configuration_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(FlvError):
        parse_avcc(avcc()[:cut])


@pytest.mark.parametrize("cut", range(len(hvcc())))
def test_an_hevc_configuration_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(FlvError):
        parse_hvcc(hvcc()[:cut])


@pytest.mark.parametrize(
    ("asc", "rate_hz", "channels"),
    [
        ("1190", 48_000, 2),
        ("1208", 44_100, 1),
        ("1210", 44_100, 2),
        ("13902b", 22_050, 2),
        ("2b920800", 22_050, 2),  # HE-AAC, said explicitly
        ("1780562210", 44_100, 2),  # a rate written out
    ],
)
def test_rate_and_channels_are_read(asc: str, rate_hz: int, channels: int) -> None:
    config = parse_asc(bytes.fromhex(asc))
    assert (config.rate_hz, config.channels, config.object_type) == (rate_hz, channels, 2)


@pytest.mark.parametrize("asc", ["f8e6", "1180", "b990"])
def test_aac_that_adts_cannot_say_is_refused(asc: str) -> None:
    with pytest.raises(CodecNotTaken):
        parse_asc(bytes.fromhex(asc))


def test_a_frame_too_long_for_its_header_is_refused() -> None:
    with pytest.raises(FlvError, match="9000"):
        AudioConfig(2, 3, 2).adts_header(9000)
