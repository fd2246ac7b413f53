import json

from runners.health import Health, State
from runners.live import events
from runners.live.tally import Tally
from runners.pacing import Drop


def test_a_status_has_ai_runners_shape() -> None:
    fields = events.StatusFields("toon", 1000, State.ONLINE, params={"levels": 5})
    event = events.status(fields, 5000, with_params=True)
    assert event["queue_event_type"] == "ai_stream_events"
    body = event["event"]
    assert body["timestamp"] == 5000
    assert body["state"] == "ONLINE"
    assert set(body["input_status"]) == {"last_input_time", "fps"}
    assert set(body["inference_status"]) == {
        "last_output_time",
        "fps",
        "last_params_update_time",
        "last_params",
        "last_params_hash",
        "last_error_time",
        "last_error",
        "last_restart_time",
        "last_restart_logs",
        "restart_count",
    }


def test_parameters_are_sent_once_and_their_hash_always() -> None:
    fields = events.StatusFields("toon", 0, params={"b": 1, "a": 2})
    first = events.status_body(fields, with_params=True)["inference_status"]
    later = events.status_body(fields, with_params=False)["inference_status"]
    assert first["last_params"] == {"a": 2, "b": 1}
    assert later["last_params"] is None
    assert later["last_params_hash"] == first["last_params_hash"]
    assert events.params_hash({"a": 2, "b": 1}) == first["last_params_hash"]


def test_a_long_error_is_cut() -> None:
    event = events.error("toon", "x" * 100_000, 5000)
    assert len(json.dumps(event)) < 1000
    assert event["event"]["time"] == 5.0


def test_stats_tell_what_was_dropped_and_why() -> None:
    now = 10.0
    tally = Tally(Health(0.0), clock=lambda: now)
    tally.input()
    tally.drop(Drop.SUPERSEDED, 3)
    tally.drop(Drop.LATE)
    tally.output(captured_at=9.99, effect_s=0.004, size=(1280, 720))
    body = events.stats("toon", tally.counts(), restarts=1, now_ms=5)["event"]
    assert body["dropped"] == 4
    assert body["dropped_by"] == {"superseded": 3, "late": 1}
    assert body["latency_ms"] == {"p50": 10.0, "p95": 10.0}
    assert body["effect_ms"]["p50"] == 4.0
    assert (body["width"], body["height"], body["restarts"]) == (1280, 720, 1)


def test_a_stand_in_is_no_output() -> None:
    tally = Tally(Health(0.0))
    tally.output(captured_at=0.0, effect_s=None, size=(64, 32))
    assert tally.counts().frames_out == 0
    assert tally.counts().width == 64
