"""The turnstile with a model and an encoder that are told when to be done."""

import os
from dataclasses import dataclass, field

import numpy as np
import pytest

from runners.codec import Colour, Decoded, Decoder, Encoder
from runners.health import Health
from runners.live.tally import Tally
from runners.live.turnstile import Flight, Turnstile
from runners.messages import Given, Message, Take
from runners.ring import Ring
from trickle.media.packets import Codec


@dataclass
class FakeDesk:
    """A model process that does nothing by itself."""

    inward: Ring
    outward: Ring
    takes: list[Take] = field(default_factory=list)

    def send(self, message: Message) -> bool:
        assert isinstance(message, Take)
        self.takes.append(message)
        return True


@dataclass
class Results:
    """What would be encoded."""

    shown: list[Flight] = field(default_factory=list)
    stand_ins: list[tuple[int, str]] = field(default_factory=list)

    def show(self, flight: Flight, effect_s: float) -> None:
        self.shown.append(flight)

    def stand_in(self, decoded: Decoded, captured_at: float, words: str) -> None:
        self.stand_ins.append((decoded.pts, words))


class Scene:
    """A turnstile and all around it, at a time that the test sets."""

    def __init__(self) -> None:
        inward, a = Ring.create(slots=3, max_picture_bytes=64 * 64 * 3)
        outward, b = Ring.create(slots=3, max_picture_bytes=64 * 64 * 3)
        os.close(a)
        os.close(b)
        self.now = 0.0
        self.desk = FakeDesk(inward, outward)
        self.results = Results()
        self.tally = Tally(Health(0.0), clock=lambda: self.now)
        self.errors: list[str] = []
        self.turnstile = Turnstile(
            self.desk,
            self.results,
            self.tally,
            on_error=self.errors.append,
            clock=lambda: self.now,
        )

    def give(self, *, shown: bool = True, error: str | None = None) -> None:
        seq = self.desk.takes[-1].seq
        self.turnstile.given(Given(seq, shown=shown, epoch=1, effect_s=0.1, error=error))

    @property
    def dropped(self) -> dict[str, int]:
        return self.tally.counts().dropped_by


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.turnstile.opened(1)
    return made


def frame(pts: int, width: int = 64, height: int = 64) -> Decoded:
    picture = np.full((height, width, 3), 100, np.uint8)
    (packet,) = Encoder(width, height, Colour()).encode(picture, pts)
    (decoded,) = Decoder(Codec.H264).decode(packet)
    return decoded


def test_one_frame_is_in_the_model_at_a_time(scene: Scene) -> None:
    scene.turnstile.arrive(frame(0), 0.0)
    scene.turnstile.arrive(frame(3000), 0.0)
    assert [take.seq for take in scene.desk.takes] == [0]
    scene.give()
    assert [take.seq for take in scene.desk.takes] == [0, 1]


def test_the_frame_lies_in_the_ring_with_its_own_header(scene: Scene) -> None:
    scene.turnstile.arrive(frame(4711), 0.25)
    header, picture = scene.desk.inward.read(scene.desk.takes[0].slot)
    assert (header.pts, header.epoch, header.captured_at) == (4711, 1, 0.25)
    assert abs(int(picture[10, 10, 0]) - 100) < 4


def test_a_result_keeps_the_time_of_its_input_whatever_came_since(scene: Scene) -> None:
    scene.turnstile.arrive(frame(0), 0.0)
    for pts in (3000, 6000, 9000):
        scene.turnstile.arrive(frame(pts), pts / 90_000)
    scene.give()
    assert [flight.pts for flight in scene.results.shown] == [0]


def test_an_encoder_that_lags_stops_the_model_before_it_runs_out_of_slots(scene: Scene) -> None:
    for number in range(6):
        scene.now = number / 30
        scene.turnstile.arrive(frame(number * 3000), scene.now)
        if len(scene.desk.takes) > len(scene.results.shown):
            scene.give()
    assert len({flight.into for flight in scene.results.shown}) == 3
    taken = len(scene.desk.takes)
    assert taken == 3
    scene.turnstile.read(scene.results.shown[0].into)
    assert len(scene.desk.takes) == 4


def test_a_frame_that_fails_frees_its_slot_and_is_counted(scene: Scene) -> None:
    for number in range(5):
        scene.turnstile.arrive(frame(number * 3000), 0.0)
        scene.give(shown=False, error="boom")
    assert scene.dropped == {"failed": 5}
    assert len(scene.desk.takes) == 5


def test_a_frame_that_is_withheld_is_counted_as_that(scene: Scene) -> None:
    scene.turnstile.arrive(frame(0), 0.0)
    scene.give(shown=False)
    assert scene.dropped == {"withheld": 1}


def test_while_the_model_is_down_something_else_is_shown(scene: Scene) -> None:
    scene.turnstile.arrive(frame(0), 0.0)
    scene.turnstile.closed("restarting")
    scene.now = 1.0
    scene.turnstile.arrive(frame(3000), 1.0)
    assert scene.results.stand_ins == [(3000, "restarting")]
    assert scene.dropped == {"model_down": 2}


def test_a_moment_without_a_model_is_not_spoken_of_and_its_newest_frame_is_kept(
    scene: Scene,
) -> None:
    scene.turnstile.closed("restarting")
    scene.now = 0.1
    scene.turnstile.arrive(frame(3000), 0.1)
    scene.turnstile.arrive(frame(6000), 0.1)
    scene.turnstile.opened(2)
    assert scene.results.stand_ins == []
    header, _ = scene.desk.inward.read(scene.desk.takes[0].slot)
    assert (header.pts, header.epoch) == (6000, 2)


def test_a_model_that_comes_back_finds_every_slot_free(scene: Scene) -> None:
    for _ in range(5):
        scene.turnstile.arrive(frame(0), scene.now)
        scene.turnstile.closed("restarting")
        scene.turnstile.opened(2)
    assert len(scene.turnstile._free) == 3


def test_a_late_answer_of_a_process_that_died_is_not_paired_with_anything(scene: Scene) -> None:
    scene.turnstile.arrive(frame(0), 0.0)
    scene.turnstile.closed("restarting")
    scene.give()
    assert scene.results.shown == []


def test_a_picture_too_large_for_the_ring_is_an_error_and_not_the_end(scene: Scene) -> None:
    scene.turnstile.arrive(frame(0, 128, 128), 0.0)
    scene.turnstile.arrive(frame(3000), 0.0)
    assert scene.errors == ["128x128 is over the limit"]
    assert scene.dropped == {"too_large": 1}
    assert len(scene.desk.takes) == 1
