# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts to a judgement, by stated rules that no model can overrule. Pure but for the clock that is passed in.

For each validator the first that applies:

1. critical: it is called offline, or a word of that meaning
2. unknown: a fact is missing or no number, or older than ``stale_seconds``, or contradicts itself; or its height is
   more than ``max_lag`` blocks above the best, or cannot be compared with another's
3. degraded: fewer than ``min_peers`` peers; more than ``max_lag`` blocks behind the best; finalized more than
   ``max_finality_lag`` below its own best; or called anything but healthy

No validator alone says what the best block is: see ``reached``. In a list of one there is none to compare with, and
the rules about it do not apply.

For the fleet: critical from a third of the validators on that are not in order; unknown for data that is too old, from
the future, or no data; degraded for data with words that are meant as an instruction to a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ollama_client.monitoring.facts import Facts, Fleet
from ollama_client.prompts import orders
from ollama_client.settings import Thresholds

Health = Literal["healthy", "unknown", "degraded", "critical"]
BETTER_TO_WORSE: tuple[Health, ...] = ("healthy", "unknown", "degraded", "critical")

WELL = frozenset({"healthy", "ok", "online", "up", "active", "running", "synced"})
GONE = frozenset({"offline", "down", "dead", "unreachable", "stopped", "failed", "critical", "error"})
DOUBTFUL = frozenset({"unknown", ""})
# From this share on the chain cannot finalize; more than this share, and no fewer than these, say what the best block
# is. The API and its alerts have the same two numbers; tests/rules compares them.
SHARE = 3
LEAST = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not in order. ``kind`` is one word, ``text`` a sentence, ``action`` what to do about it."""

    label: str
    kind: str
    health: Health
    text: str
    action: str

    def __str__(self) -> str:
        return f"{self.label}: {self.text}" if self.label else self.text


@dataclass(frozen=True, slots=True)
class Judgement:
    health: Health
    findings: Sequence[Finding]
    validators: int

    @property
    def summary(self) -> str:
        if not self.findings:
            return f"All {self.validators} validators are in step by the rules."
        return "; ".join(str(one) for one in self.findings)

    @property
    def actions(self) -> list[str]:
        return list(dict.fromkeys(one.action for one in self.findings))


def worst(*healths: Health) -> Health:
    return max(healths, key=BETTER_TO_WORSE.index)


def reached(heights: Iterable[int]) -> int | None:
    """Return the highest of these that more than a third of them, and at least two, have reached.

    None where there are fewer than two.
    """
    falling = sorted(heights, reverse=True)
    needed = max(LEAST, len(falling) // SHARE + 1)
    return falling[needed - 1] if needed <= len(falling) else None


def judge(fleet: Fleet, limits: Thresholds, now: datetime) -> Judgement:
    """Judge a fleet at the time ``now`` (aware)."""
    doubts = list(_doubts(fleet, limits, now))
    heights = [one.height for one in fleet.validators if one.height is not None and _has_a_say(one, limits)]
    only = len(fleet.validators) == 1
    findings = [
        found for one in fleet.validators if (found := _finding(one, limits) or _compared(one, heights, only, limits))
    ]
    if any(one.health == "unknown" for one in doubts):
        # Data that cannot be believed accuses nobody either.
        return Judgement("unknown", doubts, len(fleet.validators))
    health = worst("healthy", *(one.health for one in [*doubts, *findings]))
    bad = sum(one.health in ("degraded", "critical") for one in findings)
    if len(fleet.validators) > 1 and bad * SHARE >= len(fleet.validators):
        health = "critical"
    order = sorted(findings, key=lambda one: -BETTER_TO_WORSE.index(one.health))
    return Judgement(health, [*doubts, *order], len(fleet.validators))


def _doubts(fleet: Fleet, limits: Thresholds, now: datetime) -> Iterator[Finding]:
    look = "See the Gizzi API and Prometheus."
    if fleet.doubt:
        yield Finding("", "no-data", "unknown", fleet.doubt, look)
        return
    if fleet.generated is not None and (text := _untimely(fleet.generated, limits, now)):
        yield Finding("", "stale", "unknown", text, "Compare the clocks of both hosts, and see the Gizzi API.")
    if words := next(filter(None, map(orders, fleet.strings)), None):
        text = f"the data holds words that are meant as an instruction: {words[:80]!r}"
        yield Finding("", "instruction", "degraded", text, "Find out who wrote that into the data.")


def _untimely(generated: str, limits: Thresholds, now: datetime) -> str | None:
    try:
        made = datetime.fromisoformat(generated)
    except ValueError:
        return f"the data has no readable time: {generated[:40]!r}"
    seconds = (now - (made if made.tzinfo else made.replace(tzinfo=UTC))).total_seconds()
    if abs(seconds) <= limits.stale_seconds:
        return None
    return f"the data is {seconds:.0f} s old" if seconds > 0 else f"the data is from the future, by {-seconds:.0f} s"


def _timely(one: Facts, limits: Thresholds) -> bool:
    return one.age is None or one.age <= limits.stale_seconds


def _has_a_say(one: Facts, limits: Thresholds) -> bool:
    """Tell whether a validator has a say in what the best block is: who contradicts itself, or is doubted, has none."""
    if one.missing or one.contradiction or _impossible(one):
        return False
    return _timely(one, limits) and one.status not in GONE | DOUBTFUL


def _impossible(one: Facts) -> bool:
    return one.finalized is not None and one.height is not None and one.finalized > one.height


def _found(one: Facts, kind: str, health: Health, text: str, action: str) -> Finding:
    return Finding(one.label, kind, health, text, f"{action} ({one.label})")


def _finding(one: Facts, limits: Thresholds) -> Finding | None:
    """Judge a validator by what it says of itself, up to where its height is compared with those of others."""
    look = "See whether its metrics reach Prometheus"
    if one.status in GONE:
        return _found(one, "offline", "critical", f"called {one.status}", "See the host, the node and the network")
    if not _timely(one, limits):
        text = f"its data is {one.age:.0f} s old (limit {limits.stale_seconds:g} s)"
        return _found(one, "stale", "unknown", text, look)
    if one.contradiction:
        return _found(one, "contradiction", "unknown", one.contradiction[:300], "See what its metrics page is made of")
    if one.missing or one.height is None or one.peers is None:
        return _found(one, "missing", "unknown", f"not known: {', '.join(one.missing)}", look)
    if _impossible(one):
        text = f"finalized at {one.finalized}, above its best {one.height}: impossible"
        return _found(one, "impossible", "unknown", text, look)
    if one.peers < limits.min_peers and one.status not in DOUBTFUL:
        text = f"{one.peers} peers (needs {limits.min_peers})"
        return _found(one, "isolated", "degraded", text, "See its network, firewall and bootnodes")
    return None


def _compared(one: Facts, heights: Sequence[int], only: bool, limits: Thresholds) -> Finding | None:
    """Judge a validator by its height beside those that have a say, then by the rest; ``only``: it has no other."""
    assert one.height is not None
    best = reached(heights)
    if best is not None and (above := one.height - best) > limits.max_lag and len(heights) > LEAST:
        text = f"{above} blocks above the best that the others have reached (limit {limits.max_lag})"
        return _found(one, "ahead", "unknown", text, "See whether it follows another chain")
    if one.status in DOUBTFUL:
        text = f"called {one.status or 'nothing'}"
        return _found(one, "unknown", "unknown", text, "See whether its metrics reach Prometheus")
    if best is not None and best - one.height > limits.max_lag:
        text = f"{best - one.height} blocks behind the best (limit {limits.max_lag})"
        return _found(one, "lagging", "degraded", text, "See its load, disk and network")
    if one.finalized is not None and one.height - one.finalized > limits.max_finality_lag:
        text = f"finality {one.height - one.finalized} blocks behind its best (limit {limits.max_finality_lag})"
        return _found(one, "finality", "degraded", text, "See whether enough validators vote")
    if one.status is not None and one.status not in WELL:
        return _found(one, "status", "degraded", f"called {one.status[:40]}", "See the host and its journal")
    # What is wrong by its own facts is certain all the same; without that the doubt is left.
    if not only and best is None:
        text = "no other validator has a fresh height to compare its own with"
        return _found(one, "alone", "unknown", text, "See why nothing is known of the others")
    if len(heights) == LEAST and (apart := max(heights) - min(heights)) > limits.max_lag:
        text = f"the only two with fresh heights are {apart} blocks apart (limit {limits.max_lag})"
        return _found(one, "apart", "unknown", text, "See which of the two is right")
    return None
