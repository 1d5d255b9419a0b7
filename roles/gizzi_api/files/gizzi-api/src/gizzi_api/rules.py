# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts to a status, by stated rules. Pure: no clock, no network.

The first rule that applies decides:

1. unknown: Prometheus' last answer is older than ``stale_seconds``, or there never was one
2. unknown: Prometheus has no target for the validator, or last scraped it more than ``stale_seconds`` ago
3. offline: Prometheus cannot scrape it
4. unknown: a metric is missing
5. isolated: fewer than ``min_peers`` peers
6. syncing: it says itself that it is in a major sync
7. lagging: more than ``max_lag`` blocks behind the best; or no new block for ``stall_seconds``; or its finalized
   height is more than ``max_finality_lag`` below its best
8. healthy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gizzi_api.models import WORST_FIRST, Status, Summary, Validator
from gizzi_api.prometheus import Sample
from gizzi_api.settings import FACTS, Expressions, Fact, Listed, Thresholds

NAMES: Mapping[Fact, str] = {
    "up": "scrape target",
    "sampled": "time of the last scrape",
    "best": "block height",
    "best_before": "earlier block height",
    "finalized": "finalized height",
    "sync_target": "sync target",
    "peers": "number of peers",
    "syncing": "sign of a major sync",
}
# Without these a status can still be told: a young node has no earlier height, a synced one may have no target.
OPTIONAL: frozenset[Fact] = frozenset({"best_before", "sync_target"})
LABEL = "validator"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One set of Prometheus' answers, by the exact value of the label ``validator``."""

    facts: Mapping[str, Mapping[Fact, float]] = field(default_factory=dict)
    # More than one series claims to be this fact of this validator: none is believed.
    ambiguous: frozenset[tuple[str, Fact]] = frozenset()
    # Facts whose expression Prometheus refused, with its words.
    refused: Mapping[Fact, str] = field(default_factory=dict)
    # Prometheus' clock at the evaluation.
    evaluated: float | None = None


def collect(samples: Mapping[Fact, Sequence[Sample]], refused: Mapping[Fact, str]) -> Snapshot:
    """Sort the samples of each fact by validator."""
    facts: dict[str, dict[Fact, float]] = {}
    ambiguous: set[tuple[str, Fact]] = set()
    evaluated: float | None = None
    for fact, found in samples.items():
        for sample in found:
            evaluated = sample.time if evaluated is None else min(evaluated, sample.time)
            label = sample.labels.get(LABEL, "")
            own = facts.setdefault(label, {})
            if fact in own:
                ambiguous.add((label, fact))
            own[fact] = sample.value
    for label, fact in ambiguous:
        facts[label].pop(fact, None)
    return Snapshot(facts, frozenset(ambiguous), dict(refused), evaluated)


@dataclass(frozen=True, slots=True)
class Judge:
    listed: Sequence[Listed]
    thresholds: Thresholds
    expressions: Expressions

    def network(
        self, snapshot: Snapshot | None, age: float | None, error: str | None
    ) -> tuple[Summary, list[Validator]]:
        """Judge all validators by a snapshot that is ``age`` seconds old; ``error`` is the latest attempt's."""
        snapshot = snapshot or Snapshot()
        heights = [
            height
            for one in self.listed
            if (height := snapshot.facts.get(str(one.number), {}).get("best")) is not None
            and not self._late(self._scraped(snapshot, one, 0.0))
        ]
        finalized = [own["finalized"] for one in self.listed if "finalized" in (own := self.facts(snapshot, one))]
        best = max(heights, default=None)
        validators = [self._validator(one, snapshot, age, error, best) for one in self.listed]
        by_status: dict[Status, int] = dict.fromkeys(WORST_FIRST, 0)
        for validator in validators:
            by_status[validator.status] += 1
        summary = Summary(
            validators=len(validators),
            by_status=by_status,
            best_height=_whole(best),
            finalized_height=_whole(max(finalized, default=None)),
            spread=None if best is None else int(best - min(heights)),
        )
        return summary, validators

    def stale(self, age: float | None) -> bool:
        return age is None or age > self.thresholds.stale_seconds

    def facts(self, snapshot: Snapshot, one: Listed) -> Mapping[Fact, float]:
        return snapshot.facts.get(str(one.number), {})

    def _scraped(self, snapshot: Snapshot, one: Listed, age: float | None) -> float | None:
        """Seconds since the last scrape."""
        sampled = self.facts(snapshot, one).get("sampled")
        if sampled is None or snapshot.evaluated is None or age is None:
            return None
        return max(0.0, snapshot.evaluated - sampled) + age

    def _late(self, scraped: float | None) -> bool:
        return scraped is not None and scraped > self.thresholds.stale_seconds

    def _validator(
        self, one: Listed, snapshot: Snapshot, age: float | None, error: str | None, best: float | None
    ) -> Validator:
        own = self.facts(snapshot, one)
        scraped = self._scraped(snapshot, one, age)
        height = own.get("best")
        lag = None if height is None or best is None else max(0, int(best - height))
        status, reason = self._judge(one, snapshot, age, error, scraped, lag)
        return Validator(
            number=one.number,
            name=one.name,
            status=status,
            reason=reason,
            block_height=_whole(height),
            finalized_height=_whole(own.get("finalized")),
            peers=_whole(own.get("peers")),
            lag=lag,
            age_seconds=None if scraped is None else round(scraped, 1),
        )

    def _judge(
        self,
        one: Listed,
        snapshot: Snapshot,
        age: float | None,
        error: str | None,
        scraped: float | None,
        lag: int | None,
    ) -> tuple[Status, str]:
        limits = self.thresholds
        own = self.facts(snapshot, one)
        if age is None:
            return "unknown", error or "Prometheus has not answered yet"
        if self.stale(age):
            why = f" ({error})" if error else ""
            return "unknown", f"Prometheus last answered {age:.0f} s ago{why}"
        if missing := self._missing(one, snapshot, ("up", "sampled")):
            return "unknown", missing
        if self._late(scraped):
            return "unknown", f"last scraped {scraped:.0f} s ago (limit {limits.stale_seconds:g} s)"
        if own["up"] < 1:
            return "offline", "Prometheus cannot read its metrics: the host, the node or the network is down"
        if missing := self._missing(one, snapshot, FACTS):
            return "unknown", missing
        peers, best, syncing = own.get("peers"), own["best"], own.get("syncing", 0)
        if peers is not None and peers < limits.min_peers:
            return "isolated", f"{_count(peers, 'peer')} (needs {limits.min_peers})"
        if syncing >= 1:
            target = own.get("sync_target")
            return "syncing", f"major sync at block {best:.0f}" + (f" of {target:.0f}" if target is not None else "")
        if lag is not None and lag > limits.max_lag:
            return "lagging", f"{_count(lag, 'block')} behind the best (limit {limits.max_lag})"
        if "best_before" in own and best <= own["best_before"]:
            return "lagging", f"no new block for {limits.stall_seconds} s, at {best:.0f}"
        behind = best - own.get("finalized", best)
        if behind > limits.max_finality_lag:
            return "lagging", f"finality {_count(behind, 'block')} behind its best (limit {limits.max_finality_lag})"
        return "healthy", "in step: " + ("at the best" if lag == 0 else f"{_count(lag or 0, 'block')} behind the best")

    def _missing(self, one: Listed, snapshot: Snapshot, needed: Sequence[Fact]) -> str | None:
        """Name the first missing fact, and why it is missing."""
        own = self.facts(snapshot, one)
        for fact in needed:
            if fact in own or fact in OPTIONAL or not self.expressions.of(fact):
                continue
            if fact in snapshot.refused:
                return f"Prometheus refuses the expression for the {NAMES[fact]}: {snapshot.refused[fact]}"
            if (str(one.number), fact) in snapshot.ambiguous:
                return f"Prometheus has more than one {NAMES[fact]} for it"
            return f"Prometheus has no {NAMES[fact]} for it"
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _count(number: float, what: str) -> str:
    return f"{number:.0f} {what}" + ("" if int(number) == 1 else "s")
