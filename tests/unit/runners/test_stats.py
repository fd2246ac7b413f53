import pytest

from runners.stats import Rate, Samples


def test_percentiles_are_of_the_last_samples() -> None:
    samples = Samples()
    for value in [9.0] * 1000 + [0.001 * n for n in range(300)]:
        samples.add(value)
    assert samples.in_ms() == {"p50": 150.0, "p95": 285.0}


def test_without_samples_there_is_no_percentile() -> None:
    assert Samples().in_ms() == {"p50": None, "p95": None}


@pytest.mark.parametrize("fps", [1, 5, 30])
def test_a_rate_is_what_it_was_lately(fps: int) -> None:
    rate = Rate()
    for number in range(10 * fps):
        rate.tick(number / fps)
    assert rate.per_s(10.0) == pytest.approx(fps)


def test_what_stopped_has_no_rate_but_keeps_its_count() -> None:
    rate = Rate()
    for number in range(30):
        rate.tick(number / 30)
    assert rate.per_s(60.0) == 0
    assert rate.count == 30
