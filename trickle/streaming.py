"""One long response over many segments: for players, for `EventSource`, for `WebSocket`.

Like a GET of a segment it runs inside the writer's call, without a task or a queue, and never holds
anybody up: a reader that fell out of the ring goes on at the beginning of the live segment, and is
told what it missed. What the bytes look like is `trickle.framing`'s business.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from trickle import answers
from trickle.channel import CURRENT, NEXT, Channel
from trickle.cursors import BEHIND_RETRY_S
from trickle.errors import SegmentError, SegmentGone, SegmentNotReady
from trickle.framing import Framing, Messages
from trickle.pace import NEAR, Place
from trickle.segment import Segment
from trickle.websocket import BadFrame, Listener, Opcode, closing, frame

if TYPE_CHECKING:
    from trickle.connection import Connection

# As in `trickle.reading`: one reader's share of a turn of the loop.
TURN_BYTES: Final = 1 << 20


class Streaming:
    """A reader's place in a channel.

    Attributes:
        gaps: Segments that it could not be given.
    """

    def __init__(
        self,
        connection: "Connection",
        channel: Channel,
        framing: Framing,
        head: bytes,
        *,
        start: int,
        to_head: bool,
        max_behind: int | None,
    ) -> None:
        """Finds its first segment.

        Raises:
            SegmentNotReady: The start is too far ahead.
        """
        self.gaps = 0
        self._connection = connection
        self._channel = channel
        self._framing = framing
        self._head = head
        self._to_head = to_head
        self._max_behind = max_behind
        self._stuck = False
        self._flowing = False
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._listener = Listener()
        self._at = 0
        # The lowest number that is neither given nor counted as missing.
        self._due: int | None = start if start >= 0 else None
        self._name = f"stream {id(self):x}"
        self._segment = self._first(start)
        self._pace = connection.server.pace(channel)
        self._pace.asked(self, outrun=channel.outrun(NEAR))

    def begin(self) -> None:
        connection = self._connection
        if self._to_head:
            connection.send([self._head])
            self._leave()
            connection.done(keep=False)
            return
        if self._channel.ledger is not None:
            self._channel.ledger.asked(self._name, self._segment.seq, now=connection.now())
        self._send([self._head, *self._framing.begin(self._channel.mime_type)])
        if self._framing.kind == Messages.kind:
            connection.talk()
        self._enter(self._segment)
        self._arm()
        self.changed()

    def lost(self) -> None:
        self._leave()

    def pause(self) -> None:
        self._stuck = True
        self._pace.stopped()

    def resume(self) -> None:
        if self._stuck:
            self._stuck = False
            self._pace.moved()
        self.changed()

    def place(self) -> Place:
        done = sum(map(len, self._segment.chunks[: self._at]))
        return Place(self._framing.kind, self._segment.seq, done, self._stuck)

    def received(self, data: bytes) -> None:
        """What a browser says on its WebSocket."""
        try:
            frames = self._listener.feed(data)
        except BadFrame as error:
            self._stop(closing(error.code, str(error)))
            return
        for opcode, payload in frames:
            if opcode == Opcode.CLOSE:
                self._stop(frame(Opcode.CLOSE, payload[:2]))
                return
            if opcode == Opcode.PING:
                self._connection.send([frame(Opcode.PONG, payload)])

    def changed(self) -> None:
        connection = self._connection
        if self._flowing or self._scheduled:
            return
        # Going on to the next segment may tell us of changes while we are here.
        self._flowing = True
        sent, more = 0, True
        while more and not connection.paused and sent < TURN_BYTES:
            size, more = self._step(TURN_BYTES - sent)
            sent += size
        self._flowing = False
        if sent:
            self._note(finished=None)
        if more and not connection.paused and connection.exchange is self:
            self._scheduled = True
            connection.soon(self._go_on)

    # ------------------------------------------------------------------ flowing

    def _step(self, limit_bytes: int) -> tuple[int, bool]:
        """Gives what is there of the present segment. Returns bytes, and whether to go on."""
        segment, framing = self._segment, self._framing
        count = len(segment.chunks)
        size = 0
        if self._at < count and (segment.ended or not framing.whole):
            stop, taken = self._at, 0
            while stop < count and taken < limit_bytes and stop - self._at < answers.MAX_PIECES:
                taken += len(segment.chunks[stop])
                stop += 1
            stop = count if framing.whole else stop
            size = self._send(self._framed(segment, self._at, stop))
            self._at = stop
        if not segment.ended or self._at < count:
            return size, size > 0 and self._at < count
        if not segment.void:
            if count:
                self._send(framing.ended(segment))
            self._due = segment.seq + 1
            self._note(finished=segment.seq)
        return size, self._next()

    def _framed(self, segment: Segment, start: int, stop: int) -> list[bytes]:
        """Many readers at the live edge get the same: it is worked out once."""
        if stop < len(segment.chunks):
            return self._framing.pieces(segment, start, stop)
        name = f"{self._framing.kind} {start}"
        framed = segment.memos.get(name)
        if framed is None:
            framed = segment.memos[name] = self._framing.pieces(segment, start, stop)
        return framed

    def _next(self) -> bool:
        """Goes on to the segment after this one; False when that was the last."""
        segment = self._following()
        if segment is None:
            self._send(self._framing.end(self.gaps))
            self._leave()
            self._connection.done(keep=False)
            return False
        if segment is self._segment:
            self._scheduled = True
            self._connection.later(BEHIND_RETRY_S, self._go_on)
            return False
        self._segment.unwatch(self)
        self._enter(segment)
        return True

    def _enter(self, segment: Segment) -> None:
        if self._due is not None and segment.seq > self._due:
            self._missed(self._due, segment.seq)
        self._due = segment.seq
        self._segment, self._at = segment, 0
        segment.watch(self)

    def _missed(self, first: int, until: int) -> None:
        self.gaps += until - first
        self._connection.server.counters.gaps += until - first
        self._send(self._framing.gap(first, until))

    # ------------------------------------------------------------------ which segment

    def _first(self, start: int) -> Segment:
        channel, now = self._channel, self._connection.now()
        try:
            return channel.open_read(start, now=now)
        except SegmentError:
            if start >= channel.next_seq:
                raise
            # It was there once. What follows it most closely is what this reader wants.
            return channel.open_read(max(channel.oldest, 0), now=now)

    def _following(self) -> Segment | None:
        """The segment to go on with; the present one to wait a little; None at the end."""
        channel, now = self._channel, self._connection.now()
        seq = self._segment.seq + 1
        if channel.closed:
            left = [s for s in channel.final if s.seq >= seq and s.chunks]
            return min(left, key=_seq, default=None)
        live = channel.next_seq - 1
        if self._max_behind is not None and live - seq > self._max_behind:
            return self._live(now)
        try:
            found = channel.open_read(seq, now=now)
        except SegmentNotReady:
            if seq == channel.next_seq + 1 and self._segment in channel.segments:
                # Ended by somebody before it was written: the publisher will pass over it.
                return self._segment
            return self._live(now)
        except SegmentGone:
            return self._live(now)
        self._connection.server.watch_timers(channel)
        return found

    def _live(self, now: float) -> Segment:
        """After falling out of the ring, or when the publisher has started over."""
        try:
            return self._channel.open_read(CURRENT, now=now)
        except SegmentGone:
            return self._channel.open_read(NEXT, now=now)

    # ------------------------------------------------------------------ the rest

    def _send(self, pieces: list[bytes]) -> int:
        if not pieces:
            return 0
        size = self._connection.send(pieces)
        self._channel.bytes_out += size
        return size

    def _note(self, *, finished: int | None) -> None:
        ledger = self._channel.ledger
        if ledger is None:
            return
        now = self._connection.now()
        ledger.moved(self._name, now=now)
        if finished is not None:
            ledger.finished(self._name, finished, now=now)
            self._connection.server.credit(self._channel).moved()

    def _go_on(self) -> None:
        self._scheduled = False
        if self._connection.exchange is self:
            self.changed()

    def _arm(self) -> None:
        self._timer = self._connection.later(
            self._connection.server.limits.continue_s, self._say_alive
        )

    def _say_alive(self) -> None:
        """So that neither a browser nor what lies between takes a quiet channel for a dead one."""
        if not self._connection.paused:
            self._send(self._framing.alive())
        self._arm()

    def _stop(self, last: bytes) -> None:
        if self._connection.exchange is self:
            self._connection.send([last])
            self._leave()
            self._connection.done(keep=False)

    def _leave(self) -> None:
        self._segment.unwatch(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pace.left(self, stuck=self._stuck)
        server = self._connection.server
        if self._channel.ledger is not None:
            self._channel.ledger.left(self._name)
            server.credit(self._channel).moved()


def _seq(segment: Segment) -> int:
    return segment.seq
