"""One GET of a segment: waits for its first byte, then follows it to its end.

Runs inside the writer's call: a publisher's bytes are on every reader's socket before its
`data_received` returns. There is no task and no queue. `trickle.connection` owns it.
"""

from typing import TYPE_CHECKING, Final

from trickle import answers
from trickle.channel import Channel
from trickle.http1 import LAST_CHUNK
from trickle.pace import NEAR
from trickle.segment import Segment

if TYPE_CHECKING:
    from trickle.connection import Connection

# Bytes given to one reader in one turn of the loop when it has to catch up; then others get theirs.
TURN_BYTES: Final = 1 << 20


class Reading:
    """A reader's place in a segment.

    Its position is its own: when its socket takes no more it stops here, and goes on from here.
    """

    __slots__ = (
        "_at",
        "_channel",
        "_chunked",
        "_connection",
        "_edge",
        "_headed",
        "_keep",
        "_pace",
        "_scheduled",
        "_segment",
        "_stuck",
        "_to_head",
    )

    def __init__(
        self,
        connection: "Connection",
        channel: Channel,
        segment: Segment,
        *,
        keep: bool,
        chunked: bool,
        to_head: bool,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._segment = segment
        # The edge as it was when the request came; the answer's head may be hours away.
        self._edge = channel.next_seq
        self._keep = keep and chunked
        self._chunked = chunked
        self._to_head = to_head
        self._at = 0
        self._headed = False
        self._scheduled = False
        self._stuck = False
        self._pace = connection.server.pace(channel)
        self._pace.asked(outrun=channel.outrun(NEAR))

    def begin(self) -> None:
        self._segment.watch(self)
        self.changed()

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

    def changed(self) -> None:
        connection = self._connection
        if connection.paused or self._scheduled:
            return
        segment = self._segment
        pieces: list[bytes] = []
        if not self._headed:
            if not segment.chunks:
                if segment.ended:
                    self._answer_without_bytes()
                return
            pieces.append(self._head())
            self._headed = True
        count = len(segment.chunks)
        if self._to_head:
            self._at = count
        elif not self._chunked:
            pieces += segment.chunks[self._at :]
            self._at = count
        elif self._at == count - 1:
            # At the live edge, where every reader gets the same bytes: framed once for all.
            if segment.memo is None:
                segment.memo = answers.frame(segment, self._at, TURN_BYTES)[0]
            pieces += segment.memo
            self._at = count
        elif self._at < count:
            framed, self._at = answers.frame(segment, self._at, TURN_BYTES)
            pieces += framed
        elif segment.ended:
            pieces.append(LAST_CHUNK)
        connection.send(pieces)
        if self._to_head or (segment.ended and self._at == count):
            self._leave()
            connection.server.counters.segments_out += 1
            connection.done(keep=self._keep)
        elif self._at < count:
            self._scheduled = True
            connection.soon(self._go_on)

    def _leave(self) -> None:
        self._segment.unwatch(self)
        self._pace.left(stuck=self._stuck)

    def _go_on(self) -> None:
        self._scheduled = False
        if self._connection.exchange is self:
            self.changed()

    def _head(self) -> bytes:
        segment = self._segment
        return answers.segment_head(
            self._channel.mime_type,
            segment.seq,
            self._edge if self._edge != segment.seq else None,
            lines=b"" if self._connection.server.strict_go else answers.size(segment.size),
            chunked=self._chunked,
            keep=self._keep,
        )

    def _answer_without_bytes(self) -> None:
        connection, channel, segment = self._connection, self._channel, self._segment
        self._leave()
        if segment.void and not channel.closed:
            answer = answers.no_segment(
                segment.seq,
                channel.next_seq,
                lines=answers.oldest(channel.oldest),
                keep=self._keep,
                to_head=self._to_head,
            )
        else:
            lines = answers.latest(channel.next_seq) + answers.seq(segment.seq)
            if not connection.server.strict_go:
                # lpgw takes the type of its first segment, which may well be this one.
                mime_type = channel.mime_type.encode("latin-1", "replace")
                lines = b"Content-Type: %b\r\n%b" % (mime_type, lines)
            if channel.closed:
                lines += answers.closed()
            answer = answers.whole(200, b"", lines=lines, keep=self._keep, to_head=self._to_head)
        connection.send([answer])
        connection.done(keep=self._keep)
