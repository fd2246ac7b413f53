"""Rates are over the last two seconds, however unevenly packets come."""

import pytest

from server.media.stream_stats import StreamMeter
from tests.unit.trickle.media.samples import FRAME, H264_PPS, H264_SPS_1080, picture
from trickle.media.annexb import join_nal_units
from trickle.media.packets import Codec, Packet


def test_a_meter_that_has_seen_nothing_says_zero() -> None:
    stats = StreamMeter().stats(5.0)
    assert (stats.fps, stats.bitrate_bps, stats.last_packet_at) == (0, 0, None)


def test_rates_are_right_from_the_first_second_on() -> None:
    meter = StreamMeter()
    for number in range(30):
        meter.count(picture(number * FRAME), number / 30)
    assert meter.stats(1.0).fps == pytest.approx(30, abs=1.5)


def test_old_pictures_do_not_count() -> None:
    meter = StreamMeter()
    for number in range(300):
        meter.count(
            picture(number * FRAME), number / 60 if number < 240 else 4 + (number - 240) / 10
        )
    assert meter.stats(10.0).fps == pytest.approx(10, abs=1)


def test_a_change_of_resolution_shows() -> None:
    meter = StreamMeter()
    meter.count(picture(0, key=True), 0.0)
    large = join_nal_units([H264_SPS_1080, H264_PPS, b"\x65abc"])
    meter.count(Packet(Codec.H264, large, FRAME, FRAME, keyframe=True), 0.1)
    stats = meter.stats(0.2)
    assert (stats.width, stats.height) == (1920, 1080)
