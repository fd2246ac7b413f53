import pytest

from runners.live.settings import Settings
from runners.messages import Open, Opened, Refused, Update


@pytest.fixture
def settings() -> Settings:
    """Settings whose first epoch the model has confirmed."""
    made = Settings("toon", {"levels": 5})
    assert made.open() == Open("toon", {"levels": 5}, 1)
    assert made.opened(Opened(1, "toon", {"levels": 5, "ink": 1})) is None
    return made


def test_a_change_is_sent_and_holds_when_confirmed(settings: Settings) -> None:
    assert settings.change({"levels": 7}) == Update(None, {"levels": 7}, 2)
    assert settings.params["levels"] == 5
    settings.opened(Opened(2, "toon", {"levels": 7, "ink": 1}))
    assert settings.params == {"levels": 7, "ink": 1}


def test_changes_that_come_faster_than_answers_become_one(settings: Settings) -> None:
    settings.change({"levels": 6})
    assert settings.change({"levels": 7}) is None
    assert settings.change({"ink": 2}) is None
    assert settings.change({"levels": 8}) is None
    following = settings.opened(Opened(2, "toon", {}))
    assert following == Update(None, {"levels": 8, "ink": 2}, 3)


def test_a_switch_drops_the_changes_that_were_for_the_pipeline_before(settings: Settings) -> None:
    settings.change({"levels": 6})
    settings.change({"levels": 7})
    settings.change({"model_id": "neon", "glow": 3})
    settings.change({"model_id": "neon", "hue": 1})
    following = settings.opened(Opened(2, "toon", {}))
    assert following == Update("neon", {"glow": 3, "hue": 1}, 3)


def test_a_refused_change_leaves_what_was(settings: Settings) -> None:
    settings.change({"levels": 999})
    assert settings.refused(Refused(2, "bad_parameters", "levels: too many")) is None
    assert settings.params == {"levels": 5, "ink": 1}
    assert settings.change({"levels": 4}) == Update(None, {"levels": 4}, 3)


def test_a_refused_beginning_is_tried_again_with_the_defaults() -> None:
    settings = Settings("toon", {"levels": 999})
    settings.open()
    assert settings.refused(Refused(1, "bad_parameters", "no")) == Open("toon", {}, 2)
    assert settings.refused(Refused(2, "runner_failed", "no")) is None


def test_answers_of_an_earlier_process_mean_nothing(settings: Settings) -> None:
    settings.change({"levels": 6})
    settings.open()
    assert settings.opened(Opened(2, "toon", {"levels": 6})) is None
    assert settings.params == {"levels": 5, "ink": 1}


def test_after_a_crash_the_last_settings_that_made_a_picture_hold_again(
    settings: Settings,
) -> None:
    settings.proved(1)
    settings.change({"levels": 2})
    settings.opened(Opened(2, "toon", {"levels": 2, "ink": 1}))
    assert settings.open() == Open("toon", {"levels": 5, "ink": 1}, 3)


def test_after_a_crash_settings_that_did_make_a_picture_stay(settings: Settings) -> None:
    settings.change({"model_id": "neon"})
    settings.opened(Opened(2, "neon", {"glow": 1}))
    settings.proved(2)
    assert settings.open() == Open("neon", {"glow": 1}, 3)
