"""A publisher waits only while nobody can follow it, and not for long."""

import pytest

from tests.support.waiting import until
from trickle import pace as pace_module
from trickle.pace import Pace, Place


class Publisher:
    """Notes whether it is listened to."""

    def __init__(self) -> None:
        self.heard = [True]

    def listen(self, on: bool) -> None:
        self.heard.append(on)


class Reader:
    def place(self) -> Place:
        return Place("segment", 0, 0, stuck=False)


def readers(count: int) -> Pace:
    pace = Pace()
    pace.readers = {Reader() for _ in range(count)}
    return pace


async def test_one_slow_reader_of_two_holds_nobody_up() -> None:
    pace, publisher = readers(2), Publisher()
    pace.stopped()
    pace.wrote(publisher)
    assert publisher.heard == [True]


async def test_publisher_without_readers_never_waits() -> None:
    pace, publisher = readers(0), Publisher()
    pace.wrote(publisher)
    assert publisher.heard == [True]


async def test_publisher_waits_until_the_first_reader_moves() -> None:
    pace, publisher = readers(2), Publisher()
    pace.stopped()
    pace.stopped()
    pace.wrote(publisher)
    pace.moved()
    assert publisher.heard == [True, False, True]


async def test_last_stuck_reader_that_leaves_lets_it_go_on() -> None:
    pace, publisher = readers(1), Publisher()
    pace.stopped()
    pace.wrote(publisher)
    pace.left(next(iter(pace.readers)), stuck=True)
    assert (publisher.heard, pace.readers, pace.stuck) == ([True, False, True], set(), 0)


async def test_dead_reader_is_waited_for_once_and_briefly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace_module, "PATIENCE_S", 0.0)
    pace, publisher = readers(1), Publisher()
    pace.stopped()
    pace.wrote(publisher)
    await until(lambda: publisher.heard[-1], within_s=5)
    pace.wrote(publisher)
    assert publisher.heard == [True, False, True]


async def test_publisher_that_leaves_while_it_waits_is_forgotten() -> None:
    pace, publisher = readers(1), Publisher()
    pace.stopped()
    pace.wrote(publisher)
    pace.gone(publisher)
    pace.moved()
    assert publisher.heard == [True, False, True]


async def test_publisher_far_ahead_waits_until_a_reader_has_caught_up() -> None:
    pace, publisher = readers(1), Publisher()
    pace.ran_ahead(publisher)
    pace.asked(Reader(), outrun=True)
    assert publisher.heard == [True, False]
    pace.asked(Reader(), outrun=False)
    assert publisher.heard == [True, False, True]


async def test_publisher_far_ahead_waits_briefly_for_a_reader_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace_module, "ON_ITS_WAY_S", 0.0)
    pace, publisher = readers(1), Publisher()
    pace.ran_ahead(publisher)
    await until(lambda: publisher.heard[-1], within_s=5)


async def test_publisher_far_ahead_of_full_sockets_waits_for_both() -> None:
    pace, publisher = readers(1), Publisher()
    pace.stopped()
    pace.wrote(publisher)
    pace.ran_ahead(publisher)
    pace.moved()
    assert not publisher.heard[-1]
    pace.asked(Reader(), outrun=False)
    assert publisher.heard[-1]


async def test_pace_is_forgotten_with_the_last_reader_and_the_last_publisher_that_waits() -> None:
    forgotten: list[bool] = []
    pace, publisher, reader = Pace(lambda: forgotten.append(True)), Publisher(), Reader()
    pace.asked(reader, outrun=False)
    pace.ran_ahead(publisher)
    pace.left(reader, stuck=False)
    assert not forgotten
    pace.asked(reader, outrun=False)
    pace.left(reader, stuck=False)
    assert forgotten == [True]
