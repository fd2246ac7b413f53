"""One clock for the picture and the sound of a publisher.

RTP counts each medium on a clock of its own, from a random start. Here both become ticks of
`CLOCK_HZ` from the same zero. At first by when they arrived, which is off by however much longer a
picture takes to encode than a sound; then, once both sources have sent a report that ties their
timestamps to the sender's wall clock, exactly. The picture's timestamps never bend for this: the
sound moves over, too little per packet to hear.
"""

from typing import Final

from trickle.media.packets import CLOCK_HZ

# Reports that move the sound by more than this are wrong: some senders fill them with nonsense.
SKEW_MAX: Final = 2 * CLOCK_HZ

# A timestamp that is this far from where the time of arrival puts it began a new count.
JUMP_MAX: Final = 5 * CLOCK_HZ

# The sound catches up by at most this share of the time that passes.
SLEW_SHARE: Final = 8


class SourceClock:
    """The timestamps of one source on the common clock. Made by `CommonClock.source`."""

    def __init__(self, common: "CommonClock", clock_hz: int) -> None:
        self._common = common
        self._clock_hz = clock_hz
        self._last: int | None = None  # the last timestamp, as sent
        self._count = 0  # the same, without wraps, from zero
        self._arrived_at = 0.0
        self._offset = 0
        self._wanted = 0
        self.wall_zero: int | None = None  # the sender's wall clock, in ticks, where _count is 0

    @property
    def offset(self) -> int:
        return self._offset

    def ticks(self, timestamp: int, now: float) -> int:
        """Where on the common clock a packet belongs that arrives now."""
        if self._last is None:
            self._last = timestamp
            self._anchor(now)
            return self._offset
        before = self._count
        self._count += _signed(timestamp - self._last)
        self._last = timestamp
        passed = self._scaled(self._count - before)
        if abs(passed - round((now - self._arrived_at) * CLOCK_HZ)) > JUMP_MAX:
            self._count = 0
            self._anchor(now)
            return self._offset
        self._arrived_at = now
        if self._offset != self._wanted:
            step = max(1, abs(passed) // SLEW_SHARE)
            self._offset += min(step, max(-step, self._wanted - self._offset))
        return self._scaled(self._count) + self._offset

    def sender_report(self, ntp: int, timestamp: int) -> None:
        """The sender's wall clock at one of its timestamps."""
        if self._last is None or not ntp:
            return
        at = self._count + _signed(timestamp - self._last)
        self.wall_zero = (ntp * CLOCK_HZ >> 32) - self._scaled(at)
        self._common.align()

    def follow(self, leader: "SourceClock") -> None:
        """Moves this source to where the wall clock says it is, seen from `leader`."""
        if self.wall_zero is None or leader.wall_zero is None:
            return
        wanted = leader._offset + self.wall_zero - leader.wall_zero
        if abs(wanted - self._offset) <= SKEW_MAX:
            self._wanted = wanted

    def _anchor(self, now: float) -> None:
        self._arrived_at = now
        self._offset = self._wanted = self._common.arrival(now)
        self.wall_zero = None

    def _scaled(self, count: int) -> int:
        return count if self._clock_hz == CLOCK_HZ else count * CLOCK_HZ // self._clock_hz


class CommonClock:
    """The clock that a publisher's sources share. Zero is when its first packet arrived."""

    def __init__(self) -> None:
        self._zero: float | None = None
        self._sources: list[SourceClock] = []

    def source(self, clock_hz: int) -> SourceClock:
        """Adds a source. The first one leads; the others are moved to match it."""
        self._sources.append(SourceClock(self, clock_hz))
        return self._sources[-1]

    def arrival(self, now: float) -> int:
        if self._zero is None:
            self._zero = now
        return round((now - self._zero) * CLOCK_HZ)

    def align(self) -> None:
        leader, *others = self._sources
        for other in others:
            other.follow(leader)


def _signed(difference: int) -> int:
    difference &= 0xFFFFFFFF
    return difference - (difference >> 31 << 32)
