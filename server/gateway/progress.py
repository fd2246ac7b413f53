"""How a stream's work goes, told by its jobs one after another. Pure.

A room feeds it what happens; a report is made from its facts.
"""

from collections.abc import Mapping
from typing import Any, Final

from server.errors import NodeError
from server.gateway.status import KEEPS_UP_SHARE, Facts, Problem

# Rates are measured over two seconds; before that they say nothing about keeping up.
SETTLE_S: Final = 3.0

# What an ai-runner calls itself while no model of its own makes pictures.
RESTARTING: Final = ("LOADING", "ERROR", "OFFLINE")

# An error's text comes from a runner, perhaps a stranger's.
MESSAGE_MAX: Final = 500


class Progress:
    """What is known of one stream's work.

    Attributes:
        problem: What went wrong last, until results come again.
        runner_state: The runner's own word for itself.
        restarts: How often it says that its model was restarted.
        dropped: Pictures it says it dropped.
    """

    def __init__(self) -> None:
        self.problem: Problem | None = None
        self.runner_state: str | None = None
        self.restarts = 0
        self.dropped = 0
        self._jobs_in_vain = 0
        self._result_at: float | None = None
        self._flowing_since = float("-inf")

    def job_began(self) -> None:
        self.runner_state = None

    def job_ended(self) -> None:
        self._jobs_in_vain += 1

    def failed(self, error: NodeError) -> None:
        self.problem = Problem.of(error)

    def event(self, event: Mapping[str, Any]) -> bool:
        """Takes a runner's event, and says whether it is worth a report at once."""
        match event.get("type"):
            case "status":
                self.runner_state = str(event.get("state"))
            case "restart":
                self.restarts = _count(event.get("restart_count"))
                self.runner_state = "LOADING"
            case "error":
                self.problem = Problem(
                    "pipeline_error",
                    str(event.get("message", "the pipeline failed"))[:MESSAGE_MAX],
                    "Check the parameters, or choose another effect.",
                )
            case "stats":
                self.dropped = _count(event.get("dropped"))
                return False  # they come every second, as reports do anyway
            case _:
                return False
        return True

    def result(self, now: float) -> bool:
        """A result has come; True when it is the first, or the first after a failure."""
        is_first = self._result_at is None or self._jobs_in_vain > 0
        self._result_at = now
        if is_first:
            self._jobs_in_vain, self.problem, self._flowing_since = 0, None, now
        return is_first

    def facts(
        self,
        now: float,
        *,
        publishing: bool,
        ended: bool,
        job_running: bool,
        given_fps: float,
        made_fps: float,
    ) -> Facts:
        settled = now - self._flowing_since >= SETTLE_S
        return Facts(
            publishing=publishing,
            ended=ended,
            job_running=job_running,
            result_age_s=None if self._result_at is None else now - self._result_at,
            keeps_up=not settled or made_fps >= KEEPS_UP_SHARE * given_fps,
            runner_restarting=self.runner_state in RESTARTING and not self._jobs_in_vain,
            problem=self.problem,
        )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
