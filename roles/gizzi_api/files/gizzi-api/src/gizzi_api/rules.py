# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts to a status, by stated rules. Pure: no clock, no network.

The first rule that applies decides:

1. unknown: Prometheus' last answer is older than ``stale_seconds``, or there never was one
2. unknown: Prometheus has more than one series for one fact of the validator
3. unknown: Prometheus has no target for the validator, or last scraped it more than ``stale_seconds`` ago
4. offline: Prometheus cannot scrape it
5. unknown: a metric is missing
6. isolated: fewer than ``min_peers`` peers
7. syncing: it says itself that it is in a major sync
8. unknown: its height is more than ``max_lag`` blocks above the best
9. lagging: more than ``max_lag`` blocks behind the best; or no new block for ``stall_seconds``; or its finalized
   height is more than ``max_finality_lag`` below its best
10. unknown: its height cannot be compared with another's
11. healthy

No validator alone says what the best block is: see ``reached``. Of two that are more than ``max_lag`` blocks apart
nobody can tell which one is right. With one in the inventory there is no best, and the rules about it do not apply.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
# A height counts once more than one of so many validators, and no fewer than these, have reached it. The alert rules
# and the client's rules have the same two numbers; tests/rules compares them.
SHARE = 3
LEAST = 2


def reached(heights: Iterable[float]) -> float | None:
    """Return the highest of these that more than a third of them, and at least two, have reached.

    None where there are fewer than two.
    """
    falling = sorted(heights, reverse=True)
    needed = max(LEAST, len(falling) // SHARE + 1)
    return falling[needed - 1] if needed <= len(falling) else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One set of Prometheus' answers, by the exact value of the label that has the validator's number."""

    facts: Mapping[str, Mapping[Fact, float]] = field(default_factory=dict)
    # How many series claim to be this fact of this validator, where it is more than one: none is believed.
    ambiguous: Mapping[tuple[str, Fact], int] = field(default_factory=dict)
    # Facts whose expression Prometheus refused, with its words.
    refused: Mapping[Fact, str] = field(default_factory=dict)
    # Prometheus' clock at the evaluation.
    evaluated: float | None = None


def collect(samples: Mapping[Fact, Sequence[Sample]], refused: Mapping[Fact, str], label_name: str) -> Snapshot:
    """Sort the samples of each fact by validator. A value that is no finite number is not there, and still a series."""
    facts: dict[str, dict[Fact, float]] = {}
    series: Counter[tuple[str, Fact]] = Counter()
    evaluated: float | None = None
    for fact, found in samples.items():
        for sample in found:
            evaluated = sample.time if evaluated is None else min(evaluated, sample.time)
            label = sample.labels.get(label_name, "")
            series[label, fact] += 1
            own = facts.setdefault(label, {})
            if math.isfinite(sample.value):
                own[fact] = sample.value
    ambiguous = {key: count for key, count in series.items() if count > 1}
    for label, fact in ambiguous:
        facts[label].pop(fact, None)
    return Snapshot(facts, ambiguous, dict(refused), evaluated)


@dataclass(frozen=True, slots=True)
class Heights:
    """What the validators with fresh facts have reached: the best by ``reached``, the highest and the lowest."""

    known: int
    best: float | None
    highest: float | None
    lowest: float | None
    finalized: float | None


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
        heights = self._heights(snapshot)
        validators = [self._validator(one, snapshot, age, error, heights) for one in self.listed]
        by_status: dict[Status, int] = dict.fromkeys(WORST_FIRST, 0)
        for validator in validators:
            by_status[validator.status] += 1
        summary = Summary(
            validators=len(validators),
            by_status=by_status,
            best_height=_whole(heights.best),
            finalized_height=_whole(heights.finalized),
            spread=None if heights.best is None or heights.lowest is None else int(heights.best - heights.lowest),
        )
        return summary, validators

    def _heights(self, snapshot: Snapshot) -> Heights:
        fresh = [self.facts(snapshot, one) for one in self.listed if self._fresh(snapshot, one)]
        heights = [own["best"] for own in fresh]
        return Heights(
            known=len(heights),
            best=reached(heights),
            highest=max(heights, default=None),
            lowest=min(heights, default=None),
            finalized=reached(own["finalized"] for own in fresh if "finalized" in own),
        )

    def _fresh(self, snapshot: Snapshot, one: Listed) -> bool:
        """Tell whether a validator has a say in what the best block is."""
        own = self.facts(snapshot, one)
        return (
            "best" in own
            and own.get("up", 0) >= 1
            and not self._contradiction(one, snapshot)
            and not self._late(self._scraped(snapshot, one, 0.0))
        )

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
        self, one: Listed, snapshot: Snapshot, age: float | None, error: str | None, heights: Heights
    ) -> Validator:
        own = self.facts(snapshot, one)
        scraped = self._scraped(snapshot, one, age)
        height = own.get("best")
        lag = None if height is None or heights.best is None else max(0, int(heights.best - height))
        status, reason = self._judge(one, snapshot, age, error, scraped) or self._judge_facts(own, heights)
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
        self, one: Listed, snapshot: Snapshot, age: float | None, error: str | None, scraped: float | None
    ) -> tuple[Status, str] | None:
        """Judge by what Prometheus knows at all; None where every fact is there."""
        if age is None:
            return "unknown", error or "Prometheus has not answered yet"
        if self.stale(age):
            why = f" ({error})" if error else ""
            return "unknown", f"Prometheus last answered {age:.0f} s ago{why}"
        if contradiction := self._contradiction(one, snapshot):
            return "unknown", contradiction
        if missing := self._missing(one, snapshot, ("up", "sampled")):
            return "unknown", missing
        if self._late(scraped):
            return "unknown", f"last scraped {scraped:.0f} s ago (limit {self.thresholds.stale_seconds:g} s)"
        if self.facts(snapshot, one)["up"] < 1:
            return "offline", "Prometheus cannot read its metrics: the host, the node or the network is down"
        if missing := self._missing(one, snapshot, FACTS):
            return "unknown", missing
        return None

    def _judge_facts(self, own: Mapping[Fact, float], heights: Heights) -> tuple[Status, str]:
        limits = self.thresholds
        peers, height, syncing = own.get("peers"), own["best"], own.get("syncing", 0)
        if peers is not None and peers < limits.min_peers:
            return "isolated", f"{_count(peers, 'peer')} (needs {limits.min_peers})"
        if syncing >= 1:
            target = own.get("sync_target")
            return "syncing", f"major sync at block {height:.0f}" + (f" of {target:.0f}" if target is not None else "")
        lag = 0.0 if heights.best is None else heights.best - height
        if -lag > limits.max_lag and heights.known > LEAST:
            above = _count(-lag, "block")
            return "unknown", f"{above} above the best that the others have reached (limit {limits.max_lag})"
        if lag > limits.max_lag:
            return "lagging", f"{_count(lag, 'block')} behind the best (limit {limits.max_lag})"
        if "best_before" in own and height <= own["best_before"]:
            return "lagging", f"no new block for {limits.stall_seconds} s, at {height:.0f}"
        behind = height - own.get("finalized", height)
        if behind > limits.max_finality_lag:
            return "lagging", f"finality {_count(behind, 'block')} behind its best (limit {limits.max_finality_lag})"
        if doubt := self._beyond_comparison(heights):
            return "unknown", doubt
        return "healthy", _in_step(None if heights.best is None else lag)

    def _beyond_comparison(self, heights: Heights) -> str | None:
        """Say why no height can be compared with another's; what is wrong by its own facts is certain all the same."""
        if len(self.listed) == 1:
            return None
        if heights.highest is None or heights.lowest is None or heights.known < LEAST:
            return "no other validator has a fresh height to compare its own with"
        apart, limit = heights.highest - heights.lowest, self.thresholds.max_lag
        if heights.known > LEAST or apart <= limit:
            return None
        return (
            f"the only two with fresh heights are {_count(apart, 'block')} apart (limit {limit}): "
            "which one is right cannot be told"
        )

    def _contradiction(self, one: Listed, snapshot: Snapshot) -> str | None:
        """Name the first fact that more than one series claims to be."""
        for fact in FACTS:
            count = snapshot.ambiguous.get((str(one.number), fact), 0)
            if count > 1 and fact not in OPTIONAL:
                return (
                    f"Prometheus has more than one {NAMES[fact]} for it ({count} series): two targets with one label, "
                    "or two chains on one page"
                )
        return None

    def _missing(self, one: Listed, snapshot: Snapshot, needed: Sequence[Fact]) -> str | None:
        """Name the first missing fact, and why it is missing."""
        own = self.facts(snapshot, one)
        for fact in needed:
            if fact in own or fact in OPTIONAL or not self.expressions.of(fact):
                continue
            if fact in snapshot.refused:
                return f"Prometheus refuses the expression for the {NAMES[fact]}: {snapshot.refused[fact]}"
            return f"Prometheus has no {NAMES[fact]} for it"
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _in_step(lag: float | None) -> str:
    if lag is None:
        return "in step by its own facts: there is no other to compare its height with"
    if lag == 0:
        return "in step: at the best"
    return f"in step: {_count(abs(lag), 'block')} {'behind' if lag > 0 else 'above'} the best"


def _count(number: float, what: str) -> str:
    return f"{number:.0f} {what}" + ("" if int(number) == 1 else "s")
