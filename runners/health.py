"""How a runner is, computed from progress: the age of what came out, not a fixed frame rate.

Pure: it is told what happens and when. The state words are ai-runner's, so that its peers
understand them; the rules are ours. A camera at 8 fps or an effect at 5 is healthy as long as
pictures keep coming out within the bound; an effect that stops is not.
"""

from collections import deque
from enum import StrEnum
from typing import Final

# Input or output older than this is not fluent any more.
_STALE_S: Final = 2.0
# A slow effect is stale only after missing this many of its own turns.
_STALE_TURNS: Final = 4
# After an error or a restart, viewers deserve to know for a while.
_ERROR_MEMORY_S: Final = 15.0
_RESTART_MEMORY_S: Final = 60.0
# A stream without input for so long is over (its publisher vanished without a word).
INPUT_GONE_S: Final = 60.0
# Weights that take longer than this to load are not going to.
LOAD_LIMIT_S: Final = 180.0
# Share of frames dropped for being late, not merely superseded, above which we cannot cope, and
# how much one frame counts in it: about the last fifty matter.
_LATE_SHARE: Final = 0.2
_LATE_WEIGHT: Final = 0.02

# More restarts than this in this time, and something is wrong that a restart does not mend.
MAX_RESTARTS: Final = 3
RESTART_WINDOW_S: Final = 120.0
# Before each restart in a row: the first is at once, because most crashes are one-off.
_BACK_OFF_S: Final = (0.0, 0.5, 1.5)

# How long one frame may take before the model counts as stuck. The first of an instance compiles
# and allocates; later ones are judged by what the effect usually takes.
_FIRST_FRAME_S: Final = 30.0
_FRAME_S: Final = 2.5
_FRAME_TURNS: Final = 10
_FRAME_LIMIT_S: Final = 30.0


class State(StrEnum):
    """State of the stream, ai-runner's words."""

    LOADING = "LOADING"
    OFFLINE = "OFFLINE"
    ONLINE = "ONLINE"
    DEGRADED_INPUT = "DEGRADED_INPUT"
    DEGRADED_INFERENCE = "DEGRADED_INFERENCE"
    ERROR = "ERROR"


class RunnerStatus(StrEnum):
    """State of the runner as a whole: the answer of `GET /health`."""

    LOADING = "LOADING"
    OK = "OK"
    ERROR = "ERROR"
    IDLE = "IDLE"


def runner_status(state: State) -> RunnerStatus:
    """Says what `GET /health` answers."""
    match state:
        case State.LOADING:
            return RunnerStatus.LOADING
        case State.OFFLINE:
            return RunnerStatus.IDLE
        case State.ERROR:
            return RunnerStatus.ERROR
        case _:
            return RunnerStatus.OK


class Health:
    """Follows one runner: its model process, and the stream that it serves, if any."""

    def __init__(self, now: float) -> None:
        self.restarts = 0
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self.last_restart_at: float | None = None
        self.last_input_at: float | None = None
        self.last_output_at: float | None = None
        self._loading_since: float | None = now
        self._failure: str | None = None
        self._stream_since: float | None = None
        self._effect_s = 0.0
        self._late_share = 0.0

    @property
    def failure(self) -> str | None:
        """Why the runner is in ERROR for good, if it is."""
        return self._failure

    def model_ready(self) -> None:
        self._loading_since = None

    def model_lost(self, reason: str, now: float) -> None:
        """The model process is gone; another is about to load."""
        self.restarts += 1
        self.last_restart_at = now
        self._loading_since = now
        self.error(f"model process lost: {reason}", now)

    def gave_up(self, reason: str, now: float) -> None:
        """Nothing more will be tried."""
        self._failure = reason
        self.error(reason, now)

    def error(self, message: str, now: float) -> None:
        self.last_error, self.last_error_at = message, now

    def stream_began(self, now: float) -> None:
        self._stream_since = now
        self.last_input_at = self.last_output_at = None
        self.last_error = self.last_error_at = None
        self._late_share = 0.0

    def stream_ended(self) -> None:
        self._stream_since = None

    def input(self, now: float) -> None:
        """A frame came in."""
        self.last_input_at = now

    def output(self, now: float, *, effect_s: float) -> None:
        """A frame that the effect made went out."""
        self.last_output_at = now
        # Slowly forgotten, so that one quick frame does not make a slow effect look stuck.
        self._effect_s = max(effect_s, self._effect_s * 0.9)
        self._late_share *= 1 - _LATE_WEIGHT

    def late(self) -> None:
        """A frame was dropped because it was too late, anywhere on its way."""
        self._late_share += (1 - self._late_share) * _LATE_WEIGHT

    def input_gone(self, now: float) -> bool:
        """Whether the stream has had no input for so long that it should end."""
        if self._stream_since is None:
            return False
        return now - (self.last_input_at or self._stream_since) > INPUT_GONE_S

    def state(self, now: float) -> State:
        if self._failure is not None:
            return State.ERROR
        if self._loading_since is not None and now - self._loading_since > LOAD_LIMIT_S:
            return State.ERROR
        if self._stream_since is None:
            return State.OFFLINE if self._loading_since is None else State.LOADING
        if self._loading_since is not None:
            # With a stream open a restart is a degraded stream; only a first load is LOADING.
            return State.DEGRADED_INFERENCE if self.restarts else State.LOADING
        if self._is_input_stale(now):
            return State.DEGRADED_INPUT
        is_late = self._late_share > _LATE_SHARE
        if self._is_output_stale(now) or self._had_trouble(now) or is_late:
            return State.DEGRADED_INFERENCE
        return State.ONLINE

    def _is_input_stale(self, now: float) -> bool:
        assert self._stream_since is not None
        return now - (self.last_input_at or self._stream_since) > _STALE_S

    def _is_output_stale(self, now: float) -> bool:
        assert self._stream_since is not None
        patience_s = max(_STALE_S, _STALE_TURNS * self._effect_s)
        return now - (self.last_output_at or self._stream_since) > patience_s

    def _had_trouble(self, now: float) -> bool:
        error_at, restart_at = self.last_error_at, self.last_restart_at
        return (error_at is not None and now - error_at < _ERROR_MEMORY_S) or (
            restart_at is not None and now - restart_at < _RESTART_MEMORY_S
        )


class RestartPolicy:
    """How often a process that keeps dying is started again."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()

    def died(self, now: float) -> float | None:
        """Returns how long to wait before the next start, or None to give up."""
        self._deaths.append(now)
        while now - self._deaths[0] > RESTART_WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) > MAX_RESTARTS:
            return None
        return _BACK_OFF_S[len(self._deaths) - 1]


class Progress:
    """Whether the model is stuck on a frame."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._is_first = True
        self._usual_s = 0.0

    def began(self, now: float) -> None:
        self._since = now

    def finished(self, now: float) -> None:
        if self._since is not None and not self._is_first:
            self._usual_s = max(now - self._since, self._usual_s * 0.9)
        self._since = None
        self._is_first = False

    def renewed(self) -> None:
        """A new instance of a pipeline: nothing is known of how long it takes."""
        self.__init__()  # type: ignore[misc]  # it is exactly a new one

    def overdue_s(self, now: float) -> float | None:
        """Returns how long the model has been on its frame, if that is too long."""
        if self._since is None:
            return None
        limit_s = min(_FRAME_LIMIT_S, max(_FRAME_S, _FRAME_TURNS * self._usual_s))
        if self._is_first:
            limit_s = _FIRST_FRAME_S
        elapsed_s = now - self._since
        return elapsed_s if elapsed_s > limit_s else None
