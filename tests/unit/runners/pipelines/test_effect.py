import numpy as np
import pytest

from runners.pipelines import palettes
from runners.pipelines.effect import Effect, decay, reduced, shrink
from runners.pipelines.motion import Motion, stretch
from runners.sdk import BaseParams, Frame, Picture
from tests.unit.runners.pipelines.scene import Scene


class Diary(Effect):
    """Writes down what it is asked."""

    name = "diary"
    title = "Diary"

    def __init__(self, params: BaseParams) -> None:
        super().__init__(params)
        self.asked: list[str] = []
        self.elapsed: list[float] = []

    def resize(self) -> None:
        self.asked.append(f"resize {self.width}x{self.height}")

    def tune(self) -> None:
        self.asked.append("tune")

    def draw(self, rgb: Picture) -> Picture:
        self.asked.append("draw")
        self.elapsed.append(round(self.elapsed_s, 4))
        return rgb


def frame(width: int = 8, height: int = 4, pts: int = 0) -> Frame:
    return Frame(rgb=np.zeros((height, width, 3), np.uint8), pts=pts, seq=0)


def test_effect_is_sized_then_tuned_then_drawn_and_each_only_as_needed() -> None:
    diary = Diary(BaseParams())
    diary.process(frame())
    diary.process(frame())
    assert diary.asked == ["resize 8x4", "tune", "draw", "draw"]


def test_effect_is_tuned_again_for_new_parameters_and_for_a_new_size() -> None:
    diary = Diary(BaseParams())
    diary.process(frame())
    diary.update(BaseParams())
    diary.process(frame())
    diary.process(frame(4, 8))
    assert diary.asked[3:] == ["tune", "draw", "resize 4x8", "tune", "draw"]


def test_parameters_before_the_first_frame_wait_until_the_size_is_known() -> None:
    diary = Diary(BaseParams())
    diary.update(BaseParams())
    assert diary.asked == []


def test_elapsed_time_is_that_of_the_stamps_within_reason() -> None:
    diary = Diary(BaseParams())
    for pts in (90_000, 94_500, 94_500, 900_000_000, 0, 3000):
        diary.process(frame(pts=pts))
    nominal, longest = 0.0333, 0.25
    assert diary.elapsed == [nominal, 0.05, nominal, longest, nominal, 0.0333]


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((1280, 720), 640, (640, 360)),
        ((1280, 720), 320, (320, 180)),
        ((1920, 1080), 640, (640, 360)),
        ((854, 480), 640, (427, 240)),
        ((720, 1280), 640, (360, 640)),
        ((16, 16), 320, (16, 16)),
        ((4000, 2), 320, (307, 1)),
    ],
)
def test_work_is_done_at_a_whole_fraction_of_the_size(
    size: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    assert reduced(*size, longest) == expected


def test_shrinking_keeps_the_brightness_and_leaves_the_right_size_alone() -> None:
    picture = Scene(64, 32).picture(0)
    small = shrink(picture, (16, 8))
    assert small.shape == (8, 16, 3)
    assert abs(float(small.mean()) - float(picture.mean())) < 1
    assert shrink(picture, (64, 32)) is picture


def test_half_is_left_after_a_half_life() -> None:
    assert decay(2.0, 2.0) == 0.5
    assert decay(4.0, 2.0) == 0.25


def test_flow_points_back_to_where_things_were() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (45, 80, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(noise, 4, axis=0), 4, axis=1)
    motion = Motion(320, 180)
    assert not motion.follow(picture).any()
    assert not motion.changed.any()
    flow = motion.follow(np.roll(picture, 3, axis=1))
    assert np.median(flow[..., 0]) == pytest.approx(-3, abs=0.5)
    assert np.median(flow[..., 1]) == pytest.approx(0, abs=0.5)
    assert motion.changed.any()


def test_flow_for_a_larger_picture_is_longer() -> None:
    flow = np.full((4, 8, 2), 1.5, np.float32)
    larger = stretch(flow, (16, 12))
    assert larger.shape == (12, 16, 2)
    assert larger[0, 0].tolist() == [3.0, 4.5]


def test_glowing_palettes_begin_in_black_and_end_brighter() -> None:
    for name in ("synthwave", "ice", "fire", "matrix", "aurora", "gold", "rainbow"):
        table = palettes.glow(name)
        assert table.shape == (256, 1, 3)
        assert table.dtype == np.uint8
        assert table[0].max() == 0
        assert table[128].max() > 80


def test_hues_close_on_themselves_and_are_all_vivid() -> None:
    table = palettes.hues().reshape(256, 3).astype(int)
    assert (table.max(1) == 255).all()
    assert (table.min(1) == 0).all()
    assert np.abs(table[0] - table[255]).max() < 12


def test_gradient_passes_through_its_stops() -> None:
    table = palettes.gradient(["#000000", "#ff8000"])
    assert table[0, 0].tolist() == [0, 0, 0]
    assert table[255, 0].tolist() == [255, 128, 0]
    assert table[51, 0].tolist() == [51, 26, 0]
