"""What Prometheus scrapes. Names begin with ``ups_``; the chart's dashboard draws them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from typing import Any

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily

from ups_operator.draft import Key

#: Bounds of the reconcile histogram, seconds; its 99th percentile is promised to be under 2.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        self.seconds = prometheus.Histogram(
            "ups_reconcile_seconds",
            "Duration of one look at a resource",
            ["kind"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.errors = prometheus.Counter(
            "ups_reconcile_errors", "Looks that ended in an error", ["kind", "error"], registry=registry
        )
        self.attempts = prometheus.Counter("ups_attempts", "Attempts that began", ["kind"], registry=registry)
        self.preemptions = prometheus.Counter(
            "ups_preemptions", "Attempts that were preempted", ["kind"], registry=registry
        )
        self.failures = prometheus.Counter(
            "ups_failures", "Attempts that failed, by reason", ["kind", "reason"], registry=registry
        )
        self.queue = prometheus.Gauge("ups_queue_depth", "Resources to be looked at now", registry=registry)
        self.resynced = prometheus.Gauge(
            "ups_last_resync_timestamp_seconds", "When all was looked at last", registry=registry
        )
        self._phases: dict[Key, str] = {}
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Resources by phase, counted when they are asked for."""
        family = GaugeMetricFamily("ups_resources", "Resources by phase", labels=["kind", "phase"])
        # A copy first: the scrape is answered by a thread of its own.
        for (kind, phase), count in sorted(Tally((k.kind, p) for k, p in list(self._phases.items())).items()):
            family.add_metric([kind, phase], count)
        yield family

    def seen(self, key: Key, resource: Mapping[str, Any]) -> None:
        """A resource as an event or a list brought it."""
        self._phases[key] = (resource.get("status") or {}).get("phase", "Pending")

    def gone(self, key: Key) -> None:
        self._phases.pop(key, None)

    def error(self, kind: str, error: Exception) -> None:
        self.errors.labels(kind, type(error).__name__).inc()

    def moved(self, key: Key, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A status was written: count what it counts."""
        self._phases[key] = after["phase"]

        def grown(name: str) -> int:
            return max(after.get(name, 0) - before.get(name, 0), 0)

        self.attempts.labels(key.kind).inc(grown("attempt"))
        self.preemptions.labels(key.kind).inc(grown("preemptions"))
        ended = after["phase"] == "Failed" and before.get("phase") != "Failed"
        # A preemption too many ends a run without a failure of its own.
        if failures := grown("failures") or int(ended):
            reason = after.get("lastFailure", {}).get("reason", "InternalError")
            self.failures.labels(key.kind, reason).inc(failures)
