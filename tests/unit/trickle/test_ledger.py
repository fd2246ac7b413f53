"""Who is owed what, without a clock of its own."""

import pytest

from trickle.channel import Channel
from trickle.ledger import Ledger
from trickle.window import Window


def ledger(window: int = 2) -> Ledger:
    return Ledger(window, patience_s=5.0)


def test_reader_is_owed_all_from_its_first_request_on() -> None:
    book = ledger()
    book.asked("a", 3, now=0.0)
    assert (book.floor, book.owes(2), book.owes(3)) == (3, False, True)


def test_asking_ahead_does_not_settle_what_is_still_being_read() -> None:
    book = ledger()
    book.asked("a", 0, now=0.0)
    book.asked("a", 1, now=0.0)
    assert book.floor == 0
    book.finished("a", 0, now=0.0)
    assert book.floor == 1


def test_slowest_reader_sets_the_floor() -> None:
    book = ledger()
    for reader in "ab":
        book.asked(reader, 0, now=0.0)
    book.finished("a", 7, now=0.0)
    assert book.floor == 0
    book.left("b")
    assert book.floor == 8


def test_reader_is_struck_off_only_after_getting_nothing_for_so_long() -> None:
    book = ledger()
    book.asked("slow", 0, now=0.0)
    book.asked("dead", 0, now=0.0)
    book.moved("slow", now=4.0)
    book.strike_off(5, held_since=1.0, now=5.9)
    assert len(book) == 2
    book.strike_off(5, held_since=1.0, now=6.0)
    assert (len(book), book.struck) == (1, 1)
    book.strike_off(5, held_since=1.0, now=9.0)
    assert (len(book), book.floor) == (0, None)


def test_reader_who_has_everything_is_never_struck_off() -> None:
    book = ledger()
    book.asked("a", 5, now=0.0)
    book.strike_off(5, held_since=0.0, now=100.0)
    assert len(book) == 1


def test_window_that_lets_nobody_write_is_refused() -> None:
    with pytest.raises(ValueError, match="window of 0"):
        ledger(0)


def test_ring_keeps_what_somebody_is_owed_beyond_its_usual_size() -> None:
    book = ledger(100)
    window = Window(min_segments=1, max_segments=3, spare_bytes=4, max_bytes=50)
    channel = Channel("ch", mime_type="", now=0.0, window=window, ledger=book)
    book.asked("a", 2, now=0.0)
    for seq in range(20):
        channel.write(channel.open_write(seq, now=0.0), b"a", now=0.0, end=True)
    assert [s.seq for s in channel.segments] == list(range(2, 20))
    book.finished("a", 17, now=0.0)
    channel.tick(0.0)
    assert [s.seq for s in channel.segments] == [17, 18, 19]


def test_memory_stays_bounded_whatever_is_owed() -> None:
    book = ledger(100)
    window = Window(min_segments=1, max_segments=3, spare_bytes=4, max_bytes=10)
    channel = Channel("ch", mime_type="", now=0.0, window=window, ledger=book)
    book.asked("a", 0, now=0.0)
    for seq in range(20):
        channel.write(channel.open_write(seq, now=0.0), b"a", now=0.0, end=True)
    assert channel.size == 10
    assert channel.holds_publishers()
