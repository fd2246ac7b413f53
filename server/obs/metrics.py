"""What the node counts, for Prometheus.

One `Metrics` per node, with a registry of its own, so that two nodes in one process (a test, or
`penstock up`) never share a counter. What others already count (trickle, the runner pool) is read
when somebody scrapes, and costs nothing until then.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

type_of = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}

# Glass to glass is aimed at 200 ms, so the buckets are dense around it.
LATENCY_BUCKETS_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """The node's counters and gauges."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.publishes = Counter(
            "penstock_publishes_total",
            "Streams that publishers began.",
            ["protocol"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "penstock_refusals_total",
            "Requests refused, by the code of the error.",
            ["code"],
            registry=self.registry,
        )
        self.job_starts = Counter(
            "penstock_live_jobs_started_total",
            "Live jobs that an orchestrator took.",
            registry=self.registry,
        )
        self.job_failures = Counter(
            "penstock_live_jobs_failed_total",
            "Live jobs that ended before their stream did.",
            ["code"],
            registry=self.registry,
        )
        self.latency = Histogram(
            "penstock_live_latency_seconds",
            "From a coded picture's arrival at the gateway to the arrival of its result.",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.streams = Gauge(
            "penstock_streams", "Streams with a publisher, now.", registry=self.registry
        )
        self.viewers = Gauge("penstock_viewers", "Viewers connected, now.", registry=self.registry)
        # With nobody there it comes back to where it was; if not, something leaks.
        self.tasks = Gauge("penstock_tasks", "Tasks of the event loop.", registry=self.registry)

    def watch(self, collect: Callable[[], Iterable[tuple[str, str, str, float]]]) -> None:
        """Adds a source of (kind, name, help, value), kind being counter or gauge."""
        self.registry.register(_Reading(collect))

    def text(self) -> bytes:
        """Everything in Prometheus' text form."""
        return generate_latest(self.registry)


class _Reading(Collector):
    def __init__(self, collect: Callable[[], Iterable[tuple[str, str, str, float]]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        for kind, name, doc, value in self._collect():
            yield type_of[kind](name, doc, value=value)

    def describe(self) -> Iterable[Metric]:
        return []
