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
