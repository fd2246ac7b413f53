"""One GET of a segment: waits for its first byte, then follows it to its end.

Runs inside the writer's call: a publisher's bytes are on every reader's socket before its
`data_received` returns. There is no task and no queue. `trickle.connection` owns it.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trickle import answers
from trickle.channel import Channel
from trickle.http1 import LAST_CHUNK, chunk
from trickle.pace import NEAR, Place
from trickle.segment import Segment

if TYPE_CHECKING:
    from trickle.connection import Connection

# Bytes given to one reader in one turn of the loop when it has to catch up; then others get theirs.
TURN_BYTES: Final = 1 << 20

# Where readers at the live edge find what was framed for all of them.
_MEMO: Final = "chunked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a reader wants its segment.

    Attributes:
        keep: Its connection may be used again.
        chunked: It speaks HTTP/1.1.
        to_head: It only asks.
        trailers: It reads what follows a body.
        offset: Bytes at the beginning that it has already.
        wait_s: How long it waits for the first byte; None for as long as it takes.
        reader: What it calls itself, where nothing may be lost.
    """

    keep: bool
    chunked: bool
    to_head: bool
    trailers: bool = False
    offset: int = 0
    wait_s: float | None = None
    reader: str = ""


class Reading:
    """A reader's place in a segment.

    Its position is its own: when its socket takes no more it stops here, and goes on from here.
    """

    __slots__ = (
        "_asked_at",
        "_at",
        "_channel",
        "_connection",
        "_edge",
        "_headed",
        "_pace",
        "_scheduled",
        "_segment",
        "_stuck",
        "_timer",
        "_wish",
    )

    def __init__(
        self, connection: "Connection", channel: Channel, segment: Segment, wish: Wish
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._segment = segment
        self._wish = wish
        # The edge as it was when the request came; the answer's head may be hours away.
        self._edge = channel.next_seq
        self._asked_at = connection.now()
        self._at = 0
        self._headed = False
        self._scheduled = False
        self._stuck = False
        self._timer: asyncio.TimerHandle | None = None
        self._pace = connection.server.pace(channel)
        self._pace.asked(self, outrun=channel.outrun(NEAR))

    def begin(self) -> None:
        self._segment.watch(self)
        wish = self._wish
        if wish.reader and self._channel.ledger is not None:
            self._channel.ledger.asked(wish.reader, self._segment.seq, now=self._asked_at)
        self.changed()
        if wish.wait_s is not None and not self._headed and self._connection.exchange is self:
            self._timer = self._connection.later(wish.wait_s, self._waited)

    def lost(self) -> None:
        """The reader is gone."""
        self._leave()

    def pause(self) -> None:
        """Its socket takes no more for now."""
        self._stuck = True
        self._pace.stopped()

    def resume(self) -> None:
        """Its socket takes bytes again."""
        if self._stuck:
            self._stuck = False
            self._pace.moved()
        self.changed()

    def place(self) -> Place:
        done = sum(map(len, self._segment.chunks[: self._at]))
        return Place("segment", self._segment.seq, done, self._stuck)

    def changed(self) -> None:
        connection = self._connection
        if connection.paused or self._scheduled:
            return
        segment = self._segment
        pieces: list[bytes] = []
        if not self._headed:
            if segment.size <= self._wish.offset:
                if segment.ended:
                    self._answer_without_bytes()
                return
            pieces.append(self._head())
            self._headed = True
            if self._wish.offset:
                pieces += self._pass_over()
        wish = self._wish
        count = len(segment.chunks)
        if wish.to_head:
            self._at = count
        elif not wish.chunked:
            pieces += segment.chunks[self._at :]
            self._at = count
        elif segment.truncated and wish.trailers:
            pieces += self._truncated()
        elif self._at == count - 1:
            # At the live edge, where every reader gets the same bytes: framed once for all.
            framed = segment.memos.get(_MEMO)
            if framed is None:
                framed = segment.memos[_MEMO] = answers.frame(segment, self._at, TURN_BYTES)[0]
            pieces += framed
            self._at = count
        elif self._at < count:
            framed, self._at = answers.frame(segment, self._at, TURN_BYTES)
            pieces += framed
        elif segment.ended:
            pieces.append(LAST_CHUNK)
        self._channel.bytes_out += connection.send(pieces)
        if self._channel.ledger is not None:
            self._note()
        if wish.to_head or (segment.ended and self._at == count):
            self._leave()
            connection.server.counters.segments_out += 1
            connection.done(keep=wish.keep and wish.chunked)
        elif self._at < count:
            self._scheduled = True
            connection.soon(self._go_on)

    def _leave(self) -> None:
        self._segment.unwatch(self)
        self._stop_waiting()
        self._pace.left(self, stuck=self._stuck)

    def _go_on(self) -> None:
        self._scheduled = False
        if self._connection.exchange is self:
            self.changed()

    def _head(self) -> bytes:
        segment, connection, wish = self._segment, self._connection, self._wish
        server = connection.server
        server.first_byte.observe(connection.now() - self._asked_at)
        self._stop_waiting()
        lines = connection.origin_lines
        if not server.strict_go:
            lines += answers.size(segment.size)
            if segment.truncated:
                lines += answers.TRUNCATED
            if wish.offset:
                lines += answers.offset(wish.offset)
        return answers.segment_head(
            self._channel.mime_type,
            segment.seq,
            self._edge if self._edge != segment.seq else None,
            lines=lines,
            chunked=wish.chunked,
            keep=wish.keep and wish.chunked,
        )

    def _pass_over(self) -> list[bytes]:
        """Goes to the offset. Returns what is left of the piece in which it lies, framed."""
        wish, chunks, left = self._wish, self._segment.chunks, self._wish.offset
        while left >= len(chunks[self._at]):
            left -= len(chunks[self._at])
            self._at += 1
        if not left:
            return []
        piece = chunks[self._at][left:]
        self._at += 1
        if wish.to_head or not wish.chunked:
            return [] if wish.to_head else [piece]
        framed = chunk(piece)
        return [framed] if isinstance(framed, bytes) else list(framed)

    def _truncated(self) -> list[bytes]:
        """The rest of a segment whose publisher did not finish it, and the mark behind it."""
        pieces: list[bytes] = []
        count = len(self._segment.chunks)
        if self._at < count:
            pieces, self._at = answers.frame(self._segment, self._at, TURN_BYTES, last=b"")
        if self._at == count:
            pieces.append(answers.LAST_CHUNK_TRUNCATED)
        return pieces

    def _answer_without_bytes(self) -> None:
        connection, channel, segment = self._connection, self._channel, self._segment
        wish = self._wish
        keep = wish.keep and wish.chunked
        self._leave()
        if segment.void and not channel.closed:
            answer = answers.no_segment(
                segment.seq,
                channel.next_seq,
                lines=answers.oldest(channel.oldest),
                keep=keep,
                to_head=wish.to_head,
            )
        elif segment.size < wish.offset:
            lines = answers.seq(segment.seq) + answers.size(segment.size)
            text = b"The segment has ended before that offset\n"
            answer = answers.error(416, text, lines=lines, keep=keep, to_head=wish.to_head)
        else:
            lines = answers.latest(channel.next_seq) + answers.seq(segment.seq)
            if not connection.server.strict_go:
                # lpgw takes the type of its first segment, which may well be this one.
                mime_type = channel.mime_type.encode("latin-1", "replace")
                lines = b"Content-Type: %b\r\n%b" % (mime_type, lines)
                if wish.offset:
                    lines += answers.offset(wish.offset) + answers.size(segment.size)
            if channel.closed and not segment.size:
                lines += answers.closed()
            if channel.ledger is not None:
                self._note(finished=True)
            answer = answers.whole(200, b"", lines=lines, keep=keep, to_head=wish.to_head)
        connection.answer(answer)
        connection.done(keep=keep)

    # ------------------------------------------------------------------ waiting, and being owed

    def _waited(self) -> None:
        """The reader does not want to wait any longer."""
        self._timer = None
        if self._headed:
            return
        connection, keep = self._connection, self._wish.keep and self._wish.chunked
        self._leave()
        lines = answers.latest(self._channel.next_seq) + answers.seq(self._segment.seq)
        connection.answer(answers.nothing_yet(lines=lines, keep=keep))
        connection.done(keep=keep)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self, *, finished: bool = False) -> None:
        """Writes down what a reader got that is owed everything."""
        ledger, segment, reader = self._channel.ledger, self._segment, self._wish.reader
        if ledger is None or not reader:
            return
        now = self._connection.now()
        ledger.moved(reader, now=now)
        if finished or (segment.ended and self._at == len(segment.chunks)):
            ledger.finished(reader, segment.seq, now=now)
            self._connection.server.credit(self._channel).moved()
