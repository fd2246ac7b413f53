"""A segment wakes its readers and then keeps out of their way."""

from trickle.segment import Segment


class Heard:
    """Notes what was there at every change."""

    def __init__(self, segment: Segment) -> None:
        self.sizes: list[int] = []
        self._segment = segment
        segment.watch(self)

    def changed(self) -> None:
        self.sizes.append(self._segment.size)
        if self._segment.ended:
            self._segment.unwatch(self)


def test_watchers_hear_of_bytes_and_of_the_end() -> None:
    segment = Segment(0)
    heard = Heard(segment)
    segment.append(b"ab")
    segment.end(1.0)
    assert heard.sizes == [2, 2]


def test_last_bytes_and_the_end_are_heard_of_once() -> None:
    segment = Segment(0)
    heard = Heard(segment)
    segment.append(b"ab", end=True, now=1.0)
    assert (heard.sizes, segment.ended, segment.ended_at) == ([2], True, 1.0)


def test_watchers_may_leave_while_they_are_told() -> None:
    segment = Segment(0)
    watchers = [Heard(segment) for _ in range(3)]
    segment.end(0.0)
    segment.append(b"late")
    assert [w.sizes for w in watchers] == [[0]] * 3
    assert not segment.watched


def test_ending_again_changes_nothing() -> None:
    segment = Segment(0)
    segment.end(1.0)
    segment.end(2.0, truncated=True)
    assert (segment.ended_at, segment.truncated) == (1.0, False)


def test_late_bytes_are_there_for_later_readers() -> None:
    segment = Segment(0)
    segment.append(b"in time, ", end=True)
    segment.append(b"late")
    assert (segment.read(), segment.read(1)) == (b"in time, late", b"late")


def test_memo_lasts_until_the_next_change() -> None:
    segment = Segment(0)
    segment.memos["chunked"] = [b"framed"]
    segment.append(b"x")
    assert segment.memos == {}
