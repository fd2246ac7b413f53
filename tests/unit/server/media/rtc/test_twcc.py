import struct

from hypothesis import given
from hypothesis import strategies as st

from server.media.rtc.twcc import PENDING_MAX, ArrivalLog


def read(content: bytes) -> dict[int, float | None]:
    """A reader of our own for what the draft describes: number to arrival time in seconds."""
    first, count, word = struct.unpack_from("!HHI", content)
    at = 8
    symbols: list[int] = []
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", content, at)
        at += 2
        if chunk >> 15 == 0:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk >> 14 & 1:
            symbols += [chunk >> (12 - 2 * n) & 3 for n in range(7)]
        else:
            symbols += [chunk >> (13 - n) & 1 for n in range(14)]
    clock = (word >> 8) * 256
    arrived: dict[int, float | None] = {}
    for n, symbol in enumerate(symbols[:count]):
        if symbol == 0:
            arrived[(first + n) & 0xFFFF] = None
            continue
        size, form = (1, "!B") if symbol == 1 else (2, "!h")
        clock += struct.unpack_from(form, content, at)[0]
        at += size
        arrived[(first + n) & 0xFFFF] = clock / 4000
    assert at == len(content)
    return arrived


def test_arrivals_are_reported_to_a_quarter_of_a_millisecond() -> None:
    log = ArrivalLog()
    times = {n: 100.0 + n * 0.0037 for n in range(30)}
    for number, at in times.items():
        log.arrived(number, at)
    content = log.report()
    assert content is not None
    reported = read(content)
    assert set(reported) == set(times)
    assert all(abs((reported[n] or 0) - times[n]) <= 0.0005 for n in times)


def test_what_did_not_come_is_reported_as_missing_also_between_reports() -> None:
    log = ArrivalLog()
    for number in (65_533, 65_535):
        log.arrived(number, 1.0)
    first = log.report()
    for number in (3, 2):
        log.arrived(number, 1.1)
    second = log.report()
    assert first is not None
    assert second is not None
    assert [n for n, at in read(first).items() if at is None] == [65_534]
    assert [n for n, at in read(second).items() if at is None] == [0, 1]
    assert (first[7], second[7]) == (0, 1)


def test_nothing_new_makes_no_report() -> None:
    log = ArrivalLog()
    assert log.report() is None
    log.arrived(1, 0.0)
    assert log.report() is not None
    log.arrived(1, 0.1)
    assert log.report() is None


def test_a_long_pause_begins_another_report() -> None:
    log = ArrivalLog()
    log.arrived(1, 0.0)
    log.arrived(2, 60.0)
    reports = [log.report(), log.report(), log.report()]
    assert [None if r is None else list(read(r)) for r in reports] == [[1], [2], None]


def test_a_flood_between_two_reports_is_bounded() -> None:
    log = ArrivalLog()
    for number in range(PENDING_MAX * 4):
        log.arrived(number & 0xFFFF, number / 1e4)
    assert len(log._arrived) == PENDING_MAX


@given(
    start=st.integers(0, 0xFFFF),
    steps=st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 3000)), max_size=60),
)
def test_any_arrivals_can_be_read_back(start: int, steps: list[tuple[int, int]]) -> None:
    log = ArrivalLog()
    number, ticks = start, 4_000_000
    for step, pause in steps:
        number, ticks = number + step, ticks + pause
        log.arrived(number & 0xFFFF, ticks / 4000)
    reports = 0
    while (content := log.report()) is not None:
        assert read(content)
        reports += 1
    assert reports <= len(steps)
    assert not log._arrived
