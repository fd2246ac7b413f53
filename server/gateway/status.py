"""What a viewer or a publisher is told about a stream: one state and one sentence. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from server.errors import NodeError
from server.gateway.latency import Percentiles
from server.media.stream_stats import StreamStats

# Results that are older than this are not "live", whatever the runner says of itself.
RESULT_FRESH_S: Final = 2.0

# For so long after the last result a replacement is still on its way; after that it has failed.
RESTART_S: Final = 10.0

# Fewer results than this share of the input, and a viewer sees it.
KEEPS_UP_SHARE: Final = 0.75


class State(StrEnum):
    """How a stream is, in one word."""

    WAITING = "waiting"  # nobody publishes
    STARTING = "starting"  # a publisher is there, results are not yet
    LIVE = "live"
    DEGRADED = "degraded"  # live, but the runner cannot keep up
    RESTARTING = "restarting"  # results stopped; a runner or an orchestrator is being replaced
    FAILED = "failed"  # no orchestrator takes it; we go on trying
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why things are not as they should be."""

    code: str
    message: str
    remedy: str

    @classmethod
    def of(cls, error: NodeError) -> "Problem":
        return cls(error.code, error.message, error.advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known, without judgement.

    Attributes:
        result_age_s: How long ago the last result came; None before the first.
        keeps_up: Results come nearly as often as pictures go out.
        runner_restarting: The runner says that its model is not there at the moment.
    """

    publishing: bool
    ended: bool = False
    job_running: bool = False
    result_age_s: float | None = None
    keeps_up: bool = True
    runner_restarting: bool = False
    problem: Problem | None = None


def state_of(facts: Facts) -> State:
    """Judges the facts; the first that applies decides."""
    fresh = facts.result_age_s is not None and facts.result_age_s < RESULT_FRESH_S
    if facts.ended:
        return State.ENDED
    if not facts.publishing:
        return State.WAITING
    if facts.runner_restarting and facts.job_running:
        return State.RESTARTING
    if facts.job_running and fresh:
        return State.LIVE if facts.keeps_up else State.DEGRADED
    if facts.result_age_s is not None and facts.result_age_s < RESTART_S:
        return State.RESTARTING
    if facts.problem is not None:
        return State.FAILED
    return State.STARTING if facts.result_age_s is None else State.RESTARTING


def sentence(state: State, *, pipeline: str, runner: str | None, problem: Problem | None) -> str:
    """The state as a person would say it."""
    where = f" on {runner}" if runner else ""
    match state:
        case State.WAITING:
            return "Waiting for somebody to publish."
        case State.STARTING:
            return f"Starting {pipeline}{where}; the first picture is on its way."
        case State.LIVE:
            return f"Live: {pipeline}{where}."
        case State.DEGRADED:
            return f"Live: {pipeline}{where}, but it cannot keep up; pictures are dropped."
        case State.RESTARTING:
            return "The runner is restarting; the stream goes on in a moment."
        case State.FAILED:
            assert problem is not None
            return f"{problem.message}. Trying again. {problem.remedy}"
        case State.ENDED:
            return "The stream has ended."


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One side of a stream in numbers."""

    protocol: str | None = None
    fps: float = 0.0
    frames: int = 0
    width: int | None = None
    height: int | None = None
    video: str | None = None
    audio: str | None = None
    bitrate_bps: int = 0

    @classmethod
    def of(cls, stats: StreamStats, protocol: str | None = None) -> "Media":
        return cls(
            protocol=protocol,
            fps=round(stats.fps, 1),
            frames=stats.frames,
            width=stats.width,
            height=stats.height,
            video=stats.video,
            audio=stats.audio,
            bitrate_bps=stats.bitrate_bps,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything about one stream, as `/status` and `/events` give it."""

    stream: str
    state: State
    message: str
    input: Media
    output: Media
    latency_ms: Percentiles
    dropped: int
    pipeline: str
    params: Mapping[str, Any] = field(default_factory=dict)
    orchestrator: str | None = None
    runner: Mapping[str, Any] | None = None
    viewers: int = 0
    problem: Problem | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
