"""Whatever publishers, readers, resets, deletions and closes do, in whatever order."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from trickle.channel import NEXT, OVERTAKING, Channel, Writing
from trickle.errors import SegmentError, SegmentTooLarge
from trickle.segment import Segment
from trickle.window import Budget, Window

WINDOW = Window(
    min_segments=2,
    max_segments=6,
    max_age_s=20.0,
    spare_bytes=300,
    max_bytes=400,
    max_segment_bytes=200,
    resume_s=3.0,
    gap_s=1.0,
)


@dataclass(eq=False)
class Reader:
    """Follows one segment as the shells do: takes what is new whenever it is told."""

    segment: Segment
    got: list[bytes] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self.segment.watch(self)
        self.changed()

    def changed(self) -> None:
        assert not self.done, "told after the end"
        self.got += self.segment.chunks[len(self.got) :]
        if self.segment.ended:
            self.done = True
            self.segment.unwatch(self)


@dataclass(eq=False)
class Publisher:
    """One POST."""

    writing: Writing
    over: bool = False


class ChannelMachine(RuleBasedStateMachine):
    publishers = Bundle("publishers")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = Budget(limit=1 << 20)
        self.channel = Channel("c", mime_type="", now=0.0, window=WINDOW, budget=self.budget)
        self.readers: list[Reader] = []
        self.posts: list[Publisher] = []
        # What every segment object was given, in order, by the calls below.
        self.written: dict[int, list[bytes]] = {}
        self.objects: dict[int, Segment] = {}
        self.serial = 0
        self.was_reset = False
        self.refused_at = (0, 0)

    @property
    def open(self) -> bool:
        return not self.channel.closed

    @precondition(lambda self: self.open)
    @rule(target=publishers, offset=st.integers(-4, 9), reset=st.sampled_from([False] * 7 + [True]))
    def connect(self, offset: int, reset: bool) -> Publisher:
        seq = NEXT if offset == -4 else max(0, self.channel.next_seq + offset)
        self.was_reset |= reset
        post = Publisher(self.channel.open_write(seq, now=self.now, reset=reset))
        self.posts.append(post)
        self.objects[id(post.writing.segment)] = post.writing.segment
        return post

    @rule(post=publishers, size=st.integers(0, 90), end=st.booleans())
    def write(self, post: Publisher, size: int, end: bool) -> None:
        if post.over or (self.channel.closed and not post.writing.begun):
            return
        head = self.channel.next_seq
        self.serial += 1
        data = (b"%d," % self.serial) * (size // 4)
        segment = post.writing.segment
        before = len(segment.chunks)
        try:
            self.channel.write(post.writing, data, now=self.now, end=end)
        except SegmentTooLarge:
            self.channel.finish(post.writing, now=self.now)
            end = True
        post.over = end
        added = segment.chunks[before:]
        assert b"".join(added) in (data, b"") or data.startswith(b"".join(added))
        self.written.setdefault(id(segment), []).extend(added)
        assert self.was_reset or self.channel.next_seq >= head, "the write head went back"

    @rule(post=publishers)
    def vanish(self, post: Publisher) -> None:
        if not post.over:
            post.over = True
            self.channel.abandon(post.writing, now=self.now)

    @precondition(lambda self: self.open)
    @rule(offset=st.integers(-9, 2))
    def read(self, offset: int) -> None:
        head = self.channel.next_seq
        seq = max(-2, head + offset)
        try:
            segment = self.channel.open_read(seq, now=self.now)
        except SegmentError as error:
            self.refused_at = (error.latest, head)
        else:
            self.objects[id(segment)] = segment
            self.readers.append(Reader(segment))

    @rule(s=st.floats(0.0, 5.0))
    def wait(self, s: float) -> None:
        self.now += s
        due = self.channel.next_timer()
        if due is not None and due <= self.now:
            self.channel.tick(self.now)

    @precondition(lambda self: self.channel.segments)
    @rule(pick=st.integers(0, 99))
    def delete(self, pick: int) -> None:
        segments = self.channel.segments
        self.channel.end_segment(segments[pick % len(segments)].seq, now=self.now)

    @rule(dice=st.integers(0, 30))
    def close(self, dice: int) -> None:
        if dice == 0:
            self.channel.close(now=self.now)

    @invariant()
    def no_byte_is_lost_or_invented_and_order_is_kept(self) -> None:
        for reader in self.readers:
            written = self.written.get(id(reader.segment), [])
            if reader.done:
                assert written[: len(reader.got)] == reader.got
            else:
                assert written == reader.got

    @invariant()
    def whatever_has_left_the_ring_has_ended(self) -> None:
        kept = {id(s) for s in self.channel.segments}
        for segment in self.objects.values():
            assert segment.ended or id(segment) in kept

    @invariant()
    def who_is_refused_is_told_where_the_edge_is(self) -> None:
        latest, head = self.refused_at
        assert latest == head

    @invariant()
    def nobody_hangs(self) -> None:
        """Who waits, waits at the edge, or on somebody who is there, or on a deadline."""
        due = self.channel.next_timer()
        for reader in self.readers:
            segment = reader.segment
            if reader.done:
                continue
            at_the_edge = segment.seq >= self.channel.next_seq
            alive = any(not p.over and p.writing.segment is segment for p in self.posts)
            assert at_the_edge or alive or due is not None, segment.seq

    @invariant()
    def writers_are_counted(self) -> None:
        for segment in self.objects.values():
            here = sum(not p.over and p.writing.segment is segment for p in self.posts)
            assert segment.writers == here

    @invariant()
    def bounds_hold(self) -> None:
        held = sum(s.size for s in self.channel.segments)
        assert self.channel.size == held == self.budget.used
        # Who waits drops nothing: for what is due, at the start also for 1, and for the overtaken.
        waited_for = OVERTAKING + 2
        assert len(self.channel.segments) <= WINDOW.max_segments + waited_for
        assert held <= WINDOW.max_bytes + WINDOW.max_segment_bytes


ChannelMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestChannel = ChannelMachine.TestCase
