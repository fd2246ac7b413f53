"""What one stream counts. Several threads write, the session's reports read."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from runners.health import Health
from runners.pacing import Drop
from runners.stats import Rate, Samples

# Drops that say that this machine cannot keep up, rather than that the effect is slow.
_LATE = (Drop.LATE, Drop.DECODE_BEHIND, Drop.SEND_BEHIND)


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of a stream at one moment."""

    input_fps: float
    output_fps: float
    frames_in: int
    frames_out: int
    dropped_by: dict[str, int]
    latency_ms: dict[str, float | None]
    effect_ms: dict[str, float | None]
    width: int | None
    height: int | None


class Tally:
    """Counters of one stream, and the runner's health that follows from them."""

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._clock = clock
        self._lock = threading.Lock()
        self._input, self._output = Rate(), Rate()
        self._latency, self._effect = Samples(), Samples()
        self._drops: Counter[Drop] = Counter()
        self._size: tuple[int, int] | None = None

    def input(self) -> None:
        """A coded picture came in."""
        now = self._clock()
        with self._lock:
            self._input.tick(now)
        self._health.input(now)

    def output(self, *, captured_at: float, effect_s: float | None, size: tuple[int, int]) -> None:
        """A coded picture went out; `effect_s` is None for one that no effect made."""
        now = self._clock()
        with self._lock:
            self._size = size
            if effect_s is None:
                return
            self._output.tick(now)
            self._latency.add(now - captured_at)
            self._effect.add(effect_s)
        self._health.output(now, effect_s=effect_s)

    def drop(self, reason: Drop, count: int = 1) -> None:
        if not count:
            return
        with self._lock:
            self._drops[reason] += count
        if reason in _LATE:
            self._health.late()

    def counts(self) -> Counts:
        now = self._clock()
        with self._lock:
            width, height = self._size or (None, None)
            return Counts(
                input_fps=round(self._input.per_s(now), 2),
                output_fps=round(self._output.per_s(now), 2),
                frames_in=self._input.count,
                frames_out=self._output.count,
                dropped_by={reason.value: count for reason, count in self._drops.items()},
                latency_ms=self._latency.in_ms(),
                effect_ms=self._effect.in_ms(),
                width=width,
                height=height,
            )
