"""When a publisher is made to wait: only while nobody at all could follow it, and not for long.

A reader that is slow loses its own data; it may not hold up the others. But a publisher that
outruns *every* reader only fills the ring with bytes that will be dropped. Not reading from it for
the blink that its fastest reader needs costs nobody anything, and makes bulk transfers whole.
Nobody follows when every reader's socket is full, and when even the first of them has yet to ask
for what was written long ago: with short segments no socket is ever full.
`trickle.reading` and `trickle.posting` report to one of these per channel.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

# A live publisher must not notice. After this the ring drops what it must, until a reader moves.
PATIENCE_S: Final = 0.5

# A reader that asked for something new this long ago is about to do so again. One on a slow line
# takes longer between two segments, and is not waited for.
ON_ITS_WAY_S: Final = 0.1

# Shares of the ring: a publisher that is further ahead than the first waits until it is no further
# than the second; letting it go at every step costs more than the step. So little, because bytes
# that are read soon are still in the processor's cache, and the rest of the ring is for readers who
# are slower than the first.
FAR: Final = 1 / 8
NEAR: Final = 1 / 32


class Held(Protocol):
    """A connection that can be made to wait."""

    def listen(self, on: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is.

    Attributes:
        kind: What it reads: one `segment`, or a long response of some kind.
        seq: Of its segment.
        offset_bytes: What it has got of that.
        stuck: Its socket takes no more at the moment.
    """

    kind: str
    seq: int
    offset_bytes: int
    stuck: bool


class Reader(Protocol):
    """Whoever reads a channel over a connection."""

    def place(self) -> Place: ...


class Pace:
    """The readers of one channel, as far as its publishers have to care.

    Attributes:
        readers: All of them.
        stuck: How many of their sockets take no more at the moment.
    """

    __slots__ = ("_ahead", "_forget", "_held", "_spent", "_timer", "_turn", "readers", "stuck")

    def __init__(self, forget: Callable[[], None] = lambda: None) -> None:
        """Begins without a reader.

        Args:
            forget: Called when there is neither a reader any more nor a publisher that waits.
        """
        self.readers: set[Reader] = set()
        self.stuck = 0
        self._forget = forget
        self._ahead: set[Held] = set()
        self._turn: asyncio.TimerHandle | None = None
        self._spent = False
        self._held: set[Held] = set()
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, reader: Reader, *, outrun: bool) -> None:
        """A reader has come; `outrun` when publishers are still too far ahead of all of them."""
        self.readers.add(reader)
        if self._ahead and not outrun:
            self._resume()

    def stopped(self) -> None:
        """A reader's socket is full."""
        self.stuck += 1

    def moved(self) -> None:
        """It is not any more."""
        self.stuck -= 1
        self._spent = False
        self._release()

    def left(self, reader: Reader, *, stuck: bool) -> None:
        """A reader is done, or gone."""
        self.readers.discard(reader)
        self.stuck -= stuck
        self._spent = False
        self._release()
        self._forget_if_idle()

    def ran_ahead(self, publisher: Held) -> None:
        """A publisher has left all readers far behind, and waits for the first to ask again."""
        self._ahead.add(publisher)
        publisher.listen(False)
        if self._turn is None:
            loop = asyncio.get_running_loop()
            self._turn = loop.call_later(ON_ITS_WAY_S, self._resume)

    def wrote(self, publisher: Held) -> None:
        """A publisher has written, and waits if nobody can follow."""
        if self.stuck < len(self.readers) or not self.readers or self._spent:
            return
        self._held.add(publisher)
        publisher.listen(False)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PATIENCE_S, self._give_up)

    def gone(self, publisher: Held) -> None:
        """A publisher is done, or gone."""
        if publisher in self._held or publisher in self._ahead:
            self._held.discard(publisher)
            self._ahead.discard(publisher)
            publisher.listen(True)
            if not self._held and self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._ahead and self._turn is not None:
                self._turn.cancel()
                self._turn = None
            self._forget_if_idle()

    def _resume(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        ahead, self._ahead = self._ahead, set()
        for publisher in ahead:
            if publisher not in self._held:
                publisher.listen(True)
        self._forget_if_idle()

    def _forget_if_idle(self) -> None:
        if not (self.readers or self._held or self._ahead):
            self._forget()

    def _give_up(self) -> None:
        self._spent = True
        self._timer = None
        self._release()

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, set()
        for publisher in held:
            if publisher not in self._ahead:
                publisher.listen(True)
