"""Every reader gets the stream from a keyframe on, and nobody else's trouble."""

import asyncio

import pytest

from server.media.stream import LiveStream, StreamReader
from server.media.timeline import START
from tests.unit.trickle.media.samples import FRAME, aac, picture
from trickle.media.packets import CLOCK_HZ, Codec, Packet


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """A sink with lists in it."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.ends: list[str] = []

    def packet(self, packet: Packet) -> None:
        self.packets.append(packet)

    def ended(self, reason: str) -> None:
        self.ends.append(reason)

    @property
    def times(self) -> list[int]:
        """In pictures since the stream began."""
        return [round((packet.dts - START) / FRAME) for packet in self.packets]


class Broken(Seen):
    def packet(self, packet: Packet) -> None:
        raise RuntimeError("a reader's own trouble")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream(clock: Clock) -> LiveStream:
    stream = LiveStream("kitchen", clock=clock)
    stream.begin()
    return stream


def publish(stream: LiveStream, clock: Clock, count: int, *, first: int = 0, key: int = 0) -> None:
    """Pictures from number `first`, the one numbered `key` a keyframe, in real time."""
    for number in range(first, first + count):
        stream.publish(picture(number * FRAME, key=number == key))
        clock.now += 1 / 30


def test_a_reader_from_the_start_gets_everything(stream: LiveStream, clock: Clock) -> None:
    reader = Seen()
    stream.attach(reader)
    publish(stream, clock, 4)
    assert reader.times == [0, 1, 2, 3]


def test_a_new_reader_starts_at_the_last_keyframe_at_once(stream: LiveStream, clock: Clock) -> None:
    publish(stream, clock, 4, key=2)
    reader = Seen()
    stream.attach(reader)
    assert reader.times == [2, 3]


def test_a_reader_without_catching_up_waits_for_a_keyframe_but_hears_at_once(
    stream: LiveStream, clock: Clock
) -> None:
    publish(stream, clock, 2)
    reader = Seen()
    stream.attach(reader, catch_up=False)
    publish(stream, clock, 2, first=2, key=9)
    stream.publish(aac(4 * FRAME))
    publish(stream, clock, 1, first=5, key=5)
    assert [packet.codec for packet in reader.packets] == [Codec.AAC, Codec.H264]
    assert reader.packets[-1].keyframe


def test_where_a_keyframe_can_be_asked_for_an_old_group_is_not_replayed(clock: Clock) -> None:
    asked: list[float] = []
    stream = LiveStream("kitchen", clock=clock)
    stream.begin(lambda: asked.append(clock.now))
    publish(stream, clock, 60)
    reader = Seen()
    stream.attach(reader)
    assert reader.packets == []
    assert asked == [clock.now]


def test_a_group_too_large_to_remember_is_not_replayed(stream: LiveStream, clock: Clock) -> None:
    stream.publish(picture(0, key=True))
    for number in range(1, 10):
        stream.publish(picture(number * FRAME, 1024 * 1024))
    reader = Seen()
    stream.attach(reader)
    assert reader.packets == []


def test_keyframe_requests_close_together_become_one_and_a_late_one_is_not_lost(
    clock: Clock,
) -> None:
    asked: list[float] = []
    stream = LiveStream("kitchen", clock=clock)
    stream.begin(lambda: asked.append(round(clock.now - 100, 3)))
    stream.request_keyframe()
    clock.now += 0.1
    stream.request_keyframe()
    stream.request_keyframe()
    clock.now += 0.1
    stream.publish(picture(0))
    clock.now += 0.2
    stream.publish(picture(FRAME))
    stream.publish(picture(2 * FRAME))
    assert asked == [0, 0.4]


def test_a_keyframe_settles_what_was_still_owed(clock: Clock) -> None:
    asked: list[float] = []
    stream = LiveStream("kitchen", clock=clock)
    stream.begin(lambda: asked.append(clock.now))
    stream.request_keyframe()
    stream.request_keyframe()
    stream.publish(picture(0, key=True))
    clock.now += 1
    stream.publish(picture(FRAME))
    assert len(asked) == 1


def test_a_waiting_reader_keeps_asking_until_a_keyframe_comes(clock: Clock) -> None:
    asked: list[float] = []
    stream = LiveStream("kitchen", clock=clock)
    stream.begin(lambda: asked.append(clock.now))
    stream.attach(Seen())
    publish(stream, clock, 75, key=-1)
    assert len(asked) == 3


def test_a_reader_that_fails_is_let_go_and_the_others_go_on(
    stream: LiveStream, clock: Clock
) -> None:
    broken, sound = Broken(), Seen()
    stream.attach(broken)
    stream.attach(sound)
    publish(stream, clock, 3)
    assert sound.times == [0, 1, 2]
    assert broken.ends == ["the reader failed"]
    assert stream.readers == 1


def test_a_publisher_that_cannot_be_asked_does_not_stop_the_stream(clock: Clock) -> None:
    def fail() -> None:
        raise ConnectionError

    stream = LiveStream("kitchen", clock=clock)
    stream.begin(fail)
    reader = Seen()
    stream.attach(reader)
    publish(stream, clock, 1)
    assert reader.times == [0]


def test_a_reader_may_leave_from_within_its_own_packet(stream: LiveStream, clock: Clock) -> None:
    class Once(Seen):
        def packet(self, packet: Packet) -> None:
            super().packet(packet)
            stream.detach(self)

    once, other = Once(), Seen()
    stream.attach(once)
    stream.attach(other)
    publish(stream, clock, 2)
    assert (once.times, other.times) == ([0], [0, 1])


def test_readers_stay_over_a_change_of_publishers_and_go_on_at_a_keyframe(
    stream: LiveStream, clock: Clock
) -> None:
    reader = Seen()
    stream.attach(reader)
    publish(stream, clock, 3)
    stream.pause()
    assert not stream.live
    clock.now += 2
    stream.begin()
    stream.publish(picture(10**9))
    clock.now += 1 / 30
    stream.publish(picture(10**9 + FRAME, key=True))
    assert reader.times == [0, 1, 2, 64]


def test_nothing_of_the_last_publisher_is_replayed_to_a_reader_of_the_next(
    stream: LiveStream, clock: Clock
) -> None:
    publish(stream, clock, 3)
    stream.begin()
    reader = Seen()
    stream.attach(reader)
    assert reader.packets == []


def test_the_end_is_told_once_to_all_and_to_who_comes_later(stream: LiveStream) -> None:
    early, late = Seen(), Seen()
    stream.attach(early)
    stream.end("kicked")
    stream.end("again")
    stream.attach(late)
    assert (early.ends, late.ends) == (["kicked"], ["kicked"])
    assert stream.readers == 0


def test_stats_say_what_passes_and_fall_when_it_stalls(stream: LiveStream, clock: Clock) -> None:
    publish(stream, clock, 90, key=0)
    stream.publish(aac(90 * FRAME))
    stats = stream.stats()
    assert (stats.frames, stats.keyframes) == (90, 1)
    assert (stats.width, stats.height) == (640, 360)
    assert (stats.video, stats.audio) == (Codec.H264, Codec.AAC)
    assert stats.fps == pytest.approx(30, abs=2)
    assert stats.bitrate_bps == pytest.approx(30 * 8 * 511, rel=0.1)
    clock.now += 3
    assert stream.stats().fps == 0


async def test_iteration_gives_every_packet_and_ends_with_the_stream(
    stream: LiveStream, clock: Clock
) -> None:
    reader = StreamReader(stream)
    publish(stream, clock, 3)
    stream.end("over")
    assert [packet.keyframe async for packet in reader] == [True, False, False]
    assert reader.end_reason == "over"


async def test_a_reader_waits_for_the_next_packet(stream: LiveStream, clock: Clock) -> None:
    reader = StreamReader(stream)
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    publish(stream, clock, 1)
    assert (await waiting).keyframe


async def test_a_slow_reader_goes_on_at_a_keyframe_and_counts_what_it_lost(
    stream: LiveStream, clock: Clock
) -> None:
    reader = StreamReader(stream, limit=10)
    publish(stream, clock, 14, key=0)
    publish(stream, clock, 3, first=14, key=14)
    stream.end("over")
    left = [round((packet.dts - START) / FRAME) async for packet in reader]
    assert left == [14, 15, 16]
    assert reader.dropped == 14


async def test_a_slow_reader_keeps_the_newest_group_it_has(
    stream: LiveStream, clock: Clock
) -> None:
    reader = StreamReader(stream, limit=10)
    publish(stream, clock, 8, key=0)
    publish(stream, clock, 4, first=8, key=8)
    stream.end("over")
    assert [round((packet.dts - START) / FRAME) async for packet in reader] == [8, 9, 10, 11]


async def test_a_slow_reader_is_bounded_in_bytes(stream: LiveStream) -> None:
    reader = StreamReader(stream, bytes_max=1000)
    stream.publish(picture(0, 900, key=True))
    stream.publish(picture(FRAME, 900))
    assert reader.dropped == 2


async def test_a_slow_reader_of_sound_alone_loses_the_oldest(stream: LiveStream) -> None:
    reader = StreamReader(stream, limit=4)
    for number in range(7):
        stream.publish(aac(number * 1920))
    stream.end("over")
    assert len([packet async for packet in reader]) + reader.dropped == 7


async def test_closing_ends_a_pending_iteration(stream: LiveStream) -> None:
    reader = StreamReader(stream)
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    reader.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert stream.readers == 0


def test_a_stream_starts_at_a_time_that_leaves_room_before_it(
    stream: LiveStream, clock: Clock
) -> None:
    reader = Seen()
    stream.attach(reader)
    publish(stream, clock, 1)
    assert reader.packets[0].dts >= CLOCK_HZ
