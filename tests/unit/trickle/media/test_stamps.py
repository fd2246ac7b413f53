"""Counters that wrap are read as counters that do not."""

from hypothesis import given
from hypothesis import strategies as st

from trickle.media.stamps import Unwrapper


@given(
    start=st.integers(0, 2**33 - 1),
    steps=st.lists(st.integers(-(2**20), 2**31), max_size=50),
)
def test_unwrapping_undoes_wrapping(start: int, steps: list[int]) -> None:
    unwrapper = Unwrapper(33)
    true = start
    unwrapper.unwrap(true)
    for step in steps:
        true += step
        assert unwrapper.unwrap(true % 2**33) == true


def test_a_stamp_just_before_the_edge_is_not_taken_for_a_day_later() -> None:
    unwrapper = Unwrapper(32)
    assert unwrapper.unwrap(5) == 5
    assert unwrapper.unwrap(2**32 - 5) == -5


def test_one_damaged_stamp_does_not_move_those_after_it() -> None:
    unwrapper = Unwrapper(33)
    unwrapper.unwrap(87_000)
    unwrapper.unwrap(90_000)
    unwrapper.unwrap(93_000 ^ 1 << 32)
    assert unwrapper.unwrap(96_000) == 96_000


def test_a_clock_that_really_jumps_is_followed() -> None:
    unwrapper = Unwrapper(33)
    unwrapper.unwrap(87_000)
    unwrapper.unwrap(90_000)
    far = 3 << 30
    first = unwrapper.unwrap(far)
    assert unwrapper.unwrap(far + 3_000) == first + 3_000
    assert unwrapper.unwrap(far + 6_000) == first + 6_000


def test_a_damaged_first_stamp_does_not_move_those_after_it() -> None:
    unwrapper = Unwrapper(33)
    unwrapper.unwrap(90_000 ^ 1 << 32)
    assert [unwrapper.unwrap(90_000 + step) for step in (3_000, 6_000)] == [93_000, 96_000]
