"""One POST of a segment: its publisher's bytes go into the channel as they come.

`trickle.connection` owns it and cuts the body out of the connection for it.
"""

import asyncio
from typing import TYPE_CHECKING

from trickle import answers, headers
from trickle.channel import Channel, Writing
from trickle.errors import SegmentTooLarge
from trickle.pace import FAR, ON_ITS_WAY_S

if TYPE_CHECKING:
    from trickle.connection import Connection

_DROPPED = f"{headers.DROPPED}: closed\r\n".encode()


class Posting:
    """A publisher's hold on a segment, from its request to our answer."""

    __slots__ = (
        "_channel",
        "_connection",
        "_ended",
        "_expected",
        "_keep",
        "_may_continue",
        "_timer",
        "_writing",
    )

    def __init__(
        self,
        connection: "Connection",
        channel: Channel,
        writing: Writing,
        *,
        keep: bool,
        may_continue: bool,
        expected: bool,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._writing = writing
        self._keep = keep
        self._may_continue = may_continue
        self._expected = expected
        # All of the body is here, and only the answer is held back.
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._writing.late:
            self._answer_early()

    def wait(self) -> None:
        """Nothing of the body has come with the head: this publisher is ahead of its segment."""
        self._writing.segment.watch(self)
        if self._expected and self._may_continue:
            self._expected = False
            self._connection.send([answers.CONTINUE])
        self._arm()

    def body(self, data: bytes, *, end: bool) -> None:
        """Takes a piece of the body, and with `end` answers."""
        writing, connection = self._writing, self._connection
        if not writing.begun:
            self._stop_waiting()
            if not data:
                if end:
                    self._answer_early()
                else:
                    self.wait()
                return
        server = connection.server
        now = connection.now()
        counters = server.counters
        counters.bytes_in += len(data)
        try:
            if server.channels.budget.spent:
                self._fail(answers.too_many("the server holds as many bytes as it may"))
                return
            self._channel.write(writing, data, now=now, end=end)
        except SegmentTooLarge:
            self._fail(answers.error(413, b"Segment too large\n", keep=False))
            return
        server.watch_timers(self._channel)
        pace = server.paces.get(self._channel)
        if pace is not None and self._channel.ledger is None:
            if end:
                pace.gone(connection)
            else:
                pace.wrote(connection)
        if self._channel.ledger is not None:
            self._owe(end=end)
            return
        ahead = now - self._channel.asked_at < ON_ITS_WAY_S and self._channel.outrun(FAR)
        if end and ahead:
            # Its answer waits, and not its connection: the next request on it may be for the
            # number that is due, while later ones come over others.
            self._ended = True
            connection.wait_to_answer()
            server.pace(self._channel).ran_ahead(self)
        elif end:
            self._answer()
        elif ahead:
            server.pace(self._channel).ran_ahead(connection)

    def _owe(self, *, end: bool) -> None:
        """Where nothing may be lost, the next piece waits while readers are owed too much."""
        connection = self._connection
        if not connection.server.credit(self._channel).refuses(self):
            if end:
                self._answer()
            return
        self._ended = end
        if end:
            connection.wait_to_answer()
        else:
            connection.listen(False)

    def listen(self, on: bool) -> None:
        """Answers, for a segment that is complete, unless its publisher has to wait."""
        if on and self._connection.exchange is self:
            self._answer()

    def released(self) -> None:
        """Registered readers have come near enough again."""
        self._connection.listen(True)
        if self._ended:
            self._answer()

    def changed(self) -> None:
        """Heard only before the first byte: the segment was ended without us."""
        if self._writing.segment.ended:
            self._answer_early()

    def pause(self) -> None:
        """Its socket takes no more for now; it sends next to nothing."""

    def resume(self) -> None:
        """Its socket takes bytes again."""

    def lost(self) -> None:
        """The publisher is gone in the middle."""
        self._stop_waiting()
        self._unpace()
        if self._ended:
            return
        if self._writing.begun:
            self._connection.server.counters.aborts += 1
        self._channel.abandon(self._writing, now=self._connection.now())
        self._connection.server.watch_timers(self._channel)

    def _answer_early(self) -> None:
        """200 without a byte, whether the publisher had none or its segment is gone already."""
        self._stop_waiting()
        connection, writing = self._connection, self._writing
        connection.server.counters.segments_in += not writing.late
        self._channel.finish(writing, now=connection.now())
        connection.server.watch_timers(self._channel)
        lines = answers.seq(writing.segment.seq)
        if self._channel.closed:
            lines += answers.closed()
        if writing.late:
            connection.server.counters.dropped_posts += 1
            if not connection.server.strict_go:
                lines += _DROPPED
        connection.answer(answers.whole(200, b"", lines=lines, keep=False, to_head=False))
        connection.done(keep=False)

    def _answer(self) -> None:
        """200: all of it has come."""
        connection = self._connection
        connection.server.counters.segments_in += 1
        lines = answers.seq(self._writing.segment.seq) + connection.origin_lines
        connection.send([answers.whole(200, b"", lines=lines, keep=self._keep, to_head=False)])
        connection.done(keep=self._keep)

    def _unpace(self) -> None:
        server = self._connection.server
        if self._channel.ledger is not None:
            server.credit(self._channel).gone(self)
        pace = server.paces.get(self._channel)
        if pace is not None:
            pace.gone(self._connection)
            pace.gone(self)

    def _fail(self, answer: bytes) -> None:
        self._unpace()
        self._channel.finish(self._writing, now=self._connection.now())
        self._connection.answer(answer)
        self._connection.done(keep=False)

    def _stop_waiting(self) -> None:
        self._writing.segment.unwatch(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._may_continue:
            limits = self._connection.server.limits
            self._timer = self._connection.later(limits.continue_s, self._continue)

    def _continue(self) -> None:
        """Tells whatever lies between us that this connection lives."""
        self._connection.send([answers.CONTINUE])
        self._arm()
