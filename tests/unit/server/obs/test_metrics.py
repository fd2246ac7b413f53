"""Counters of one node are its own."""

from server.obs.metrics import Metrics


def test_two_nodes_in_one_process_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.publishes.labels("rtmp").inc()
    assert b'penstock_publishes_total{protocol="rtmp"} 1.0' in one.text()
    assert b'protocol="rtmp"' not in other.text()


def test_what_others_count_is_read_when_asked() -> None:
    metrics, reading = Metrics(), [1.0]
    metrics.watch(lambda: [("gauge", "penstock_things", "Things.", reading[0])])
    reading[0] = 5.0
    assert b"penstock_things 5.0" in metrics.text()
