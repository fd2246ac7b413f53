"""What publishers and subscribers decide."""

import pytest

from trickle.channel import CURRENT, NEXT
from trickle.cursors import (
    Ask,
    Backoff,
    Deliver,
    End,
    PublisherCursor,
    SubscriberCursor,
    Verdict,
    judge_post,
)


def answered(
    cursor: SubscriberCursor,
    status: int,
    seq: int | None = None,
    latest: int | None = None,
    *,
    closed: bool = False,
    oldest: int | None = None,
    now: float = 0.0,
) -> Deliver | Ask | End | None:
    return cursor.answered(status, seq=seq, latest=latest, closed=closed, oldest=oldest, now=now)


def test_segment_moves_the_position_behind_it() -> None:
    cursor = SubscriberCursor(CURRENT)
    assert answered(cursor, 200, 7, 8) == Deliver(7)
    assert cursor.position == 8


def test_answer_without_a_number_keeps_the_position() -> None:
    cursor = SubscriberCursor(3)
    assert answered(cursor, 200) == Deliver(3)
    assert cursor.position == 3


@pytest.mark.parametrize("status", [200, 404, 470, 500])
def test_closed_is_a_clean_end_whatever_the_status(status: int) -> None:
    assert answered(SubscriberCursor(0), status, closed=True) == End(clean=True)


def test_missing_channel_is_an_end_and_a_clean_one_after_something_was_read() -> None:
    cursor = SubscriberCursor(0)
    assert answered(cursor, 404) == End(clean=False)
    answered(cursor, 200, 0)
    assert answered(cursor, 404) == End(clean=True)


def test_reader_that_fell_behind_jumps_to_the_edge_and_counts_it() -> None:
    cursor = SubscriberCursor(3)
    assert answered(cursor, 470, 3, 20, oldest=12) == Ask(0.0)
    assert (cursor.position, cursor.skipped) == (20, 17)


def test_reader_that_wants_everything_takes_up_the_oldest_there_is() -> None:
    cursor = SubscriberCursor(3, complete=True)
    answered(cursor, 470, 3, 20, oldest=12)
    assert (cursor.position, cursor.skipped) == (12, 9)


def test_refusal_of_what_is_due_is_asked_again() -> None:
    cursor = SubscriberCursor(5)
    step = answered(cursor, 470, 5, 5)
    assert isinstance(step, Ask)
    assert (cursor.position, cursor.skipped) == (5, 0)


def test_server_that_is_behind_us_is_waited_for_before_we_follow_it_back() -> None:
    cursor = SubscriberCursor(5)
    for now in (0.0, 0.5, 1.9):
        assert answered(cursor, 470, 5, 2, now=now) == Ask(0.25)
        assert cursor.position == 5
    assert answered(cursor, 470, 5, 2, now=2.1) == Ask(0.0)
    assert (cursor.position, cursor.rewinds) == (2, 1)


def test_470_without_an_edge_leads_to_what_is_next() -> None:
    cursor = SubscriberCursor(5)
    answered(cursor, 470)
    assert cursor.position == NEXT


def test_reader_may_refuse_to_lag() -> None:
    cursor = SubscriberCursor(0, max_behind=3)
    assert answered(cursor, 200, 0, 10) == Ask(0.0)
    assert (cursor.position, cursor.skipped) == (9, 9)
    assert answered(cursor, 200, 9, 10) == Deliver(9)


def test_status_outside_the_protocol_is_left_to_the_caller() -> None:
    assert answered(SubscriberCursor(0), 500) is None


def test_numbers_are_given_out_once() -> None:
    cursor = PublisherCursor(4)
    assert [cursor.take() for _ in range(3)] == [(4, True), (5, False), (6, False)]


@pytest.mark.parametrize(
    ("status", "closed", "whole", "sent", "verdict"),
    [
        (200, False, True, True, Verdict.PUBLISHED),
        (200, False, False, True, Verdict.DROPPED),
        (200, False, False, False, Verdict.DROPPED),
        (200, True, False, False, Verdict.ENDED),
        (404, False, False, False, Verdict.GONE),
        (500, False, False, False, Verdict.RETRY),
        (None, False, False, False, Verdict.RETRY),
        (500, False, True, True, Verdict.BROKEN),
        (None, False, False, True, Verdict.BROKEN),
    ],
)
def test_answer_to_a_post_is_judged(
    status: int | None, closed: bool, whole: bool, sent: bool, verdict: Verdict
) -> None:
    assert judge_post(status, closed=closed, whole=whole, sent=sent) is verdict


def test_pauses_double_up_to_a_limit_and_stop_after_their_time() -> None:
    backoff = Backoff(first_s=1.0, most_s=4.0, budget_s=10.0)
    assert [backoff.failed(now) for now in (0.0, 1.0, 3.0, 7.0, 11.0)] == [1, 2, 4, 4, None]
    backoff.succeeded()
    assert backoff.failed(20.0) == 1.0
