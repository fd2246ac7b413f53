"""What a runner says on the events channel: shapes and nothing else. Pure.

The field names are ai-runner's, because gateways and dashboards know them; `stats` is ours. Times
are milliseconds since 1970 unless a comment says seconds.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runners.health import State
from runners.live.tally import Counts

Event = dict[str, Any]

STREAM_EVENTS: Final = "ai_stream_events"
TRACE: Final = "stream_trace"
STATS: Final = "stream_stats"

_MAX_MESSAGE: Final = 500


@dataclass(slots=True)
class StatusFields:
    """What a status tells. `None` times have not happened yet."""

    pipeline: str
    start_time: float
    state: State = State.LOADING
    last_state_update_time: float = 0
    input_last_time: float | None = None
    input_fps: float = 0
    output_last_time: float | None = None
    output_fps: float = 0
    last_params_update_time: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    last_error_time: float | None = None
    last_error: str | None = None
    last_restart_time: float | None = None
    last_restart_logs: list[str] | None = None
    restart_count: int = 0


def status_body(fields: StatusFields, *, with_params: bool) -> Event:
    """Returns the status itself; parameters are long, and sent when they have changed."""
    return {
        "type": "status",
        "pipeline": fields.pipeline,
        "start_time": fields.start_time,
        "state": fields.state.value,
        "last_state_update_time": fields.last_state_update_time,
        "input_status": {"last_input_time": fields.input_last_time, "fps": fields.input_fps},
        "inference_status": {
            "last_output_time": fields.output_last_time,
            "fps": fields.output_fps,
            "last_params_update_time": fields.last_params_update_time,
            "last_params": dict(fields.params) if with_params else None,
            "last_params_hash": params_hash(fields.params),
            "last_error_time": fields.last_error_time,
            "last_error": fields.last_error,
            "last_restart_time": fields.last_restart_time,
            "last_restart_logs": fields.last_restart_logs,
            "restart_count": fields.restart_count,
        },
    }


def status(fields: StatusFields, now_ms: int, *, with_params: bool) -> Event:
    """How the runner is."""
    return _enveloped(status_body(fields, with_params=with_params), STREAM_EVENTS, now_ms)


def error(pipeline: str, message: str, now_ms: int) -> Event:
    """Something went wrong, and the stream went on."""
    body = {
        "type": "error",
        "pipeline": pipeline,
        "message": message[:_MAX_MESSAGE],
        "time": now_ms / 1000,  # seconds
    }
    return _enveloped(body, STREAM_EVENTS, now_ms)


def restart(pipeline: str, count: int, logs: list[str], now_ms: int) -> Event:
    """A model process was lost, and another is starting."""
    body = {
        "type": "restart",
        "pipeline": pipeline,
        "restart_count": count,
        "restart_time": now_ms / 1000,  # seconds
        "restart_logs": logs,
    }
    return _enveloped(body, STREAM_EVENTS, now_ms)


def trace(kind: str, now_ms: int) -> Event:
    """A milestone of the stream."""
    return _enveloped({"type": kind}, TRACE, now_ms)


def stats(pipeline: str, counts: Counts, *, restarts: int, now_ms: int) -> Event:
    """The numbers of the stream; ours."""
    body = {
        "type": "stats",
        "pipeline": pipeline,
        "input_fps": counts.input_fps,
        "output_fps": counts.output_fps,
        "frames_in": counts.frames_in,
        "frames_out": counts.frames_out,
        "dropped": sum(counts.dropped_by.values()),
        "dropped_by": counts.dropped_by,
        "latency_ms": counts.latency_ms,
        "effect_ms": counts.effect_ms,
        "width": counts.width,
        "height": counts.height,
        "restarts": restarts,
    }
    return _enveloped(body, STATS, now_ms)


def params_hash(params: Mapping[str, Any]) -> str:
    """MD5 of the sorted JSON, by which a gateway sees that parameters changed."""
    text = json.dumps(params, sort_keys=True, default=str).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def _enveloped(body: Event, kind: str, now_ms: int) -> Event:
    return {"event": {**body, "timestamp": now_ms}, "queue_event_type": kind}
