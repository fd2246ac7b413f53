"""What jobs tell becomes what is reported."""

import pytest

from server.errors import NoRunnerFree
from server.gateway.progress import MESSAGE_MAX, SETTLE_S, Progress
from server.gateway.status import Facts, State, state_of


def facts(
    progress: Progress, now: float, *, job_running: bool = True, made_fps: float = 30.0
) -> Facts:
    return progress.facts(
        now,
        publishing=True,
        ended=False,
        job_running=job_running,
        given_fps=30.0,
        made_fps=made_fps,
    )


@pytest.fixture
def live() -> Progress:
    """A stream whose first result came at time 1."""
    progress = Progress()
    progress.job_began()
    progress.result(1.0)
    return progress


def test_the_first_result_is_news_and_the_next_is_not() -> None:
    progress = Progress()
    assert progress.result(1.0)
    assert not progress.result(1.03)
    assert state_of(facts(progress, 1.1)) is State.LIVE


def test_rates_are_not_judged_before_they_mean_anything(live: Progress) -> None:
    live.result(1.0 + SETTLE_S - 0.1)
    assert state_of(facts(live, 1.0 + SETTLE_S - 0.1, made_fps=1.0)) is State.LIVE
    live.result(1.0 + SETTLE_S)
    assert state_of(facts(live, 1.0 + SETTLE_S, made_fps=1.0)) is State.DEGRADED


def test_a_model_that_restarts_is_told_until_its_runner_says_it_is_back(live: Progress) -> None:
    assert live.event({"type": "restart", "restart_count": 1})
    assert state_of(facts(live, 1.1)) is State.RESTARTING
    assert live.restarts == 1
    live.event({"type": "status", "state": "ONLINE"})
    assert state_of(facts(live, 1.1)) is State.LIVE


def test_a_job_that_failed_is_forgotten_at_the_next_result(live: Progress) -> None:
    live.job_ended()
    live.failed(NoRunnerFree("all busy"))
    assert state_of(facts(live, 1.5, job_running=False)) is State.RESTARTING
    assert state_of(facts(live, 20.0, job_running=False)) is State.FAILED
    live.job_began()
    assert live.result(21.0)
    assert live.problem is None
    assert state_of(facts(live, 21.0)) is State.LIVE


def test_counts_come_every_second_and_are_no_news(live: Progress) -> None:
    assert not live.event({"type": "stats", "dropped": 12})
    assert live.dropped == 12


@pytest.mark.parametrize("dropped", ["many", None, -1, 1.5, {}])
def test_a_runners_nonsense_counts_as_nothing(live: Progress, dropped: object) -> None:
    live.event({"type": "stats", "dropped": dropped})
    assert live.dropped == 0


def test_a_runners_error_is_passed_on_but_not_at_any_length(live: Progress) -> None:
    assert live.event({"type": "error", "message": "x" * 10_000})
    assert live.problem is not None
    assert len(live.problem.message) == MESSAGE_MAX


def test_an_event_of_another_kind_is_no_news(live: Progress) -> None:
    assert not live.event({"type": "runner_send_first_processed_segment"})
    assert not live.event({})
