"""How long a picture is away: from its arrival at the gateway to the arrival of its result.

The runner gives every result the timestamp of the picture it was made from, so the two can be
paired exactly. Pure: the caller says what time it is.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

# Pictures whose result has not come. At 60 a second this is four seconds' worth: a result that
# takes longer is not worth measuring, and a picture that was dropped on the way never returns.
PENDING_MAX: Final = 256

# Results that the percentiles are taken over: about four seconds' worth.
WINDOW: Final = 128


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; None before anything was measured."""

    p50: float | None = None
    p95: float | None = None


class LatencyMeter:
    """Pairs what was sent with what came back."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._recent_s: deque[float] = deque(maxlen=WINDOW)

    def sent(self, pts: int, now: float) -> None:
        self._sent[pts] = now
        if len(self._sent) > PENDING_MAX:
            self._sent.popitem(last=False)

    def received(self, pts: int, now: float) -> float | None:
        """Returns how long the picture was away, or None if we never sent it."""
        at = self._sent.pop(pts, None)
        if at is None:
            return None
        self._recent_s.append(now - at)
        return now - at

    def clear(self) -> None:
        """Forgets what is pending: its results will not come."""
        self._sent.clear()
        self._recent_s.clear()

    def percentiles(self) -> Percentiles:
        if not self._recent_s:
            return Percentiles()
        ordered = sorted(self._recent_s)

        def at(share: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

        return Percentiles(p50=at(0.5), p95=at(0.95))
