"""Counting what a stream does: rates and percentiles over the last moments. Pure."""

from collections import deque
from typing import Final

# Ten seconds at 30 frames per second: long enough to be calm, short enough to be news.
_SAMPLES: Final = 300
_RATE_WINDOW_S: Final = 2.0


class Samples:
    """The last durations of one thing."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_SAMPLES)

    def add(self, value: float) -> None:
        self._values.append(value)

    def percentile(self, percent: float) -> float | None:
        """Returns the nearest-rank percentile, None without samples."""
        if not self._values:
            return None
        ordered = sorted(self._values)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def in_ms(self) -> dict[str, float | None]:
        """Returns the median and the 95th percentile, in milliseconds, as events have them."""
        return {name: _ms(self.percentile(percent)) for name, percent in (("p50", 50), ("p95", 95))}


class Rate:
    """How often something happened lately, per second."""

    def __init__(self) -> None:
        self.count = 0
        self.last_at: float | None = None
        self._times: deque[float] = deque()

    def tick(self, now: float) -> None:
        self.count += 1
        self.last_at = now
        self._times.append(now)
        self._forget(now)

    def per_s(self, now: float) -> float:
        """Returns events per second between the first and the last that are still remembered."""
        self._forget(now)
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-6)

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > _RATE_WINDOW_S:
            self._times.popleft()


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
