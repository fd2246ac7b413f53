"""What each effect claims to show, checked by pixels."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from runners.pipelines.registry import load
from runners.sdk import Frame, Pipeline
from tests.unit.runners.pipelines.scene import FRAME_TICKS, Picture, Scene

WIDTH, HEIGHT = 160, 90
SCENE = Scene(WIDTH, HEIGHT)


def make(name: str, **params: Any) -> Pipeline:
    pipeline = load(name)
    return pipeline(pipeline.Params(**params))


def show(pipeline: Pipeline, pictures: Sequence[Picture], start: int = 0) -> Picture:
    """Returns what is shown after the last of `pictures`, which come at 30 fps."""
    assert pictures
    answer = None
    for seq, picture in enumerate(pictures, start):
        answer = pipeline.process(Frame(rgb=picture, pts=seq * FRAME_TICKS, seq=seq))
    assert answer is not None
    return answer.copy()


def flat(value: int = 0) -> Picture:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def lamp(x: int, *, y: int = HEIGHT // 2, radius: int = 5, on: int = 0) -> Picture:
    picture = flat(on)
    cv2.circle(picture, (x, y), radius, (255, 255, 255), -1)
    return picture


def passing_lamp(count: int = 20, **where: int) -> list[Picture]:
    return [lamp(20 + 6 * step, **where) for step in range(count)]


def textured(seed: int = 3) -> Picture:
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return cv2.normalize(  # type: ignore[return-value]
        cv2.GaussianBlur(noise, (0, 0), 2), np.empty(0), 0, 255, cv2.NORM_MINMAX
    )


def brightness(picture: Picture | None) -> float:
    assert picture is not None
    return float(picture.mean())


def sharpness(picture: Picture) -> float:
    return float(np.abs(cv2.Laplacian(picture, cv2.CV_32F)).mean())


def difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


def at(picture: Picture, x: int, y: int = HEIGHT // 2) -> list[int]:
    return [int(value) for value in picture[y, x]]


# trails


def test_moving_light_leaves_a_trail_that_is_fainter_further_back() -> None:
    shown = show(make("trails"), passing_lamp())
    here, near, far = (max(at(shown, 20 + 6 * step)) for step in (19, 12, 3))
    assert here == 255
    assert here > near > far > 20


def test_trail_of_ember_turns_red_as_it_fades() -> None:
    red, green, blue = at(show(make("trails", tint="ember"), passing_lamp()), 40)
    assert red > green > blue


def test_what_is_darker_than_the_threshold_leaves_no_trail() -> None:
    moving = [picture // 4 for picture in passing_lamp()]
    assert at(show(make("trails", threshold=100), moving), 40) == [0, 0, 0]
    assert max(at(show(make("trails", threshold=0), moving), 40)) > 0


@pytest.mark.parametrize("length", [0.05, 0.7, 5])
def test_trail_goes_out_to_the_last_glimmer(length: float) -> None:
    pipeline = make("trails", length=length)
    show(pipeline, passing_lamp())
    assert brightness(show(pipeline, [flat()] * 40 * int(1 + 8 * length), start=20)) == 0


def test_trail_loses_half_its_light_in_the_length_that_was_asked_for() -> None:
    pipeline = make("trails", length=1, tint="none", threshold=0)
    shown = show(pipeline, [flat(240), *[flat()] * 30])
    assert 110 < at(shown, 5)[0] < 130


def test_trail_is_as_long_at_half_the_frame_rate() -> None:
    left = []
    for ticks, count in ((FRAME_TICKS, 28), (2 * FRAME_TICKS, 14)):
        pipeline = make("trails", tint="none")
        show(pipeline, [flat(240)])
        frames = [Frame(flat(), pts=seq * ticks, seq=seq) for seq in range(1, count + 1)]
        left.append(brightness([pipeline.process(frame) for frame in frames][-1]))
    assert 50 < left[0] < 200
    assert left[0] == pytest.approx(left[1], abs=8)


# datamosh


def test_motion_smears_the_old_picture_instead_of_showing_the_new() -> None:
    moving = [np.roll(textured(), 2 * step, axis=1) for step in range(12)]
    shown = show(make("datamosh", refresh=0, blocks=0, strength=1), moving)
    middle = np.s_[20:70, 40:120]
    # Warped by the flow, the first picture follows the motion, though no later one came through.
    assert difference(shown[middle], moving[-1][middle]) < difference(
        shown[middle], moving[0][middle]
    )


def test_nothing_new_comes_through_where_nothing_moves() -> None:
    shown = show(make("datamosh", refresh=0), [textured(), *[flat(200)] * 3])
    assert difference(shown, flat(200)) > 30


def test_refresh_of_one_is_the_picture_itself() -> None:
    frames = [frame.rgb for frame in SCENE.frames(5)]
    assert difference(show(make("datamosh", refresh=1), frames), frames[-1]) < 1


def test_key_frame_makes_the_picture_whole() -> None:
    pipeline, frames = make("datamosh", keyframe=0.5), SCENE.frames(40)
    apart = [difference(show(pipeline, [f.rgb], start=f.seq), f.rgb) for f in frames]
    whole = [seq for seq, far in enumerate(apart) if far == 0]
    assert len(whole) == 3
    assert np.diff(whole).tolist() == pytest.approx([15, 15], abs=1)


# toon and ink


def test_toon_has_few_tones() -> None:
    ramp = np.broadcast_to(
        np.linspace(0, 255, WIDTH).astype(np.uint8)[None, :, None], (HEIGHT, WIDTH, 3)
    ).copy()
    row = show(make("toon", levels=4, line=0), [ramp])[HEIGHT // 2, :, 0]
    # Between tones there is a pixel or two of transition.
    tones, counts = np.unique(row, return_counts=True)
    assert len(tones[counts > 8]) == 4


def test_toon_draws_dark_lines_around_things() -> None:
    pipeline, plain = make("toon", line=1), make("toon", line=0)
    picture = lamp(80, radius=20, on=120)
    lined, unlined = show(pipeline, [picture]), show(plain, [picture])
    ring = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (80, 45), 21, 255, 2) > 0
    assert lined[ring].mean() < unlined[ring].mean() - 20
    assert difference(lined[~ring], unlined[~ring]) < 3


def test_ink_has_few_greys_on_warm_paper() -> None:
    shown = show(make("toon", style="ink", levels=3), [SCENE.picture(0)])
    _, counts = np.unique(shown[..., 1], return_counts=True)
    few = np.sort(counts)[::-1][:6].sum() / counts.sum()
    assert few > 0.75
    red, green, blue = shown.reshape(-1, 3)[shown.sum(-1).argmax()]
    assert red > green > blue > 200


def test_ink_hatches_what_is_dark() -> None:
    light, dark = (show(make("toon", style="ink"), [flat(value)]) for value in (220, 40))
    assert len(np.unique(light)) <= 3
    assert dark.min() < 40
    assert dark.max() > 100


# neon


def test_neon_is_dark_away_from_edges_and_bright_on_them() -> None:
    shown = show(make("neon", backdrop=0), [lamp(80, radius=25)])
    assert max(at(shown, 80)) < 12
    assert max(at(shown, 10, 10)) < 12
    assert shown[HEIGHT // 2, 100:110].max() > 200


def test_neon_glows_beside_the_tube() -> None:
    dim, bright = (
        show(make("neon", backdrop=0, glow=glow), [lamp(80, radius=25)]) for glow in (0, 1)
    )
    assert brightness(bright) > brightness(dim) * 1.5


def test_neon_in_the_pictures_own_colours_keeps_red_red() -> None:
    picture = flat()
    picture[:, 80:] = (200, 20, 20)
    shown = show(make("neon", palette="picture", backdrop=0), [picture])
    red, green, blue = shown.reshape(-1, 3).astype(float).mean(0)
    assert red > 1.2 * max(green, blue)


# background


def somebody_comes(count: int = 12) -> list[Picture]:
    room = SCENE.room()
    return [*[room] * 20, *(frame.rgb for frame in SCENE.frames(count))]


def test_background_is_blurred_and_who_moves_stays_sharp() -> None:
    frames = somebody_comes()
    shown = show(make("background"), frames)
    x, y = SCENE.head(11)
    head = np.s_[y - 5 : y + 8, x - 6 : x + 6]
    books = np.s_[12:34, 5:50]
    assert difference(shown[head], frames[-1][head]) < 4
    assert sharpness(shown[books]) < 0.4 * sharpness(frames[-1][books])


def test_background_is_painted_in_the_colour_asked_for() -> None:
    frames = somebody_comes()
    shown = show(make("background", mode="colour", colour="#1040f0"), frames)
    assert at(shown, 5, 60) == [0x10, 0x40, 0xF0]
    x, y = SCENE.head(11)
    assert difference(shown[y, x : x + 1], frames[-1][y, x : x + 1]) < 8


def test_who_moves_is_invisible_and_the_room_behind_is_seen() -> None:
    frames = somebody_comes()
    shown = show(make("background", mode="invisible"), frames)
    assert difference(frames[-1], SCENE.room()) > 8
    assert difference(shown, SCENE.room()) < 2


def test_frozen_background_never_learns_what_stands_still() -> None:
    frames = [*somebody_comes(1), *[SCENE.picture(0)] * 60]
    x, y = SCENE.head(0)
    spot = np.s_[y - 3 : y + 3, x - 3 : x + 3]
    seen = []
    for frozen in (True, False):
        pipeline = make("background", mode="invisible", learning=1)
        show(pipeline, frames[:20])
        params = {"mode": "invisible", "learning": 1, "freeze": frozen}
        pipeline.update(load("background").Params(**params))
        seen.append(difference(show(pipeline, frames[20:], 20)[spot], SCENE.room()[spot]))
    assert seen[0] < 3
    assert seen[1] > 20


# flow, fluid, heat


@pytest.mark.parametrize("name", ["flow", "fluid", "heat"])
def test_only_what_moves_is_painted(name: str) -> None:
    pipeline = make(name, backdrop=0)
    moved = show(pipeline, [textured(), np.roll(textured(), 3, axis=1)])
    assert brightness(moved) > 15
    still = show(make(name, backdrop=0), [textured()] * 10)
    # Cold is black; so is a dry sheet, and a clear liquid.
    assert brightness(still) == 0


@pytest.mark.parametrize("name", ["flow", "heat"])
def test_paint_fades_to_nothing_when_motion_stops(name: str) -> None:
    pipeline = make(name, backdrop=0)
    show(pipeline, [np.roll(textured(), 3 * step, axis=1) for step in range(4)])
    assert brightness(show(pipeline, [textured()] * 300, start=4)) == 0


def test_flow_has_another_colour_for_another_direction() -> None:
    strongest = []
    for step in (3, -3):
        moving = [np.roll(textured(), step * n, axis=1) for n in range(5)]
        painted = show(make("flow", backdrop=0), moving)
        strongest.append(int(painted.sum((0, 1), dtype=int).argmax()))
    assert strongest[0] != strongest[1]


def test_ink_goes_on_drifting_after_the_motion_has_stopped() -> None:
    pipeline = make("fluid", backdrop=0, dissolve=10)
    still = passing_lamp(12)[-1]
    poured = show(pipeline, passing_lamp(12))
    settled = show(pipeline, [still] * 10, start=12)
    assert brightness(settled) > 0.5 * brightness(poured)
    assert difference(settled, poured) > 1


def test_black_ink_darkens_a_bright_sheet() -> None:
    sheet = show(make("fluid", ink="black"), [textured()] * 3)
    inked = show(make("fluid", ink="black"), [np.roll(textured(), 3 * n, axis=1) for n in range(4)])
    assert brightness(inked) < brightness(sheet) - 30


# slitscan


def test_bottom_of_the_picture_shows_the_past_and_the_top_the_present() -> None:
    shown = show(make("slitscan", depth=20), [flat(10 * step) for step in range(25)])
    assert at(shown, 0, 0)[0] > 230
    assert 35 <= at(shown, 0, HEIGHT - 1)[0] <= 60
    column = shown[:, 0, 0].astype(int)
    assert (np.diff(column) <= 0).all()


def test_slitscan_memory_is_bounded_for_any_size() -> None:
    pipeline = make("slitscan")
    large = np.zeros((2160, 3840, 3), np.uint8)
    for seq in range(3):
        pipeline.process(Frame(large, pts=seq * FRAME_TICKS, seq=seq))
    ring = pipeline._ring  # type: ignore[attr-defined]
    assert max(picture.nbytes for picture in ring) <= 1280 * 720 * 3
    small = make("slitscan")
    show(small, [flat(step) for step in range(120)])
    assert len(small._ring) == 48  # type: ignore[attr-defined]


# feedback


def test_feedback_carries_a_light_outwards() -> None:
    pipeline = make("feedback", spin=0, hue=0, zoom=1.1)
    lit = lamp(WIDTH // 2 + 46, radius=6)  # where the window lets go of it
    edge = np.s_[:, WIDTH - 25 :]
    first = show(pipeline, [lit])[edge]
    assert brightness(show(pipeline, [lit] * 10, start=1)[edge]) > 3 * brightness(first)


def test_feedback_leaves_the_middle_as_it_comes() -> None:
    frames = [frame.rgb for frame in SCENE.frames(20)]
    middle = np.s_[40:50, 75:85]
    assert difference(show(make("feedback"), frames)[middle], frames[-1][middle]) < 2


def test_feedback_never_runs_away_to_white() -> None:
    shown = show(make("feedback", amount=1, zoom=1), [flat(100)] * 200)
    assert 80 < brightness(shown) < 120


# kaleidoscope


def test_kaleidoscope_is_the_same_on_both_sides() -> None:
    shown = show(make("kaleidoscope", mirrors=6, spin=0), [SCENE.picture(0)])
    assert difference(shown, shown[::-1]) < 2
    assert difference(shown, shown[:, ::-1]) < 2


def test_kaleidoscope_turns_with_time_and_stands_when_spin_is_nought() -> None:
    for spin, moved in ((0, 0.0), (45, 3.0)):
        pipeline = make("kaleidoscope", spin=spin)
        first = show(pipeline, [SCENE.room()])
        later = show(pipeline, [SCENE.room()] * 10, start=1)
        assert (difference(first, later) > 3) == (moved > 0)


# ascii and dither


def test_ascii_is_black_where_the_picture_is_and_lettered_where_it_is_bright() -> None:
    picture = flat()
    picture[:, 80:] = 230
    shown = show(make("ascii", paper=0), [picture])
    assert brightness(shown[:, :72]) == 0
    letters = shown[:, 88:]
    assert letters.max() > 200
    assert letters.min() < 30


def test_brighter_cells_have_more_ink() -> None:
    ink = [
        brightness(show(make("ascii", ink="white", letters=letters), [flat(level)]))
        for letters in ("classic", "words", "blocks")
        for level in (40, 120, 220)
    ]
    assert ink[0] < ink[1] < ink[2]
    assert ink[3] < ink[4] < ink[5]
    assert ink[6] < ink[7] < ink[8]


@pytest.mark.parametrize(("palette", "count"), [("newsprint", 2), ("pocket", 4), ("arcade", 16)])
def test_dither_uses_its_palette_and_no_other_colour(palette: str, count: int) -> None:
    shown = show(make("dither", palette=palette), [textured()])
    colours = np.unique(shown.reshape(-1, 3), axis=0)
    assert 2 <= len(colours) <= count


def test_dither_mixes_two_colours_into_a_shade_between() -> None:
    for grey in (60, 110, 160):
        pipeline = make("dither", palette="newsprint", pattern=1, pixel=2)
        white = (show(pipeline, [flat(grey)])[..., 1] > 128).mean()
        assert 0 < white < 1


def test_dither_has_square_pixels_of_the_size_asked_for() -> None:
    shown = show(make("dither", pixel=10), [textured()])
    blocks = shown.reshape(9, 10, 16, 10, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


# dream


def test_same_seed_and_words_dream_the_same() -> None:
    one = show(make("dream", words="Deep  Sea "), [SCENE.picture(0)])
    other = show(make("dream", words="deep sea"), [SCENE.picture(0)])
    assert np.array_equal(one, other)


@pytest.mark.parametrize("change", [{"seed": 8}, {"words": "garden"}])
def test_another_seed_or_other_words_dream_something_else(change: dict[str, Any]) -> None:
    usual, changed = (
        show(make("dream", **params), [SCENE.picture(0)]) for params in ({"seed": 7}, change)
    )
    assert difference(usual, changed) > 10


def test_dream_flows_on_over_a_still_picture_unless_its_speed_is_nought() -> None:
    for speed, flows in ((1.0, True), (0.0, False)):
        pipeline = make("dream", speed=speed)
        first = show(pipeline, [SCENE.room()])
        later = show(pipeline, [SCENE.room()] * 30, start=1)
        assert (difference(first, later) > 2) == flows


@pytest.mark.parametrize("seed", range(8))
def test_no_dream_is_a_plain_colour(seed: int) -> None:
    assert show(make("dream", seed=seed), [SCENE.picture(0)]).std() > 25


# soft


def test_soft_takes_grain_away_and_keeps_edges() -> None:
    grain = np.random.default_rng(1).normal(0, 6, (HEIGHT, WIDTH, 3))
    step = np.where(np.arange(WIDTH)[None, :, None] < 80, 60, 190)
    picture = np.clip(step + grain, 0, 255).astype(np.uint8)
    shown = show(make("soft", light=0, warmth=0, glow=0, smooth=1), [picture])
    assert shown[:, 10:60].std() < 0.4 * picture[:, 10:60].std()
    edge = shown[:, 82:84].mean() - shown[:, 76:78].mean()
    assert edge > 110


def test_warmth_moves_grey_towards_red() -> None:
    warm, cold = (at(show(make("soft", warmth=w), [flat(128)]), 80) for w in (1, -1))
    assert warm[0] > warm[2]
    assert cold[0] < cold[2]
