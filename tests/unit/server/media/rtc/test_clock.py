from itertools import pairwise

import pytest

from server.media.rtc.clock import CommonClock
from server.media.rtc.rtcp import ntp_time
from trickle.media.packets import CLOCK_HZ


def ms(ticks: int) -> float:
    return ticks * 1000 / CLOCK_HZ


def test_both_media_count_the_same_ticks_from_the_first_arrival() -> None:
    clock = CommonClock()
    video, audio = clock.source(90_000), clock.source(48_000)
    assert audio.ticks(5_000, 10.0) == 0
    assert audio.ticks(5_000 + 48_000, 11.0) == CLOCK_HZ
    assert video.ticks(4_294_967_000, 10.04) == pytest.approx(0.04 * CLOCK_HZ)
    assert video.ticks((4_294_967_000 + 90_000) & 0xFFFFFFFF, 11.04) == pytest.approx(
        1.04 * CLOCK_HZ
    )


def test_a_timestamp_that_wraps_goes_on() -> None:
    source = CommonClock().source(90_000)
    at = [source.ticks(n * 3000 & 0xFFFFFFFF, n / 30) for n in range(1_431_600, 1_431_700)]
    assert {b - a for a, b in pairwise(at)} == {3000}


def talk(late_ms: float, seconds: int, *, reports: bool = True) -> list[float]:
    """Sound and picture of the same moments, the picture `late_ms` longer on its way.

    Returns by how much the picture is off from the sound, once a second.
    """
    clock = CommonClock()
    video, audio = clock.source(90_000), clock.source(48_000)
    off = []
    sound = picture = 0
    for n in range(seconds * 50):
        at = 100.0 + n * 0.02
        sound = audio.ticks(7_000 + n * 960, at)
        picture = video.ticks(900_000 + n * 1800, at + late_ms / 1000)
        if n % 50 == 20:
            off.append(ms(picture - sound))
            if reports:
                audio.sender_report(ntp_time(at), 7_000 + n * 960)
                video.sender_report(ntp_time(at), 900_000 + n * 1800)
    return off


def test_without_reports_the_time_of_arrival_decides() -> None:
    assert talk(80, 5, reports=False)[-1] == pytest.approx(80, abs=1)


@pytest.mark.parametrize("late_ms", [0, 35, 120, 900])
def test_reports_bring_lips_and_voice_together(late_ms: float) -> None:
    off = talk(late_ms, 12)
    assert off[0] == pytest.approx(late_ms, abs=1)
    assert off[-1] == pytest.approx(0, abs=1)


def test_the_sound_never_steps_back_while_it_moves_over() -> None:
    clock = CommonClock()
    video, audio = clock.source(90_000), clock.source(48_000)
    before = -CLOCK_HZ
    for n in range(300):
        at = 5.0 + n * 0.02
        video.ticks(n * 1800, at + 0.2)
        now = audio.ticks(n * 960, at)
        assert now > before
        before = now
        if n == 50:
            audio.sender_report(ntp_time(at), n * 960)
            video.sender_report(ntp_time(at - 0.3), n * 1800)


def test_a_report_that_makes_no_sense_is_ignored() -> None:
    clock = CommonClock()
    video, audio = clock.source(90_000), clock.source(48_000)
    video.ticks(0, 0.0)
    audio.ticks(0, 0.0)
    video.sender_report(ntp_time(1_000_000.0), 0)
    audio.sender_report(ntp_time(5.0), 0)
    assert audio.ticks(48_000, 1.0) == CLOCK_HZ


def test_a_source_that_counts_anew_goes_on_where_it_arrives() -> None:
    source = CommonClock().source(90_000)
    source.ticks(1_000_000, 0.0)
    assert source.ticks(77, 1.0) == CLOCK_HZ
    assert source.ticks(77 + 3000, 1.0 + 1 / 30) == CLOCK_HZ + 3000
