import pytest

from runners.health import (
    LOAD_LIMIT_S,
    Health,
    Progress,
    RestartPolicy,
    RunnerStatus,
    State,
    runner_status,
)


@pytest.fixture
def live() -> Health:
    """A runner whose stream began at 10 s and is fluent until 12 s."""
    health = Health(0.0)
    health.model_ready()
    health.stream_began(10.0)
    flow(health, 10.0, 12.0)
    return health


def flow(
    health: Health, start: float, end: float, *, fps: float = 30, effect_s: float = 0.01
) -> None:
    frames = round((end - start) * fps)
    for number in range(frames):
        now = start + number / fps
        health.input(now)
        health.output(now, effect_s=effect_s)


def test_loads_then_waits_for_a_stream() -> None:
    health = Health(0.0)
    assert health.state(1.0) is State.LOADING
    health.model_ready()
    assert health.state(2.0) is State.OFFLINE


def test_loading_for_ever_is_an_error() -> None:
    health = Health(0.0)
    assert health.state(LOAD_LIMIT_S + 1) is State.ERROR


def test_is_online_while_frames_go_through(live: Health) -> None:
    assert live.state(12.0) is State.ONLINE


@pytest.mark.parametrize("fps", [1, 5, 8])
def test_a_slow_camera_is_not_a_degraded_input(live: Health, fps: float) -> None:
    flow(live, 12.0, 60.0, fps=fps)
    assert live.state(60.0) is State.ONLINE


def test_an_effect_of_two_seconds_per_frame_is_not_degraded_while_it_goes_on(live: Health) -> None:
    for second in range(12, 40):
        live.input(float(second))
        if second % 2 == 0:
            live.output(float(second), effect_s=2.0)
        assert live.state(second + 0.9) is State.ONLINE


def test_input_that_stops_degrades_the_input_and_ends_the_stream_in_time(live: Health) -> None:
    assert live.state(15.0) is State.DEGRADED_INPUT
    assert not live.input_gone(60.0)
    assert live.input_gone(73.0)


def test_output_that_stops_while_input_goes_on_degrades_inference(live: Health) -> None:
    for tenth in range(120, 150):
        live.input(tenth / 10)
    assert live.state(14.95) is State.DEGRADED_INFERENCE


def test_an_error_is_remembered_for_fifteen_seconds(live: Health) -> None:
    live.error("boom", 12.0)
    flow(live, 12.0, 26.0)
    assert live.state(26.0) is State.DEGRADED_INFERENCE
    flow(live, 26.0, 28.0)
    assert live.state(28.0) is State.ONLINE


def test_a_restart_under_a_stream_is_degraded_not_loading(live: Health) -> None:
    live.model_lost("killed by SIGKILL", 12.0)
    assert live.state(12.1) is State.DEGRADED_INFERENCE
    assert live.restarts == 1


def test_many_late_frames_degrade_inference_and_superseded_ones_do_not(live: Health) -> None:
    for _ in range(30):
        live.late()
    assert live.state(12.0) is State.DEGRADED_INFERENCE
    flow(live, 12.0, 16.0)
    assert live.state(16.0) is State.ONLINE


def test_giving_up_is_for_good(live: Health) -> None:
    live.gave_up("three crashes", 12.0)
    live.model_ready()
    live.stream_ended()
    assert live.state(500.0) is State.ERROR
    assert live.failure == "three crashes"


def test_a_stream_that_ended_leaves_the_runner_idle(live: Health) -> None:
    live.stream_ended()
    assert runner_status(live.state(12.0)) is RunnerStatus.IDLE


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.LOADING, RunnerStatus.LOADING),
        (State.ERROR, RunnerStatus.ERROR),
        (State.DEGRADED_INPUT, RunnerStatus.OK),
        (State.ONLINE, RunnerStatus.OK),
    ],
)
def test_health_speaks_ai_runners_words(state: State, status: RunnerStatus) -> None:
    assert runner_status(state) is status


def test_restarts_back_off_and_the_fourth_death_in_two_minutes_is_the_last() -> None:
    policy = RestartPolicy()
    delays = [policy.died(at) for at in (0.0, 10.0, 20.0, 30.0)]
    assert delays == [0.0, 0.5, 1.5, None]


def test_deaths_long_ago_are_forgiven() -> None:
    policy = RestartPolicy()
    assert [policy.died(at * 100.0) for at in range(10)] == [0.0] + [0.5] * 9


def test_a_first_frame_may_take_long_and_a_later_one_may_not() -> None:
    progress = Progress()
    progress.began(0.0)
    assert progress.overdue_s(20.0) is None
    assert progress.overdue_s(31.0) == 31.0
    progress.finished(20.0)
    progress.began(21.0)
    assert progress.overdue_s(23.0) is None
    assert progress.overdue_s(24.0) == 3.0


def test_a_slow_effect_is_given_ten_of_its_own_turns() -> None:
    progress = Progress()
    for turn in range(5):
        progress.began(turn * 2.0)
        progress.finished(turn * 2.0 + 1.0)
    progress.began(20.0)
    assert progress.overdue_s(29.0) is None
    assert progress.overdue_s(31.0) == 11.0


def test_an_idle_model_is_never_overdue() -> None:
    assert Progress().overdue_s(1e9) is None
