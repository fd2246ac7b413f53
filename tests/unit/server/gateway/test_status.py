"""One state, judged from facts, and a sentence for it."""

import pytest

from server.errors import NoOrchestrator
from server.gateway.status import Facts, Problem, State, sentence, state_of

PROBLEM = Problem.of(NoOrchestrator("nobody took it"))


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (Facts(publishing=False), State.WAITING),
        (Facts(publishing=False, ended=True), State.ENDED),
        (Facts(publishing=True, job_running=True), State.STARTING),
        (Facts(publishing=True, job_running=True, result_age_s=0.1), State.LIVE),
        (
            Facts(publishing=True, job_running=True, result_age_s=0.1, keeps_up=False),
            State.DEGRADED,
        ),
        (Facts(publishing=True, job_running=True, result_age_s=5.0), State.RESTARTING),
        (
            Facts(publishing=True, job_running=True, result_age_s=0.1, runner_restarting=True),
            State.RESTARTING,
        ),
        (Facts(publishing=True, result_age_s=0.5, problem=PROBLEM), State.RESTARTING),
        (Facts(publishing=True, result_age_s=15.0, problem=PROBLEM), State.FAILED),
        (Facts(publishing=True, job_running=True, result_age_s=15.0), State.RESTARTING),
        (Facts(publishing=True, problem=PROBLEM), State.FAILED),
        (Facts(publishing=True, result_age_s=1.0), State.RESTARTING),
    ],
)
def test_facts_decide_the_state(facts: Facts, state: State) -> None:
    assert state_of(facts) is state


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_sentence(state: State) -> None:
    said = sentence(state, pipeline="toon", runner="runner-1", problem=PROBLEM)
    assert said.endswith(".")


def test_a_failure_says_why_and_what_to_do() -> None:
    said = sentence(State.FAILED, pipeline="toon", runner=None, problem=PROBLEM)
    assert "nobody took it" in said
    assert NoOrchestrator.remedy in said
