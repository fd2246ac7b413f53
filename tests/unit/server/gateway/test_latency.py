"""Pictures are paired by timestamp, whatever happens to the others."""

from hypothesis import given
from hypothesis import strategies as st

from server.gateway.latency import PENDING_MAX, LatencyMeter, Percentiles


def test_a_result_is_measured_from_its_own_picture() -> None:
    meter = LatencyMeter()
    meter.sent(3000, now=1.0)
    meter.sent(6000, now=1.033)
    assert meter.received(6000, now=1.1) == 1.1 - 1.033
    assert meter.received(3000, now=1.2) == 1.2 - 1.0


def test_a_result_we_did_not_ask_for_is_no_measurement() -> None:
    meter = LatencyMeter()
    assert meter.received(3000, now=1.0) is None
    assert meter.percentiles() == Percentiles(None, None)


def test_dropped_pictures_do_not_pile_up() -> None:
    meter = LatencyMeter()
    for pts in range(10 * PENDING_MAX):
        meter.sent(pts, now=0.0)
    assert meter.received(0, now=1.0) is None
    assert meter.received(10 * PENDING_MAX - 1, now=1.0) == 1.0


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=100))
def test_percentiles_lie_within_what_was_measured(delays_s: list[float]) -> None:
    meter = LatencyMeter()
    for pts, delay_s in enumerate(delays_s):
        meter.sent(pts, now=0.0)
        meter.received(pts, now=delay_s)
    found = meter.percentiles()
    assert found.p50 is not None
    assert found.p95 is not None
    low, high = 1000 * min(delays_s), 1000 * max(delays_s)
    assert low - 0.1 <= found.p50 <= found.p95 <= high + 0.1
