"""What a trickle server measures, and its text for Prometheus. No I/O, and no client library.

Nothing here names a channel: knowing a name is being able to read it. The hot path adds to plain
numbers; everything else is worked out when somebody asks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trickle.serve import TrickleServer

# From a byte that is there already to a publisher who takes his time.
FIRST_BYTE_S: Final = (0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# Segments behind the live one. More than the ring holds is not possible for long.
LAG_SEGMENTS: Final = (0, 1, 2, 4, 8, 16, 32, 64)


@dataclass(slots=True)
class Counters:
    """What has happened since the server was made. Only ever grows."""

    bytes_in: int = 0
    bytes_out: int = 0
    segments_in: int = 0
    segments_out: int = 0
    connections: int = 0
    not_found: int = 0
    no_segment: int = 0
    not_allowed: int = 0
    aborts: int = 0
    dropped_posts: int = 0
    gaps: int = 0
    readers_cut: int = 0
    bad_requests: int = 0
    swept: int = 0


_HELP: Final = {
    "bytes_in": "Bytes that publishers sent",
    "bytes_out": "Bytes that were sent to anybody",
    "segments_in": "Segments that publishers completed",
    "segments_out": "Segments that readers got to their end, one GET each",
    "connections": "Connections that were made",
    "not_found": "Requests for channels that do not exist",
    "no_segment": "Requests for segments that cannot be had (470)",
    "not_allowed": "Requests without the token they needed",
    "aborts": "Publishers that vanished inside a segment",
    "dropped_posts": "Posts that came too late for their segment",
    "gaps": "Segments that readers of long responses missed",
    "readers_cut": "Readers cut because they took nothing",
    "bad_requests": "Requests that were no HTTP, or too slow",
    "swept": "Channels closed because they stood idle",
}


class Histogram:
    """How many observations lie below each of some bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self.counts)


def lags(server: "TrickleServer") -> Histogram:
    """How far behind the live segment every reader is at this moment."""
    found = Histogram(LAG_SEGMENTS)
    for channel, pace in server.paces.items():
        for reader in pace.readers:
            found.observe(max(0, channel.next_seq - 1 - reader.place().seq))
    return found


def prometheus(server: "TrickleServer") -> str:
    """All of it in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []
    for field in fields(Counters):
        name = f"trickle_{field.name}_total"
        value = getattr(server.counters, field.name)
        lines += _series(name, "counter", _HELP[field.name], [f"{name} {value}"])
    budget, paces = server.channels.budget, server.paces.values()
    ledgers = [channel.ledger for channel in server.channels if channel.ledger is not None]
    for name, about, value in (
        ("trickle_channels", "Channels that are open", len(server.channels)),
        ("trickle_connections_open", "Connections that are open", server.connections),
        ("trickle_readers", "Readers at this moment", sum(len(p.readers) for p in paces)),
        ("trickle_readers_stuck", "Readers whose socket is full", sum(p.stuck for p in paces)),
        ("trickle_memory_bytes", "Bytes held for readers", budget.used),
        ("trickle_memory_limit_bytes", "Bytes that may be held", budget.limit),
        ("trickle_readers_owed", "Registered readers of lossless channels", sum(map(len, ledgers))),
    ):
        lines += _series(name, "gauge", about, [f"{name} {value}"])
    for name, about, histogram in (
        ("trickle_first_byte_seconds", "From a GET to its first byte", server.first_byte),
        ("trickle_reader_lag_segments", "How far readers are behind", lags(server)),
    ):
        lines += _series(name, "histogram", about, _buckets(name, histogram))
    return "\n".join([*lines, ""])


def _series(name: str, kind: str, about: str, samples: Iterable[str]) -> list[str]:
    return [f"# HELP {name} {about}.", f"# TYPE {name} {kind}", *samples]


def _buckets(name: str, histogram: Histogram) -> list[str]:
    lines, below = [], 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        below += count
        lines.append(f'{name}_bucket{{le="{bound:g}"}} {below}')
    lines.append(f'{name}_bucket{{le="+Inf"}} {histogram.count}')
    return [*lines, f"{name}_sum {histogram.total:g}", f"{name}_count {histogram.count}"]
