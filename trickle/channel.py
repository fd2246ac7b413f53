"""A trickle channel: the most recent segments of one published stream.

This is the whole protocol and none of the I/O. `trickle.serve` puts HTTP around it,
`trickle.local` puts function calls around it, and both get the same answers. Time comes in as an
argument, so a test can say when things happen.

Sequence numbers may be symbolic, as they are on the wire: NEXT names the segment about to be
written and CURRENT the one before it.
"""

import math
from typing import Final

from trickle.access import Keys
from trickle.errors import BadIndex, ChannelClosed, SegmentGone, SegmentNotReady, SegmentTooLarge
from trickle.ledger import Ledger
from trickle.segment import Segment
from trickle.window import Budget, Window

NEXT: Final = -1
CURRENT: Final = -2

# How far the write head may jump and still look like a burst of POSTs that overtook each other on
# the way, rather than like a publisher that skipped. aiohttp clients do this with five in flight.
OVERTAKING: Final = 8

# One segment that is being written and one to follow are nothing that a reader should have asked
# for by now.
MAY_BE_BEHIND: Final = 2


class Writing:
    """One publisher's hold on one segment, from its request to its end.

    Attributes:
        segment: What it writes.
        late: The segment had already ended when this publisher came: its bytes have no place.
    """

    __slots__ = ("_begun", "_reset", "late", "segment")

    def __init__(self, segment: Segment, *, reset: bool) -> None:
        self.segment = segment
        self.late = segment.ended
        self._reset = reset
        self._begun = False

    @property
    def begun(self) -> bool:
        """Whether this publisher has sent a byte."""
        return self._begun


class Channel:
    """A ring of segments with, in principle, one publisher, and any number of readers.

    Attributes:
        name: The part of the URL that names it.
        mime_type: What the publisher said its segments hold.
        next_seq: The write head: one past the segment that last received its first byte.
        active_at: When bytes last came, or a segment began; idleness counts from here.
        asked_for: The highest number that any reader ever asked for.
        asked_at: When that was.
        closed: The channel has ended.
        size: Bytes held.
        bytes_in: That ever came.
        bytes_out: That ever went to readers, as the shells count them.
        keys: The tokens it asks for.
        final: What the ring held when the channel ended, for readers who are still at it.
        ledger: What its registered readers are still owed; only where nothing may be lost.
    """

    __slots__ = (
        "_another_life",
        "_budget",
        "_doubts",
        "_overtaken",
        "_segments",
        "_strict",
        "_window",
        "active_at",
        "asked_at",
        "asked_for",
        "bytes_in",
        "bytes_out",
        "closed",
        "final",
        "keys",
        "ledger",
        "mime_type",
        "name",
        "next_seq",
        "size",
    )

    def __init__(
        self,
        name: str,
        *,
        mime_type: str,
        now: float,
        window: Window | None = None,
        budget: Budget | None = None,
        strict_go: bool = False,
        keys: Keys | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.name = name
        self.mime_type = mime_type
        self.next_seq = 0
        self.active_at = now
        self.asked_for = 0
        self.asked_at = -math.inf
        self.closed = False
        self.size = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.final: tuple[Segment, ...] = ()
        self.keys = keys
        self.ledger = ledger
        self._window = window or Window()
        self._budget = budget
        self._strict = strict_go
        # In the order they were made, which is the order in which they go.
        self._segments: dict[int, Segment] = {}
        # Segments that may be dead, with the moment at which we stop hoping.
        self._doubts: dict[Segment, float] = {}
        # Numbers the write head jumped over a moment ago.
        self._overtaken: dict[int, float] = {}
        # Numbers that a restarted publisher may write once more.
        self._another_life: set[int] = set()

    @property
    def used(self) -> bool:
        """Whether anything was ever published."""
        return self.next_seq > 0

    @property
    def oldest(self) -> int:
        """The lowest number that a reader would be served at once; else `next_seq`."""
        return min(
            (s.seq for s in self._segments.values() if s.chunks or s.ended), default=self.next_seq
        )

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the ring holds, oldest first, with those that only wait for their first byte."""
        return tuple(self._segments.values())

    def outrun(self, share: float) -> bool:
        """Whether even the first reader has still to ask for more than this share of the ring."""
        behind = self.next_seq - 1 - self.asked_for
        if behind < MAY_BE_BEHIND:
            return False
        if behind > self._window.max_segments * share:
            return True
        unasked = sum(s.size for s in self._segments.values() if s.seq > self.asked_for)
        return unasked > self._window.spare_bytes * share

    # ------------------------------------------------------------------ publishing

    def open_write(self, seq: int, *, now: float, reset: bool = False) -> Writing:
        """Returns a hold on the segment that a publisher may now fill.

        A publisher connects for the next segment before it has anything to say, so this does not
        move the write head; `write` does. Every hold ends with `finish` or `abandon`.

        Args:
            seq: A sequence number, or NEXT.
            now: The present.
            reset: The publisher restarted: end every earlier segment, so that readers stop waiting
                for bytes that will never come.

        Raises:
            BadIndex: `seq` is negative and not NEXT.
            ChannelClosed: The channel has ended.
        """
        if self.closed:
            raise ChannelClosed(self.name)
        if seq == NEXT:
            seq = self.next_seq
        elif seq < 0:
            raise BadIndex(seq)
        segment = self._segments.get(seq)
        if reset and not self._strict:
            # A restarted publisher counts from here again: what stands there is another life's.
            self._another_life = {s.seq for s in self.segments if s.ended and s.seq >= seq}
        if segment is not None and segment.ended and seq in self._another_life:
            self._drop(segment, now)
            segment = None
        if segment is None:
            segment = self._place(seq, now)
            self._trim(now)
        segment.writers += 1
        self._doubts.pop(segment, None)
        writing = Writing(segment, reset=reset)
        if reset:
            for other in self.segments:
                if other.seq < seq:
                    other.end(now)
        return writing

    def write(self, writing: Writing, data: bytes, *, now: float, end: bool = False) -> None:
        """Adds a publisher's bytes and, with the first of them, moves the write head.

        With `end`, the segment ends with them, and readers hear of both at once.

        Raises:
            SegmentTooLarge: The segment has reached its limit, and ends here.
        """
        segment = writing.segment
        if not data:
            if end:
                self.finish(writing, now=now)
            return
        if writing.late:
            # go-livepeer discards such a body too, and rewinds the write head on top.
            if not writing.begun and self._strict:
                self.next_seq = segment.seq + 1
            writing._begun = True  # noqa: SLF001 - one idea in two classes
            if end:
                segment.writers -= 1
            return
        if not writing.begun:
            writing._begun = True  # noqa: SLF001 - one idea in two classes
            self._advance(writing, now)
        self.active_at = now
        self.bytes_in += len(data)
        room = self._window.max_segment_bytes - segment.size
        if len(data) > room:
            if self._segments.get(segment.seq) is segment:
                self._count(room)
                segment.append(data[:room])
            segment.end(now, truncated=True)
            raise SegmentTooLarge(
                f"segment {segment.seq} of {self.name!r} is over "
                f"{self._window.max_segment_bytes} bytes"
            )
        if self._segments.get(segment.seq) is segment:
            self._count(len(data))
            if end:
                segment.writers -= 1
            segment.append(data, end=end, now=now)
            window = self._window
            # Readers make segments too, and usually come first.
            if (
                self.size > min(window.spare_bytes, window.max_bytes)
                or len(self._segments) > window.max_segments
            ):
                self._trim(now)
        elif end:
            # It left the ring while this publisher was still at it: nobody will ever read this.
            segment.writers -= 1

    def finish(self, writing: Writing, *, now: float) -> None:
        """Ends the segment, as its publisher wished. Without a byte it still counts as written."""
        segment = writing.segment
        segment.writers -= 1
        if not writing.begun and (self._strict or not writing.late):
            self._advance(writing, now)
        segment.end(now)

    def abandon(self, writing: Writing, *, now: float) -> None:
        """The publisher is gone without a word. It, or its successor, may come back to resume."""
        segment = writing.segment
        segment.writers -= 1
        if segment.ended or segment.writers:
            return
        if not segment.chunks:
            if segment.seq < self.next_seq:
                self._doubts[segment] = now + self._window.gap_s
        elif self.next_seq > segment.seq + 1:
            # Its publisher has moved on already, so this is how it closes segments.
            segment.end(now, truncated=True)
        else:
            self._doubts[segment] = now + self._window.resume_s

    # ------------------------------------------------------------------ reading

    def open_read(self, seq: int, *, now: float) -> Segment:
        """Returns the segment a subscriber asked for, perhaps before it has any bytes.

        Raises:
            BadIndex: `seq` is negative, and neither NEXT nor CURRENT.
            SegmentNotReady: `seq` is more than one ahead of the write head.
            SegmentGone: `seq` has left the ring, or was skipped.
            ChannelClosed: The channel has ended.
        """
        if seq < CURRENT:
            raise BadIndex(seq)
        seq = self.resolve(seq)
        if self.asked_for < seq <= self.next_seq:
            self.asked_for, self.asked_at = seq, now
        found = self._segments.get(seq)
        if found is not None:
            return found
        if self.closed:
            raise ChannelClosed(self.name)
        # One ahead of the write head, so that a reader can be connected before the first byte. A
        # new channel allows 1 as well as 0: publishers that count from one exist.
        if seq == self.next_seq or (self.next_seq == 0 and seq == 1):
            return self._place(seq, now)
        if seq > self.next_seq:
            raise SegmentNotReady(seq, latest=self.next_seq)
        if self._overtaken.get(seq, now) > now:
            segment = self._place(seq, now)
            self._doubts[segment] = self._overtaken[seq]
            return segment
        raise SegmentGone(seq, latest=self.next_seq)

    def resolve(self, seq: int) -> int:
        """What a symbolic number of a reader means at this moment."""
        if seq == NEXT:
            return self.next_seq
        if seq == CURRENT:
            return max(self.next_seq - 1, 0)
        return seq

    def holds_publishers(self) -> bool:
        """Whether registered readers are so far behind that nothing more should come for now."""
        ledger = self.ledger
        if ledger is None or ledger.floor is None:
            return False
        owed = self.next_seq - ledger.floor
        return owed > ledger.window or (owed > 1 and self.size > self._window.max_bytes // 2)

    # ------------------------------------------------------------------ ends

    def end_segment(self, seq: int, *, now: float) -> None:
        """Ends one segment for its readers and for a publisher that has not begun it.

        Raises:
            SegmentGone: The ring holds no such segment.
        """
        segment = self._segments.get(seq)
        if segment is None:
            raise SegmentGone(seq, latest=self.next_seq)
        segment.end(now)

    def close(self, *, now: float) -> None:
        """Ends the channel and every segment in it. Ending twice is harmless."""
        if not self.closed:
            self.final = self.segments
        self.closed = True
        self._doubts.clear()
        for segment in self.segments:
            self._drop(segment, now)

    def next_timer(self) -> float | None:
        """When `tick` should next be called, if ever."""
        return min(self._doubts.values(), default=None)

    def tick(self, now: float) -> None:
        """Gives up what has been in doubt for too long, and lets go of what is too old."""
        for segment, deadline in tuple(self._doubts.items()):
            if deadline <= now:
                del self._doubts[segment]
                if segment.ended:
                    continue
                if segment.chunks:
                    segment.end(now, truncated=True)
                else:
                    # Nobody wrote it, so a publisher who comes yet may: only the readers go.
                    if self._segments.get(segment.seq) is segment:
                        del self._segments[segment.seq]
                    segment.end(now, void=True)
        self._trim(now)

    # ------------------------------------------------------------------ inside

    def _place(self, seq: int, now: float) -> Segment:
        if self._strict:
            for other in self.segments:
                if other.seq % self._window.min_segments == seq % self._window.min_segments:
                    self._drop(other, now)
        segment = self._segments[seq] = Segment(seq)
        return segment

    def _advance(self, writing: Writing, now: float) -> None:
        """A segment has begun."""
        seq, head = writing.segment.seq, self.next_seq
        self.active_at = writing.segment.began_at = now
        if self._strict:
            self.next_seq = seq + 1
        elif seq >= head:
            self.next_seq = seq + 1
            if self._overtaken:
                self._overtaken = {s: t for s, t in self._overtaken.items() if t > now}
            if head < seq <= head + OVERTAKING:
                deadline = now + self._window.gap_s
                self._overtaken |= dict.fromkeys(range(head, seq), deadline)
        elif writing._reset:  # noqa: SLF001 - one idea in two classes
            self.next_seq = seq + 1
            self.asked_for = min(self.asked_for, seq)
            self._forget_after(seq, now)
            if self.ledger is not None:
                self.ledger.rewound(seq)
        if not self.closed:
            self._doubt_before(seq, now)

    def _doubt_before(self, seq: int, now: float) -> None:
        """Segments before one that has begun, open and without a publisher, are likely dead."""
        for other in self.segments:
            if other.seq < seq and not other.ended and not other.writers:
                if other.chunks:
                    self._doubts.pop(other, None)
                    other.end(now, truncated=True)
                elif other not in self._doubts and not self._strict:
                    self._doubts[other] = now + self._window.gap_s

    def _forget_after(self, seq: int, now: float) -> None:
        """A publisher started over at a lower number: what lies above is another life's.

        Its own connection for the number after this one may already stand there, without a byte.
        """
        for other in self.segments:
            if other.seq > seq and (other.chunks or other.ended or not other.writers):
                self._drop(other, now)

    def _trim(self, now: float) -> None:
        window = self._window
        if self._strict:
            return
        while len(self._segments) > 1:
            oldest = next(iter(self._segments.values()))
            count = len(self._segments)
            owed = self.ledger is not None and self.ledger.owes(oldest.seq)
            spare = count > window.min_segments and oldest.ended and not owed
            if not (
                (count > window.max_segments and not owed)
                or self.size > window.max_bytes
                or (spare and self.size > window.spare_bytes)
                or (spare and oldest.ended_at < now - window.max_age_s)
            ):
                return
            self._drop(oldest, now)

    def _drop(self, segment: Segment, now: float) -> None:
        """Takes a segment out of the ring, and ends it: nobody waits on what cannot be found."""
        # Whoever hears of one end may bring about the next, before a caller's loop comes to it.
        if self._segments.get(segment.seq) is segment:
            self._another_life.discard(segment.seq)
            del self._segments[segment.seq]
            self._doubts.pop(segment, None)
            self._count(-segment.size)
        segment.end(now, truncated=segment.writers > 0)

    def _count(self, size: int) -> None:
        self.size += size
        if self._budget is not None:
            self._budget.used += size
