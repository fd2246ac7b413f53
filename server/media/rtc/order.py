"""Packets of one source back in sending order, and which of them to ask for again.

A machine: `push` takes packets as they come, `tick` says what to do about those that did not.
The first request for a lost packet goes out at once, as browsers do it: a needless one costs one
packet, waiting costs every lost packet the wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from server.media.rtc.rtcp import NACKS_MAX

Item = TypeVar("Item")

# Sequence numbers. At 6 Mb/s a second has 650; what is further behind than this is not waited for.
WINDOW: Final = 2048

# A sender that starts anew counts from anywhere. This many packets in a row from outside the
# window are a new count, not stragglers.
RESTART_AFTER: Final = 64

# A request is repeated after this many round trips, kept between two bounds: below, a reply that
# is merely queued is asked for again; above, a lost request costs too much.
REPEAT_ROUND_TRIPS: Final = 1.25
REPEAT_MIN_S: Final = 0.015
REPEAT_MAX_S: Final = 0.15
FIRST_ROUND_TRIP_S: Final = 0.03
_ROUND_TRIP_GAIN: Final = 0.2


@dataclass(slots=True)
class _Missing:
    since: float
    asked_at: float
    times: int


# In what `push` and `give_up` let go, None stands where packets are lost for good.
Released = Sequence[Item | None]


class ArrivalOrder(Generic[Item]):
    """The packets of one source.

    Attributes:
        recovered: Packets that came after all.
        given_up: Packets that did not.
    """

    def __init__(self, *, patience_s: float, asks: bool) -> None:
        """`patience_s`: how long a lost packet may hold up those after it."""
        self.recovered = 0
        self.given_up = 0
        self._patience_s = patience_s
        self._asks = asks
        self._next: int | None = None
        self._highest = 0
        self._waiting: dict[int, Item] = {}
        self._missing: dict[int, _Missing] = {}
        self._strays = 0
        self._round_trip_s = FIRST_ROUND_TRIP_S

    @property
    def troubled(self) -> bool:
        """Whether `tick` has something to watch."""
        return bool(self._missing)

    def push(self, sequence: int, item: Item, now: float) -> Released[Item]:
        """Takes a packet; returns what it lets go, in sending order."""
        if self._next is None:
            self._next = sequence
        ahead = (sequence - self._next) & 0xFFFF
        if ahead == 0:
            self._strays = 0
            self._next = (sequence + 1) & 0xFFFF
            if not self._waiting:
                if self._missing:
                    self._found(sequence, now)
                self._highest = sequence
                return (item,)
            self._found(sequence, now)
            return self._drain([item])
        if ahead >= WINDOW:
            return self._outside(sequence, item, ahead)
        self._strays = 0
        if sequence in self._waiting:
            return ()
        if not self._waiting and not self._missing:
            self._highest = (self._next - 1) & 0xFFFF
        self._waiting[sequence] = item
        if sequence in self._missing:
            self._found(sequence, now)
        beyond = (sequence - self._highest) & 0xFFFF
        if beyond < WINDOW:
            for offset in range(1, beyond):
                self._missing[(self._highest + offset) & 0xFFFF] = _Missing(now, -1.0, 0)
            self._highest = sequence
        return ()

    def requests(self, now: float) -> list[int]:
        """The packets to ask for now, in sending order. Marks them as asked for."""
        if not self._asks:
            return []
        after = min(max(self._round_trip_s * REPEAT_ROUND_TRIPS, REPEAT_MIN_S), REPEAT_MAX_S)
        due = []
        for sequence, missing in self._missing.items():
            if now - missing.asked_at >= after:
                missing.asked_at = now
                missing.times += 1
                due.append(sequence)
                if len(due) == NACKS_MAX:
                    break
        return due

    def give_up(self, now: float) -> Released[Item]:
        """Goes on without the packets that have been waited for long enough."""
        start = self._next
        if start is None:
            return ()
        late = [
            (sequence - start) & 0xFFFF
            for sequence, missing in self._missing.items()
            if now - missing.since > self._patience_s
        ]
        if not late:
            return ()
        released: list[Item | None] = []
        for offset in range(max(late) + 1):
            sequence = (start + offset) & 0xFFFF
            item = self._waiting.pop(sequence, None)
            if item is None:
                self._missing.pop(sequence, None)
                self.given_up += 1
            if item is not None or not released or released[-1] is not None:
                released.append(item)
        self._next = (start + max(late) + 1) & 0xFFFF
        return self._drain(released)

    def _drain(self, released: list[Item | None]) -> Released[Item]:
        assert self._next is not None
        while True:
            item = self._waiting.pop(self._next, None)
            if item is None:
                return released
            released.append(item)
            self._next = (self._next + 1) & 0xFFFF

    def _found(self, sequence: int, now: float) -> None:
        missing = self._missing.pop(sequence, None)
        if missing is None:
            return
        self.recovered += 1
        if missing.times == 1:
            sample = now - missing.asked_at
            self._round_trip_s += _ROUND_TRIP_GAIN * (sample - self._round_trip_s)

    def _outside(self, sequence: int, item: Item, ahead: int) -> Released[Item]:
        """A straggler, a duplicate, or a sender that counts anew."""
        self._strays += 1
        if self._strays < RESTART_AFTER and ahead >= 0x8000:
            return ()
        self._strays = 0
        self.given_up += len(self._missing)
        self._missing.clear()
        self._waiting.clear()
        self._next = (sequence + 1) & 0xFFFF
        self._highest = sequence
        return (None, item)
