"""The encoding thread, given results that lie in a ring. No model, no network."""

import os
from itertools import pairwise

import numpy as np
import pytest

from runners.codec import Colour
from runners.health import Health
from runners.live.outlet import Outlet, Piece
from runners.live.tally import Tally
from runners.live.turnstile import Flight
from runners.ring import Header, Ring
from trickle.media.mpegts import TsDemuxer
from trickle.media.packets import CLOCK_HZ, Codec, Packet

TICKS = CLOCK_HZ // 30


class Scene:
    """An outlet and what came out of it, at a time that the test sets."""

    def __init__(self) -> None:
        self.ring, fd = Ring.create(slots=3, max_picture_bytes=200 * 200 * 3)
        os.close(fd)
        self.now = 0.0
        self.pieces: list[Piece] = []
        self.free: list[int] = []
        self.problems: list[object] = []
        self.tally = Tally(Health(0.0), clock=lambda: self.now)
        self.outlet = Outlet(
            self.ring,
            self.tally,
            emit=self.pieces.append,
            on_error=self.problems.append,
            on_crash=self.problems.append,
            clock=lambda: self.now,
        )

    def read(self, slot: int) -> None:
        self.free.append(slot)

    def show(self, number: int, *, size: int = 64, captured_at: float = 0.0) -> None:
        slot = number % 3
        header = Header(number, number * TICKS, 1, size, size, captured_at)
        self.ring.stamp(slot, header)[:] = np.uint8(number)
        self.outlet.show(Flight(number, number * TICKS, captured_at, Colour(), slot), 0.01)

    def finish(self) -> list[Packet]:
        """Lets it work off what it was given, and returns what a reader gets."""
        self.outlet.start(self)
        self.outlet.end()
        assert self.outlet.join(10)
        demuxer = TsDemuxer()
        packets = [packet for piece in self.pieces for packet in demuxer.feed(piece.data)]
        return packets + demuxer.flush()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_picture_is_a_piece_with_the_time_of_its_input(scene: Scene) -> None:
    for number in range(3):
        scene.show(number)
    assert [packet.pts for packet in scene.finish()] == [0, TICKS, 2 * TICKS]
    assert [piece.begins_segment for piece in scene.pieces] == [True, False, False]


def test_the_last_slot_shown_is_kept_and_those_before_given_back(scene: Scene) -> None:
    for number in range(3):
        scene.show(number)
    scene.finish()
    assert scene.free == [0, 1]


def test_a_new_size_begins_a_segment_however_young_the_last(scene: Scene) -> None:
    scene.show(0)
    scene.show(1, size=128)
    scene.finish()
    assert [piece.begins_segment for piece in scene.pieces] == [True, True]


def test_a_result_that_waited_too_long_for_the_encoder_is_not_shown(scene: Scene) -> None:
    scene.show(0, captured_at=-0.3)
    scene.show(1, captured_at=-0.1)
    assert [packet.pts for packet in scene.finish()] == [TICKS]
    assert scene.tally.counts().dropped_by == {"late": 1}
    assert scene.free == [0]


def test_time_that_does_not_go_on_is_dropped(scene: Scene) -> None:
    for number in (1, 0, 2):
        scene.show(number)
    assert [packet.pts for packet in scene.finish()] == [TICKS, 2 * TICKS]
    assert scene.tally.counts().dropped_by == {"out_of_order": 1}


def test_sound_before_the_first_picture_is_left_out_and_then_keeps_to_its_picture(
    scene: Scene,
) -> None:
    def sound(pts: int) -> Packet:
        return Packet(Codec.OPUS, b"\xfc\1\2", pts, pts, keyframe=True)

    scene.outlet.sound(sound(0), channels=2)
    scene.show(1)
    scene.outlet.sound(sound(TICKS), channels=2)
    scene.outlet.sound(sound(2 * TICKS), channels=2)
    scene.show(2)
    packets = scene.finish()
    kinds = [(packet.codec, packet.pts // TICKS) for packet in packets]
    assert kinds[0] == (Codec.H264, 1)
    assert (Codec.OPUS, 1) in kinds
    assert kinds.index((Codec.OPUS, 2)) > kinds.index((Codec.H264, 2))
    assert all(a[1] <= b[1] for a, b in pairwise(kinds[1:]))


def test_a_slot_with_nonsense_in_it_costs_a_picture_and_not_the_thread(scene: Scene) -> None:
    scene.outlet.show(Flight(0, 0, 0.0, Colour(), 7), 0.01)
    scene.show(1)
    assert [packet.pts for packet in scene.finish()] == [TICKS]
    assert "unreadable" in str(scene.problems[0])


def test_pieces_are_whole_ts_packets_and_segments_begin_with_tables(scene: Scene) -> None:
    scene.show(0)
    scene.finish()
    (piece,) = scene.pieces
    assert len(piece.data) % 188 == 0
    assert piece.data[1] & 0x1F == 0
    assert piece.data[2] == 0
