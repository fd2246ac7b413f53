"""Transport-wide congestion control, the receiving half: when each packet of a transport came.

The sender numbers all its packets in one count; we report arrival times, and it works out how
fast it may send. A browser that gets these reports reaches 720p in two seconds; without them it
climbs for ten. (draft-holmer-rmcat-transport-wide-cc-extensions-01)
"""

import struct
from typing import Final

# Reports are made more often than this fills at any rate we serve; beyond it the oldest go.
PENDING_MAX: Final = 1024

# Browsers expect a report every 50 to 250 ms. Often costs packets, seldom costs reaction.
INTERVAL_S: Final = 0.1

_TICKS_PER_S: Final = 4000  # arrival deltas count 250 us
_REFERENCE_TICKS: Final = 256  # the reference time counts 64 ms
_NOT_RECEIVED, _SMALL, _LARGE = 0, 1, 2
_RUN_MIN: Final = 7  # symbols in a vector chunk; a shorter run saves nothing
_RUN_MAX: Final = 0x1FFF


class ArrivalLog:
    """Arrival times by transport-wide number, until they are reported."""

    def __init__(self) -> None:
        self._arrived: dict[int, float] = {}
        self._highest: int | None = None
        self._reported: int | None = None  # everything up to here has been reported
        self._reports = 0

    def arrived(self, sequence: int, now: float) -> None:
        """Notes one packet; `sequence` has 16 bits."""
        if self._highest is None:
            self._highest = sequence
        else:
            ahead = (sequence - self._highest) & 0xFFFF
            if ahead < 0x8000:
                self._highest = sequence = self._highest + ahead
            else:
                sequence = self._highest - (0x10000 - ahead)
        if self._reported is not None and sequence <= self._reported:
            return
        self._arrived[sequence] = now
        if len(self._arrived) > PENDING_MAX:
            del self._arrived[min(self._arrived)]

    def report(self) -> bytes | None:
        """What has come since the last report, as the content of a feedback packet."""
        if not self._arrived:
            return None
        first, last = min(self._arrived), max(self._arrived)
        if self._reported is not None and first - self._reported <= PENDING_MAX:
            # Packets that never came since the last report are part of this one.
            first = self._reported + 1
        last = min(last, first + PENDING_MAX)
        symbols: list[int] = []
        deltas: list[bytes] = []
        reference = int(self._arrived[min(self._arrived)] * _TICKS_PER_S) // _REFERENCE_TICKS
        clock = reference * _REFERENCE_TICKS
        sequence = first
        for sequence in range(first, last + 1):
            at = self._arrived.get(sequence)
            if at is None:
                symbols.append(_NOT_RECEIVED)
                continue
            delta = int(at * _TICKS_PER_S) - clock
            if 0 <= delta <= 0xFF:
                symbols.append(_SMALL)
                deltas.append(bytes((delta,)))
            elif -0x8000 <= delta <= 0x7FFF:
                symbols.append(_LARGE)
                deltas.append(struct.pack("!h", delta))
            else:
                # Too long a pause for one packet: the rest begins the next report.
                sequence -= 1
                break
            clock += delta
            del self._arrived[sequence]
        if not symbols:
            return None
        self._reported = sequence
        for old in [s for s in self._arrived if s <= sequence]:
            del self._arrived[old]
        head = struct.pack(
            "!HHI",
            first & 0xFFFF,
            len(symbols),
            (reference & 0xFFFFFF) << 8 | self._reports & 0xFF,
        )
        self._reports += 1
        return head + _chunks(symbols) + b"".join(deltas)


def _chunks(symbols: list[int]) -> bytes:
    packed = []
    at = 0
    while at < len(symbols):
        symbol = symbols[at]
        run = 1
        while run < _RUN_MAX and at + run < len(symbols) and symbols[at + run] == symbol:
            run += 1
        if run >= _RUN_MIN:
            packed.append(struct.pack("!H", symbol << 13 | run))
            at += run
            continue
        vector = 0xC000
        for place, each in enumerate(symbols[at : at + _RUN_MIN]):
            vector |= each << (12 - 2 * place)
        packed.append(struct.pack("!H", vector))
        at += _RUN_MIN
    return b"".join(packed)
