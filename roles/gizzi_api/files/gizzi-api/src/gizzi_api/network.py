# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network's state, kept for a few seconds and shared by all callers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from gizzi_api.metrics import Metrics
from gizzi_api.models import NetworkStatus, Source
from gizzi_api.prometheus import Client, RejectedError, Sample, Series, TooLargeError
from gizzi_api.rules import Judge, Snapshot, collect
from gizzi_api.settings import GROUPS, Fact, Listed, Settings
from gizzi_api.shared import Shared, Stamped

FACT_LABEL = "gizzi_fact"
# They differ between the series of one validator only where two targets or two chains go by one label.
_OF_THE_TARGET = ("chain", "instance", "job")
# The ages in an answer are this coarse, so that one rendering serves many callers.
RENDER_SECONDS = 0.25


def together(expressions: Mapping[Fact, str]) -> str:
    """One query for several facts, whose series carry the fact's name."""
    return " or ".join(
        # An expression may end with a comment.
        f'label_replace(({expression}\n), "{FACT_LABEL}", "{fact}", "", "")'
        for fact, expression in expressions.items()
    )


class Network:
    def __init__(self, settings: Settings, client: Client, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._metrics = metrics
        self.judge = Judge(settings.validators, settings.thresholds, settings.promql)
        self._groups: list[tuple[tuple[Fact, ...], str]] = []
        for group in GROUPS:
            if asked := {fact: text for fact in group if (text := settings.promql.of(fact))}:
                self._groups.append((tuple(asked), together(asked)))
        self._shared: Shared[Snapshot] = Shared(
            "network", self._fetch, keep=settings.cache_seconds, wait=settings.wait_seconds, metrics=metrics
        )
        self._body = b""
        self._rendered: tuple[Stamped[Snapshot] | None, str | None, float] = (None, None, -1.0)
        metrics.age.set_function(self._age)

    async def close(self) -> None:
        await self._shared.close()

    async def refresh(self) -> None:
        await self._shared.get()

    async def status(self) -> NetworkStatus:
        await self._shared.get()
        return self._status()

    async def status_body(self) -> bytes:
        """The status as JSON."""
        await self._shared.get()
        latest, error, rendered = self._rendered
        now = time.monotonic()
        if now - rendered >= RENDER_SECONDS or latest is not self._shared.latest or error != self._shared.error:
            self._body = self._status().model_dump_json().encode()
            self._rendered = self._shared.latest, self._shared.error, now
        return self._body

    @property
    def error(self) -> str | None:
        return self._shared.error

    def source(self) -> Source:
        age = self._shared.latest.age() if self._shared.latest else None
        return Source(
            generated_at=datetime.now(UTC),
            age_seconds=None if age is None else round(age, 1),
            stale=self.judge.stale(age),
            error=self._shared.error,
        )

    def fact(self, one: Listed, fact: Fact) -> float | None:
        latest = self._shared.latest
        return self.judge.facts(latest.value, one).get(fact) if latest else None

    def _age(self) -> float:
        return self._shared.latest.age() if self._shared.latest else float("nan")

    def _status(self) -> NetworkStatus:
        latest = self._shared.latest
        summary, validators = self.judge.network(
            latest.value if latest else None, latest.age() if latest else None, self._shared.error
        )
        for status, count in summary.by_status.items():
            self._metrics.validators.labels(status).set(count)
        return NetworkStatus(**dict(self.source()), summary=summary, validators=validators)

    async def _fetch(self) -> Snapshot:
        """Ask for all groups at once. What Prometheus refuses is missing; any other failure is the whole set's."""
        answers = await asyncio.gather(
            *(self._vector(query) for _unused, query in self._groups),
            return_exceptions=True,
        )
        samples: dict[Fact, list[Sample]] = {}
        refused: dict[Fact, str] = {}
        for (facts, _unused), answer in zip(self._groups, answers, strict=True):
            if isinstance(answer, RejectedError | TooLargeError):
                refused |= dict.fromkeys(facts, str(answer))
                continue
            if isinstance(answer, BaseException):
                raise answer
            for sample in answer:
                for fact in facts:
                    if sample.labels.get(FACT_LABEL) == fact:
                        samples.setdefault(fact, []).append(sample)
        return collect(samples, refused, self._settings.prometheus.label)

    async def _vector(self, query: str) -> list[Sample]:
        limits = self._settings.prometheus
        answer = await self._client.instant(query, timeout=limits.timeout, max_bytes=limits.max_bytes)
        return answer.vector()


@dataclass(frozen=True, slots=True)
class Past:
    """Height and peers of the last hour, by the value of the label that has the validator's number."""

    start: int
    end: int
    step: int
    heights: Mapping[str, Sequence[tuple[int, int]]]
    peers: Mapping[str, Sequence[tuple[int, int]]]


class Histories:
    """The whole fleet's last hour, in two queries."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._shared: Shared[Past] = Shared(
            "history",
            self._fetch,
            keep=settings.history.keep_seconds,
            wait=settings.wait_seconds,
            metrics=metrics,
        )

    async def get(self) -> Stamped[Past] | None:
        return await self._shared.get()

    async def close(self) -> None:
        await self._shared.close()

    async def _fetch(self) -> Past:
        span = self._settings.history
        end = int(time.time())
        start = end - span.seconds
        heights, peers = await asyncio.gather(
            self._series("best", start, end, span.step), self._series("peers", start, end, span.step)
        )
        return Past(start, end, span.step, heights, peers)

    async def _series(self, fact: Fact, start: int, end: int, step: int) -> dict[str, list[tuple[int, int]]]:
        limits = self._settings.prometheus
        if not (expression := self._settings.promql.of(fact)):
            return {}
        answer = await self._client.range(
            expression, start, end, step, timeout=limits.timeout, max_bytes=limits.max_bytes
        )
        return merged(answer.matrix(), limits.label)


def merged(found: Sequence[Series], label_name: str) -> dict[str, list[tuple[int, int]]]:
    """Return the points of each validator by time. Where two series have one at a time, neither is believed."""
    points: dict[str, dict[int, int | None]] = {}
    for series in found:
        own = points.setdefault(series.labels.get(label_name, ""), {})
        for moment, value in series.points:
            own[int(moment)] = None if int(moment) in own else int(value)
    return {
        label: [(moment, value) for moment, value in sorted(own.items()) if value is not None]
        for label, own in points.items()
    }


class Details:
    """All metrics of one validator, as Prometheus names them."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._metrics = metrics
        # One per validator of the inventory at most.
        self._shared: dict[int, Shared[dict[str, float]]] = {}

    async def get(self, one: Listed) -> dict[str, float] | None:
        if not self._settings.promql.details:
            return None
        shared = self._shared.get(one.number)
        if shared is None:
            shared = self._shared[one.number] = Shared(
                "details",
                lambda: self._fetch(one),
                keep=self._settings.cache_seconds,
                wait=self._settings.wait_seconds,
                metrics=self._metrics,
            )
        latest = await shared.get()
        if latest is None or latest.age() > self._settings.thresholds.stale_seconds:
            return None
        return latest.value

    async def close(self) -> None:
        for shared in self._shared.values():
            await shared.close()

    async def _fetch(self, one: Listed) -> dict[str, float]:
        limits = self._settings.prometheus
        query = self._settings.promql.details.replace("$VALIDATOR", str(one.number))
        answer = await self._client.instant(query, timeout=limits.timeout, max_bytes=limits.max_bytes)
        return named(answer.vector(), limits.label)


def named(samples: Sequence[Sample], label_name: str) -> dict[str, float]:
    """Return the values of a validator by the names of their series, without the labels that all of them share."""
    values = {key: {one.labels[key] for one in samples if key in one.labels} for key in _OF_THE_TARGET}
    left_out = {"__name__", label_name, *(key for key, found in values.items() if len(found) < 2)}
    return {_name(sample.labels, left_out): sample.value for sample in samples if math.isfinite(sample.value)}


def _name(labels: Mapping[str, str], left_out: Set[str]) -> str:
    """A series as PromQL writes it."""
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()) if key not in left_out)
    return labels.get("__name__", "") + (f"{{{pairs}}}" if pairs else "")
