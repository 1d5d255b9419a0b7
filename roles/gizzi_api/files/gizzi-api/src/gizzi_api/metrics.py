# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's own metrics, in a registry of each app's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "gizzi_api_requests", "Answered requests.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "gizzi_api_request_seconds", "Time to answer.", ("route",), buckets=LATENCY, registry=self.registry
        )
        self._cache = Counter(
            "gizzi_api_cache",
            "Callers by what they got: a kept answer (hit), one asked for them (new), an older one (old), or none.",
            ("source", "result"),
            registry=self.registry,
        )
        self._upstream = Counter(
            "gizzi_api_upstream_requests", "Queries to Prometheus.", ("kind", "outcome"), registry=self.registry
        )
        self._upstream_seconds = Histogram(
            "gizzi_api_upstream_seconds",
            "Prometheus' time to answer.",
            ("kind",),
            buckets=LATENCY,
            registry=self.registry,
        )
        self.age = Gauge(
            "gizzi_api_data_age_seconds", "Time since Prometheus last answered; NaN before.", registry=self.registry
        )
        self.validators = Gauge(
            "gizzi_api_validators", "Validators by status, as last judged.", ("status",), registry=self.registry
        )
        # Looking a child up by its labels costs more than counting.
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._results: dict[tuple[str, str], Counter] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        try:
            count, latency = self._children[route, status]
        except KeyError:
            count, latency = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._children[route, status] = count, latency
        count.inc()
        latency.observe(seconds)

    def cache(self, source: str, result: str) -> None:
        try:
            child = self._results[source, result]
        except KeyError:
            child = self._results[source, result] = self._cache.labels(source, result)
        child.inc()

    @contextmanager
    def upstream(self, kind: str) -> Iterator[Callable[[str], None]]:
        """Count and time one query; the yielded function names an outcome other than ``ok``."""
        outcome = "ok"

        def name(other: str) -> None:
            nonlocal outcome
            outcome = other

        start = time.perf_counter()
        try:
            yield name
        finally:
            self._upstream.labels(kind, outcome).inc()
            self._upstream_seconds.labels(kind).observe(time.perf_counter() - start)
