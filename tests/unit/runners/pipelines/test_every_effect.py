"""What holds for each pipeline that ships, whatever it draws."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from runners.pipelines.registry import BUILT_IN, load
from runners.sdk import Frame, Pipeline
from tests.unit.runners.pipelines.scene import FRAME_TICKS, Picture, Scene

EFFECTS = [name for name in BUILT_IN if name != "passthrough"]

SIZES = [(160, 90), (16, 16), (161, 91), (33, 17), (90, 160), (2, 2), (700, 20), (160, 90)]

# A parameter that only matters together with another.
TOGETHER: dict[str, dict[str, Any]] = {
    "background.colour": {"mode": "colour"},
    "background.sensitivity": {"mode": "colour"},
    "background.learning": {"mode": "colour"},
}

# One that the ends of its range do not tell, since it takes time to matter or has no range.
TELLING: dict[str, list[Any]] = {
    "background.colour": ["#ff00ff"],
    "background.learning": [1.0],
    "datamosh.keyframe": [0.5],
    "dream.words": ["a garden at night"],
}


@cache
def clip() -> tuple[Frame, ...]:
    """An empty room, and then somebody in it."""
    scene = Scene(160, 90)
    room = scene.room()
    empty = [Frame(rgb=room, pts=seq * FRAME_TICKS, seq=seq) for seq in range(15)]
    return (*empty, *scene.frames(30, start=15))


def shown(pipeline: Pipeline, frames: Iterable[Frame]) -> Iterator[Picture]:
    for frame in frames:
        picture = pipeline.process(frame)
        assert picture is not None
        yield picture.copy()  # the pipeline may change what it returned


def make(name: str, **params: Any) -> Pipeline:
    pipeline = load(name)
    return pipeline(pipeline.Params(**params))


def last(name: str, **params: Any) -> Picture:
    *_, picture = shown(make(name, **params), clip())
    return picture


@cache
def last_by_default(name: str) -> Picture:
    return last(name)


def difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


def telling_values(name: str, field: str) -> list[Any]:
    """Returns other values than the default, such that one of them should be seen."""
    if told := TELLING.get(f"{name}.{field}"):
        return told
    schema = load(name).Params.model_json_schema()["properties"][field]
    values = schema.get("enum") or [True, False]
    if "minimum" in schema:
        values = [schema["minimum"], schema["maximum"]]
    return [value for value in values if value != schema["default"]]


def fields(*kinds: str) -> list[tuple[str, str]]:
    return [
        (name, field)
        for name in EFFECTS
        for field, schema in load(name).Params.model_json_schema()["properties"].items()
        if not kinds or schema["type"] in kinds
    ]


@pytest.mark.parametrize("name", BUILT_IN)
def test_picture_is_uint8_rgb_of_the_size_that_came(name: str) -> None:
    for picture in shown(make(name), clip()):
        assert picture.shape == (90, 160, 3)
        assert picture.dtype == np.uint8


@pytest.mark.parametrize("name", EFFECTS)
def test_effect_is_clearly_seen(name: str) -> None:
    assert difference(last_by_default(name), clip()[-1].rgb) > 4


def test_passthrough_returns_the_very_picture() -> None:
    frame = clip()[0]
    assert make("passthrough").process(frame) is frame.rgb


@pytest.mark.parametrize("name", EFFECTS)
def test_same_frames_give_the_same_pictures(name: str) -> None:
    first, second = (list(shown(make(name), clip())) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("name", EFFECTS)
def test_frame_is_neither_changed_nor_kept(name: str) -> None:
    pipeline, expected = make(name), list(shown(make(name), clip()))
    ring = np.empty((90, 160, 3), np.uint8)  # one slot, used again for every frame
    for frame, picture in zip(clip(), expected, strict=True):
        ring[:] = frame.rgb
        given = ring.view()
        given.setflags(write=False)
        answer = pipeline.process(Frame(rgb=given, pts=frame.pts, seq=frame.seq))
        assert answer is not None
        assert not np.shares_memory(answer, ring)
        assert np.array_equal(answer, picture)
        assert np.array_equal(ring, frame.rgb)
        ring[:] = 0


@pytest.mark.parametrize("name", EFFECTS)
def test_size_may_change_in_mid_stream(name: str) -> None:
    pipeline = make(name)
    for number, (width, height) in enumerate(SIZES):
        frames = Scene(width, height).frames(4, start=number * 4)
        for picture in shown(pipeline, frames):
            assert picture.shape == (height, width, 3)


@pytest.mark.parametrize("name", EFFECTS)
def test_nothing_of_another_size_is_remembered(name: str) -> None:
    pipeline = make(name)
    list(shown(pipeline, Scene(64, 48).frames(5)))
    after = list(shown(pipeline, Scene(160, 90).frames(3)))
    fresh = list(shown(make(name), Scene(160, 90).frames(3)))
    assert all(np.array_equal(one, other) for one, other in zip(after, fresh, strict=True))


@pytest.mark.parametrize(("name", "field"), fields())
def test_every_parameter_changes_the_picture(name: str, field: str) -> None:
    together = TOGETHER.get(f"{name}.{field}", {})
    usual = last(name, **together) if together else last_by_default(name)
    values = telling_values(name, field)
    assert max(difference(last(name, **together, **{field: v}), usual) for v in values) > 0.1


@pytest.mark.parametrize(("name", "field"), fields())
def test_parameter_may_be_turned_while_it_runs(name: str, field: str) -> None:
    pipeline = make(name)
    frames = iter(clip())
    for value in telling_values(name, field):
        list(shown(pipeline, [next(frames), next(frames)]))
        pipeline.update(load(name).Params(**{field: value}))
        for picture in shown(pipeline, [next(frames), next(frames)]):
            assert picture.shape == (90, 160, 3)


@pytest.mark.parametrize("name", EFFECTS)
def test_update_to_other_parameters_and_back_shows_the_effect_again(name: str) -> None:
    pipeline, usual = make(name), load(name).Params()
    field = next(iter(load(name).Params.model_fields))
    pipeline.update(load(name).Params(**{field: telling_values(name, field)[0]}))
    pipeline.update(usual)
    pictures = list(shown(pipeline, clip()))
    assert np.array_equal(pictures[-1], last_by_default(name))


@pytest.mark.parametrize("name", EFFECTS)
def test_pause_or_a_clock_that_starts_again_does_not_upset_it(name: str) -> None:
    pipeline = make(name)
    stamps = [0, 3000, 90_000 * 3600, 3000, 3000, 0, 6000]
    for frame, pts in zip(clip(), stamps, strict=False):
        answer = pipeline.process(Frame(rgb=frame.rgb, pts=pts, seq=frame.seq))
        assert answer is not None
        assert answer.shape == (90, 160, 3)


@pytest.mark.parametrize(("name", "field"), fields("number", "integer"))
def test_parameter_out_of_range_is_refused(name: str, field: str) -> None:
    schema = load(name).Params.model_json_schema()["properties"][field]
    for value in (schema["minimum"] - 1, schema["maximum"] + 1, "much", None):
        with pytest.raises(ValidationError, match=field):
            load(name).Params(**{field: value})


@pytest.mark.parametrize(("name", "field"), fields("string", "boolean"))
def test_parameter_of_another_kind_is_refused(name: str, field: str) -> None:
    for value in (["red"], None, "#nonsense" * 30):
        with pytest.raises(ValidationError, match=field):
            load(name).Params(**{field: value})


@pytest.mark.parametrize("name", BUILT_IN)
def test_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="nonsense"):
        load(name).Params.model_validate({"nonsense": 1})
