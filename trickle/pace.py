"""When a publisher is made to wait: only while nobody at all could follow it, and not for long.

A reader that is slow loses its own data; it may not hold up the others. But a publisher that
outruns *every* reader only fills the ring with bytes that will be dropped. Not reading from it for
the blink that its fastest reader needs costs nobody anything, and makes bulk transfers whole.
`trickle.reading` and `trickle.posting` report to one of these per channel.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

# A live publisher must not notice. After this the ring drops what it must, until a reader moves.
PATIENCE_S: Final = 0.5


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

    __slots__ = ("_held", "_spent", "_timer", "readers", "stuck")

    def __init__(self) -> None:
        self.readers: set[Reader] = set()
        self.stuck = 0
        self._spent = False
        self._held: set[Held] = set()
        self._timer: asyncio.TimerHandle | None = None

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
        if publisher in self._held:
            self._held.remove(publisher)
            publisher.listen(True)
            if not self._held and self._timer is not None:
                self._timer.cancel()
                self._timer = None

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
            publisher.listen(True)
