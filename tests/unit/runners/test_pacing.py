from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.pacing import BUDGET_S, Backlog, Drop, Evenly, Pacer, SoundHold
from trickle.media.packets import Codec, Packet


@dataclass
class Run:
    """What a simulated model did with a simulated stream."""

    shown: list[int]
    oldest_at_start_s: float
    drops: int
    waiting: int


def simulate(gaps_s: list[float], effects_s: list[float]) -> Run:
    """Frames come after `gaps_s`; the model takes `effects_s`, in turn, for what it is given."""
    pacer: Pacer[int] = Pacer()
    arrivals = []
    now = 0.0
    for gap_s in gaps_s:
        now += gap_s
        arrivals.append(now)
    shown: list[int] = []
    oldest_s = 0.0
    free_at = 0.0
    taken = None
    pending = list(enumerate(arrivals))
    while pending or taken is not None:
        if taken is not None and (not pending or free_at <= pending[0][1]):
            now = free_at
            pacer.done(now)
            taken = None
        else:
            frame, now = pending.pop(0)
            pacer.arrive(frame, now)
        if taken is None:
            taken = pacer.take(now)
            if taken is not None:
                oldest_s = max(oldest_s, now - arrivals[taken])
                free_at = now + effects_s[taken % len(effects_s)]
                shown.append(taken)
    return Run(shown, oldest_s, sum(pacer.drops.values()), len(pacer._waiting))


GAPS = st.lists(st.floats(0, 0.5), min_size=1, max_size=60)
EFFECTS = st.lists(st.floats(0, 2), min_size=1, max_size=20)


@given(gaps_s=GAPS, effects_s=EFFECTS)
def test_no_frame_is_begun_that_would_be_shown_late(
    gaps_s: list[float], effects_s: list[float]
) -> None:
    run = simulate(gaps_s, effects_s)
    assert run.oldest_at_start_s <= BUDGET_S


@given(gaps_s=GAPS, effects_s=EFFECTS)
def test_every_frame_is_shown_or_counted_and_none_twice_or_out_of_order(
    gaps_s: list[float], effects_s: list[float]
) -> None:
    run = simulate(gaps_s, effects_s)
    assert run.shown == sorted(set(run.shown))
    assert len(run.shown) + run.drops + run.waiting == len(gaps_s)


def test_an_effect_six_times_too_slow_shows_the_newest_frame_each_time() -> None:
    run = simulate([1 / 30] * 300, [0.2])
    assert run.oldest_at_start_s <= 1 / 30 + 1e-9
    assert len(run.shown) == pytest.approx(50, abs=2)


def test_a_fast_effect_loses_nothing_to_a_short_hiccup() -> None:
    effects_s = [0.005] * 100
    effects_s[60] = 0.09
    run = simulate([1 / 30] * 100, effects_s)
    assert run.shown == list(range(100))


def test_a_burst_after_an_outage_does_not_delay_what_follows() -> None:
    gaps_s = [1 / 30] * 30 + [2.0] + [0.0] * 40 + [1 / 30] * 30
    run = simulate(gaps_s, [0.02])
    assert run.oldest_at_start_s < 0.1


def test_a_frame_that_waited_too_long_is_counted_as_late() -> None:
    pacer: Pacer[str] = Pacer()
    pacer.arrive("old", 0.0)
    assert pacer.take(BUDGET_S) is None
    assert pacer.drops == {Drop.LATE: 1}


def test_clearing_counts_under_the_reason_that_is_given() -> None:
    pacer: Pacer[str] = Pacer()
    pacer.arrive("a", 0.0)
    pacer.clear(Drop.MODEL_DOWN)
    assert pacer.take(0.0) is None
    assert pacer.drops == {Drop.MODEL_DOWN: 1}


def test_decoding_that_fell_behind_goes_on_at_the_next_timely_keyframe() -> None:
    backlog = Backlog()
    frames = [
        (0.0, True, 0.01, True),
        (0.03, False, 0.9, False),  # late
        (0.85, False, 0.91, False),  # in time, but what it refers to was skipped
        (0.2, True, 0.92, False),  # a keyframe, but late too
        (0.9, True, 0.93, True),
        (0.92, False, 0.94, True),
    ]
    for captured_at, keyframe, now, expected in frames:
        decodes = backlog.decodes(captured_at=captured_at, keyframe=keyframe, now=now)
        assert decodes is expected


def test_after_damage_nothing_is_decoded_before_a_keyframe() -> None:
    backlog = Backlog()
    backlog.broken()
    assert not backlog.decodes(captured_at=1.0, keyframe=False, now=1.0)
    assert backlog.decodes(captured_at=1.0, keyframe=True, now=1.0)


def sound(pts: int) -> Packet:
    return Packet(Codec.OPUS, b"x", pts, pts, keyframe=True)


def test_sound_goes_out_with_the_picture_of_its_time() -> None:
    hold = SoundHold()
    assert hold.put(sound(1800), 0.0) == []
    assert hold.put(sound(3600), 0.02) == []
    assert [packet.pts for packet in hold.shown(3000, 0.1)] == [1800]
    assert [packet.pts for packet in hold.shown(6000, 0.2)] == [3600]


def test_sound_does_not_wait_for_an_effect_that_is_stuck() -> None:
    hold = SoundHold()
    hold.put(sound(1800), 0.0)
    assert [packet.pts for packet in hold.put(sound(90_000), 0.6)] == [1800]


@given(pts=st.lists(st.integers(0, 10_000), max_size=50))
def test_sound_is_never_lost_nor_reordered(pts: list[int]) -> None:
    hold = SoundHold()
    released = []
    for number, each in enumerate(pts):
        released += hold.put(sound(each), number / 50)
    released += hold.release(1e6)
    assert [packet.pts for packet in released] == pts


def test_stand_ins_come_at_their_own_rate() -> None:
    evenly = Evenly(10)
    admitted = [n for n in range(30) if evenly.admits(n * 3000)]
    assert admitted == list(range(0, 30, 3))
