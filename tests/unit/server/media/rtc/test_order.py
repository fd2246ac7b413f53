from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from server.media.rtc.order import REPEAT_MAX_S, RESTART_AFTER, WINDOW, ArrivalOrder

PATIENCE_S = 0.3


def order() -> ArrivalOrder[int]:
    return ArrivalOrder(patience_s=PATIENCE_S, asks=True)


def push(into: ArrivalOrder[int], sequences: Iterable[int], now: float = 0.0) -> list[int | None]:
    return [item for s in sequences for item in into.push(s & 0xFFFF, s, now)]


def test_packets_in_order_pass_at_once() -> None:
    assert push(order(), range(65_530, 65_540)) == list(range(65_530, 65_540))


def test_swapped_packets_are_put_right() -> None:
    assert push(order(), [1, 3, 2, 4]) == [1, 2, 3, 4]


def test_a_lost_packet_is_asked_for_at_once_and_again_after_a_round_trip() -> None:
    packets = order()
    push(packets, [65_534, 1])
    assert packets.requests(0.0) == [65_535, 0]
    assert packets.requests(0.001) == []
    assert packets.requests(REPEAT_MAX_S) == [65_535, 0]


def test_a_packet_that_comes_after_all_lets_the_others_go() -> None:
    packets = order()
    push(packets, [1, 3, 4])
    packets.requests(0.0)
    assert push(packets, [2], now=0.02) == [2, 3, 4]
    assert packets.recovered == 1
    assert not packets.troubled


def test_what_does_not_come_in_time_is_given_up_and_leaves_a_mark() -> None:
    packets = order()
    push(packets, [1, 3, 4, 6])
    assert packets.give_up(PATIENCE_S / 2) == ()
    assert list(packets.give_up(PATIENCE_S * 1.1)) == [None, 3, 4, None, 6]
    assert packets.given_up == 2
    assert push(packets, [7]) == [7]


def test_only_what_is_late_is_given_up() -> None:
    packets = order()
    push(packets, [1, 3], now=0.0)
    push(packets, [5], now=0.2)
    assert list(packets.give_up(0.35)) == [None, 3]
    assert push(packets, [4], now=0.4) == [4, 5]


def test_duplicates_and_stragglers_are_dropped() -> None:
    assert push(order(), [10, 11, 11, 5, 12, 10]) == [10, 11, 12]


def test_a_sender_that_counts_anew_is_followed() -> None:
    packets = order()
    push(packets, [50_000])
    anew = push(packets, range(20_000, 20_000 + RESTART_AFTER + 5))
    assert anew[0] is None
    assert anew[-1] == 20_000 + RESTART_AFTER + 4


def test_a_leap_ahead_is_followed_at_once() -> None:
    packets = order()
    push(packets, [1])
    assert push(packets, [WINDOW + 10]) == [None, WINDOW + 10]


@given(
    lost=st.sets(st.integers(1, 198), max_size=60),
    late=st.lists(st.tuples(st.integers(1, 198), st.integers(1, 198)), max_size=40),
    start=st.integers(0, 0xFFFF),
)
def test_whatever_the_network_does_the_order_holds(
    lost: set[int], late: list[tuple[int, int]], start: int
) -> None:
    sequences = [n for n in range(200) if n not in lost]
    for a, b in late:
        a, b = a % len(sequences), b % len(sequences)
        if a and b:
            sequences[a], sequences[b] = sequences[b], sequences[a]
    packets = order()
    released = [i for n in sequences for i in packets.push((start + n) & 0xFFFF, n, 0.0)]
    released += packets.give_up(10.0)
    whole = [item for item in released if item is not None]
    assert whole == sorted(set(sequences))
    assert not packets.troubled
