"""A channel hands out the right segment, or says why it cannot."""

import pytest

from trickle.channel import CURRENT, NEXT, Channel, Writing
from trickle.errors import (
    BadIndex,
    ChannelClosed,
    SegmentGone,
    SegmentNotReady,
    SegmentTooLarge,
)
from trickle.window import Budget, Window

WINDOW = Window(
    min_segments=5,
    max_segments=8,
    max_age_s=30.0,
    spare_bytes=90,
    max_bytes=100,
    max_segment_bytes=60,
    resume_s=3.0,
    gap_s=1.0,
)


@pytest.fixture
def channel() -> Channel:
    return Channel("out", mime_type="video/MP2T", now=0.0, window=WINDOW)


@pytest.fixture
def like_go() -> Channel:
    return Channel("out", mime_type="", now=0.0, window=WINDOW, strict_go=True)


def publish(channel: Channel, *payloads: bytes, seq: int = NEXT, now: float = 0.0) -> None:
    for payload in payloads:
        channel.write(channel.open_write(seq, now=now), payload, now=now, end=True)


def begin(channel: Channel, data: bytes, *, seq: int = NEXT, now: float = 0.0) -> Writing:
    writing = channel.open_write(seq, now=now)
    channel.write(writing, data, now=now)
    return writing


def body(channel: Channel, seq: int, now: float = 0.0) -> bytes:
    return channel.open_read(seq, now=now).read()


def test_reader_gets_bytes_that_arrive_after_it_connected(channel: Channel) -> None:
    reading = channel.open_read(NEXT, now=0.0)
    publish(channel, b"frame")
    assert reading.read() == b"frame"


def test_connecting_for_the_next_segment_does_not_move_the_write_head(channel: Channel) -> None:
    channel.open_write(NEXT, now=0.0)
    assert channel.next_seq == 0


def test_current_is_the_segment_behind_the_write_head(channel: Channel) -> None:
    publish(channel, b"a", b"b")
    assert body(channel, CURRENT) == b"b"


def test_reader_too_far_ahead_is_told_where_the_live_edge_is(channel: Channel) -> None:
    publish(channel, b"a")
    with pytest.raises(SegmentNotReady, match="segment 7 is not written yet") as caught:
        channel.open_read(7, now=0.0)
    assert caught.value.latest == 1


def test_reader_that_fell_off_the_ring_is_told_so(channel: Channel) -> None:
    publish(channel, *[b"x"] * 9)
    with pytest.raises(SegmentGone, match="latest is 9"):
        channel.open_read(0, now=0.0)
    assert channel.oldest == 1


@pytest.mark.parametrize("seq", [-3, -100])
def test_numbers_without_a_meaning_are_refused(channel: Channel, seq: int) -> None:
    with pytest.raises(BadIndex):
        channel.open_read(seq, now=0.0)
    with pytest.raises(BadIndex):
        channel.open_write(seq, now=0.0)


def test_waiting_drops_nothing(channel: Channel) -> None:
    publish(channel, *[b"x"] * 8)
    channel.open_read(NEXT, now=0.0)
    assert body(channel, 0) == b"x"


def test_go_drops_a_segment_when_somebody_waits(like_go: Channel) -> None:
    publish(like_go, *[b"x"] * 8)
    assert like_go.oldest == 3
    like_go.open_read(NEXT, now=0.0)
    assert like_go.oldest == 4


def test_old_segments_go_but_for_the_last_five(channel: Channel) -> None:
    publish(channel, *[b"x"] * 8, now=0.0)
    channel.tick(31.0)
    assert (channel.oldest, len(channel.segments)) == (3, 5)


def test_bytes_over_the_limit_push_out_the_oldest(channel: Channel) -> None:
    publish(channel, b"x" * 50, b"y" * 50, b"z" * 50)
    assert (channel.oldest, channel.size) == (1, 100)


def test_big_segments_are_kept_only_as_far_as_go_keeps_them() -> None:
    window = Window(min_segments=2, spare_bytes=25, max_bytes=1000)
    channel = Channel("a", mime_type="", now=0.0, window=window)
    publish(channel, *[b"x" * 10] * 6)
    assert [s.seq for s in channel.segments] == [4, 5]
    publish(channel, *[b"x"] * 6)
    assert channel.oldest == 5


def test_segment_that_is_pushed_out_ends_for_its_readers(channel: Channel) -> None:
    begin(channel, b"x" * 50, seq=0)
    reading = channel.open_read(0, now=0.0)
    publish(channel, b"y" * 50, b"z" * 50, seq=NEXT)
    assert (reading.ended, reading.truncated) == (True, True)


def test_segment_over_its_limit_is_filled_up_to_it_and_ended(channel: Channel) -> None:
    writing = begin(channel, b"x" * 50)
    with pytest.raises(SegmentTooLarge):
        channel.write(writing, b"y" * 20, now=0.0)
    channel.finish(writing, now=0.0)
    assert body(channel, 0) == b"x" * 50 + b"y" * 10
    assert channel.open_read(0, now=0.0).ended


def test_budget_counts_what_is_held_and_forgets_what_is_dropped() -> None:
    budget = Budget(limit=100)
    channel = Channel("a", mime_type="", now=0.0, window=WINDOW, budget=budget)
    publish(channel, *[b"x" * 10] * 9)
    assert budget.used == channel.size == 80
    channel.close(now=0.0)
    assert (budget.used, budget.spent) == (0, False)


def test_write_head_only_goes_forward(channel: Channel) -> None:
    publish(channel, b"a", seq=7)
    publish(channel, b"b", seq=3)
    assert channel.next_seq == 8


def test_go_lets_the_write_head_go_back(like_go: Channel) -> None:
    publish(like_go, b"a", seq=7)
    publish(like_go, b"b", seq=3)
    assert like_go.next_seq == 4


def test_reset_moves_the_write_head_back_and_forgets_the_other_life(channel: Channel) -> None:
    publish(channel, b"a", b"b", b"c")
    writing = channel.open_write(0, now=0.0, reset=True)
    ahead = channel.open_write(1, now=0.0)
    channel.write(writing, b"new", now=0.0, end=True)
    assert (channel.next_seq, body(channel, 0)) == (1, b"new")
    with pytest.raises(SegmentNotReady):
        channel.open_read(2, now=0.0)
    channel.write(ahead, b"newer", now=0.0, end=True)
    assert (channel.next_seq, body(channel, 1)) == (2, b"newer")


def test_reset_releases_readers_of_earlier_segments(channel: Channel) -> None:
    waiting = channel.open_read(0, now=0.0)
    channel.open_write(3, now=0.0, reset=True)
    assert waiting.ended


def test_finished_segment_takes_nothing_from_who_comes_later(channel: Channel) -> None:
    publish(channel, b"a", b"b")
    writing = channel.open_write(0, now=0.0)
    channel.write(writing, b"again", now=0.0, end=True)
    assert (writing.late, body(channel, 0), channel.next_seq) == (True, b"a", 2)


def test_empty_segment_moves_the_write_head(channel: Channel) -> None:
    channel.finish(channel.open_write(NEXT, now=0.0), now=0.0)
    assert (channel.next_seq, channel.open_read(0, now=0.0).ended) == (1, True)


def test_first_to_finish_ends_a_shared_segment_and_the_other_still_adds(channel: Channel) -> None:
    first, second = begin(channel, b"a"), channel.open_write(0, now=0.0)
    channel.finish(first, now=0.0)
    channel.write(second, b"b", now=0.0, end=True)
    assert body(channel, 0) == b"ab"


def test_vanished_publisher_is_waited_for_and_then_given_up(channel: Channel) -> None:
    channel.abandon(begin(channel, b"half", now=0.0), now=10.0)
    reading = channel.open_read(0, now=10.0)
    assert channel.next_timer() == 13.0
    channel.tick(12.9)
    assert not reading.ended
    channel.tick(13.0)
    assert (reading.ended, reading.truncated, channel.next_timer()) == (True, True, None)


def test_publisher_that_comes_back_in_time_resumes(channel: Channel) -> None:
    channel.abandon(begin(channel, b"half "), now=0.0)
    writing = channel.open_write(0, now=2.0)
    channel.tick(5.0)
    channel.write(writing, b"and half", now=5.0, end=True)
    assert body(channel, 0) == b"half and half"


def test_vanished_publisher_is_not_waited_for_once_the_next_segment_began(
    channel: Channel,
) -> None:
    channel.abandon(begin(channel, b"half", seq=0), now=0.0)
    begin(channel, b"on", seq=1)
    assert channel.open_read(0, now=0.0).ended


def test_reader_of_an_overtaken_segment_waits_and_then_hears_that_it_is_gone(
    channel: Channel,
) -> None:
    publish(channel, b"a", seq=0)
    publish(channel, b"c", seq=2)
    reading = channel.open_read(1, now=0.5)
    channel.tick(1.0)
    assert (reading.ended, reading.void) == (True, True)
    with pytest.raises(SegmentGone):
        channel.open_read(1, now=1.0)


def test_overtaken_segment_may_still_be_written_after_its_readers_went(channel: Channel) -> None:
    publish(channel, b"a", seq=0)
    publish(channel, b"c", seq=2)
    channel.open_read(1, now=0.0)
    channel.tick(2.0)
    publish(channel, b"b", seq=1, now=2.0)
    assert (body(channel, 1), channel.next_seq) == (b"b", 3)


def test_readers_who_waited_for_a_segment_that_was_skipped_are_released(channel: Channel) -> None:
    waiting = channel.open_read(0, now=0.0)
    publish(channel, b"far", seq=50, now=1.0)
    channel.tick(2.0)
    assert (waiting.ended, waiting.void) == (True, True)


def test_ended_segment_cannot_be_missed(channel: Channel) -> None:
    with pytest.raises(SegmentGone):
        channel.end_segment(0, now=0.0)
    waiting = channel.open_read(0, now=0.0)
    channel.end_segment(0, now=0.0)
    assert (waiting.ended, waiting.void) == (True, False)


def test_closing_ends_everything_and_refuses_more(channel: Channel) -> None:
    publish(channel, b"last")
    waiting = channel.open_read(NEXT, now=0.0)
    channel.close(now=0.0)
    assert (waiting.ended, channel.closed, channel.segments) == (True, True, ())
    with pytest.raises(ChannelClosed):
        channel.open_read(0, now=0.0)
    with pytest.raises(ChannelClosed):
        channel.open_write(NEXT, now=0.0)


def test_activity_is_bytes_as_well_as_beginnings(channel: Channel) -> None:
    writing = begin(channel, b"a", now=5.0)
    channel.write(writing, b"b", now=50.0)
    assert channel.active_at == 50.0


def test_channel_is_outrun_when_its_first_reader_is_a_share_of_the_ring_behind(
    channel: Channel,
) -> None:
    publish(channel, b"a")
    channel.open_read(1, now=0.0)
    publish(channel, b"b", b"c", b"d")
    assert (channel.outrun(1 / 8), channel.outrun(1 / 2)) == (True, False)
    channel.open_read(3, now=0.0)
    assert not channel.outrun(1 / 8)


def test_channel_is_outrun_by_bytes_before_it_is_by_segments(channel: Channel) -> None:
    channel.open_read(0, now=0.0)
    publish(channel, *[bytes(20)] * 4)
    assert (channel.outrun(1 / 2), channel.outrun(7 / 8)) == (True, False)


def test_reader_who_asks_for_what_does_not_exist_has_asked_for_nothing(channel: Channel) -> None:
    with pytest.raises(SegmentNotReady):
        channel.open_read(100, now=0.0)
    assert channel.asked_for == 0


def test_publisher_that_starts_over_is_not_ahead_of_its_readers(channel: Channel) -> None:
    publish(channel, *[b"x"] * 6)
    channel.open_read(NEXT, now=0.0)
    channel.write(channel.open_write(0, now=0.0, reset=True), b"y", now=0.0, end=True)
    publish(channel, *[b"z"] * 3)
    assert channel.outrun(1 / 8)


def test_ring_is_no_longer_when_readers_come_first(channel: Channel) -> None:
    for _ in range(30):
        channel.open_read(NEXT, now=0.0)
        publish(channel, b"x")
    assert len(channel.segments) == WINDOW.max_segments
