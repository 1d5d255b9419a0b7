"""Facts to statuses, rule by rule and at their limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gizzi_api.models import Validator
from gizzi_api.prometheus import Sample
from gizzi_api.rules import Judge, Snapshot, collect
from gizzi_api.settings import Expressions, Fact, Listed, Thresholds

NOW = 1_000_000.0
THRESHOLDS = Thresholds(max_lag=10, max_finality_lag=50, min_peers=3, stall_seconds=120, stale_seconds=90)
EXPRESSIONS = Expressions(**dict.fromkeys(Expressions.model_fields, "x"))
SOUND: dict[Fact, float] = {
    "up": 1,
    "sampled": NOW - 5,
    "best": 1000,
    "best_before": 990,
    "finalized": 997,
    "sync_target": 1000,
    "peers": 12,
    "syncing": 0,
}
LEADER = Listed(number=1, name="leader")
OTHER = Listed(number=10, name="other")


def snapshot(**changes: float | None) -> Snapshot:
    """A sound leader, and one that differs in ``changes``; None takes a fact away."""
    other = {fact: value for fact, value in {**SOUND, **changes}.items() if value is not None}
    return Snapshot({"1": SOUND, "10": other}, evaluated=NOW)  # type: ignore[dict-item]  # keys are facts


def judge(given: Snapshot | None, age: float | None = 1.0, error: str | None = None, **rules: Any) -> Validator:
    judge = Judge((LEADER, OTHER), rules.get("thresholds", THRESHOLDS), rules.get("expressions", EXPRESSIONS))
    return judge.network(given, age, error)[1][1]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "healthy", "in step: at the best"),
        ({"best": 990, "best_before": 980}, "healthy", "in step: 10 blocks behind the best"),
        ({"best": 989, "best_before": 980}, "lagging", "11 blocks behind the best (limit 10)"),
        ({"best_before": 1000}, "lagging", "no new block for 120 s, at 1000"),
        ({"best_before": 999}, "healthy", "in step: at the best"),
        ({"best_before": None}, "healthy", "in step: at the best"),
        ({"finalized": 950}, "healthy", "in step: at the best"),
        ({"finalized": 949}, "lagging", "finality 51 blocks behind its best (limit 50)"),
        ({"peers": 3}, "healthy", "in step: at the best"),
        ({"peers": 2}, "isolated", "2 peers (needs 3)"),
        ({"peers": 1}, "isolated", "1 peer (needs 3)"),
        ({"peers": 0, "syncing": 1, "best": 5}, "isolated", "0 peers (needs 3)"),
        ({"syncing": 1, "best": 500, "best_before": 400}, "syncing", "major sync at block 500 of 1000"),
        ({"syncing": 1, "best": 500, "sync_target": None}, "syncing", "major sync at block 500"),
        ({"up": 0}, "offline", "Prometheus cannot read its metrics: the host, the node or the network is down"),
        (
            {"up": 0, "best": None, "peers": None, "finalized": None, "syncing": None},
            "offline",
            "Prometheus cannot read its metrics: the host, the node or the network is down",
        ),
        ({"up": None}, "unknown", "Prometheus has no scrape target for it"),
        ({"sampled": None}, "unknown", "Prometheus has no time of the last scrape for it"),
        ({"best": None}, "unknown", "Prometheus has no block height for it"),
        ({"finalized": None}, "unknown", "Prometheus has no finalized height for it"),
        ({"peers": None}, "unknown", "Prometheus has no number of peers for it"),
        ({"syncing": None}, "unknown", "Prometheus has no sign of a major sync for it"),
        ({"sampled": NOW - 89}, "healthy", "in step: at the best"),
        ({"sampled": NOW - 90}, "unknown", "last scraped 91 s ago (limit 90 s)"),
        ({"sampled": NOW - 300, "up": 0}, "unknown", "last scraped 301 s ago (limit 90 s)"),
    ],
)
def test_each_rule(changes: dict[str, float | None], status: str, reason: str) -> None:
    validator = judge(snapshot(**changes))
    assert (validator.status, validator.reason) == (status, reason)


def test_what_is_missing_is_null_and_never_zero() -> None:
    validator = judge(snapshot(best=None, finalized=None, peers=None))
    assert (validator.block_height, validator.finalized_height, validator.peers, validator.lag) == (None,) * 4


def test_nothing_is_known_before_the_first_answer() -> None:
    assert judge(None, None).reason == "Prometheus has not answered yet"
    validator = judge(None, None, "Prometheus cannot be reached")
    assert (validator.status, validator.reason) == ("unknown", "Prometheus cannot be reached")


def test_an_answer_that_is_too_old_is_shown_and_judged_unknown() -> None:
    assert judge(snapshot(), 80).status == "healthy"
    validator = judge(snapshot(), 91, "Prometheus cannot be reached")
    assert validator.status == "unknown"
    assert validator.reason == "Prometheus last answered 91 s ago (Prometheus cannot be reached)"
    assert validator.block_height == 1000
    assert validator.age_seconds == 96


def test_an_offline_validator_is_unknown_too_once_the_answer_is_old() -> None:
    assert judge(snapshot(up=0), 91).status == "unknown"


def test_a_network_that_stands_still_is_not_healthy() -> None:
    still = {**SOUND, "best_before": 1000}
    given = Snapshot({"1": still, "10": still}, evaluated=NOW)  # type: ignore[dict-item]  # keys are facts
    summary, _unused = Judge((LEADER, OTHER), THRESHOLDS, EXPRESSIONS).network(given, 1.0, None)
    assert summary.by_status["lagging"] == 2


def test_a_rule_whose_expression_is_empty_does_not_apply() -> None:
    without = replace_expression(syncing="", finalized="", peers="")
    validator = judge(snapshot(syncing=None, finalized=None, peers=None), expressions=without)
    assert validator.status == "healthy"
    assert (validator.peers, validator.finalized_height) == (None, None)


def replace_expression(**changes: str) -> Expressions:
    return EXPRESSIONS.model_copy(update=changes)


def test_a_refused_expression_is_named_with_prometheus_words() -> None:
    given = replace(snapshot(peers=None), refused={"peers": "parse error: unexpected end"})
    assert judge(given).reason == (
        "Prometheus refuses the expression for the number of peers: parse error: unexpected end"
    )


def test_two_series_for_one_fact_are_not_believed() -> None:
    def sample(label: str, value: float) -> Sample:
        return Sample({"validator": label}, NOW, value)

    given = collect({"peers": [sample("10", 12), sample("10", 3), sample("1", 5)]}, {})
    assert given.facts == {"10": {}, "1": {"peers": 5}}
    full = {**SOUND}
    del full["peers"]
    given = replace(given, facts={"1": SOUND, "10": full}, evaluated=NOW)
    assert judge(given).reason == "Prometheus has more than one number of peers for it"


def test_a_stale_height_does_not_lead_the_network() -> None:
    summary, validators = Judge((LEADER, OTHER), THRESHOLDS, EXPRESSIONS).network(
        snapshot(best=5000, sampled=NOW - 200), 1.0, None
    )
    assert summary.best_height == 1000
    assert [validator.status for validator in validators] == ["healthy", "unknown"]


def test_the_summary_counts_every_status() -> None:
    summary, _unused = Judge((LEADER, OTHER), THRESHOLDS, EXPRESSIONS).network(
        snapshot(best=900, best_before=890, finalized=897), 1.0, None
    )
    assert summary.validators == 2
    assert summary.by_status == {
        "offline": 0,
        "isolated": 0,
        "lagging": 1,
        "unknown": 0,
        "syncing": 0,
        "healthy": 1,
    }
    assert (summary.best_height, summary.finalized_height, summary.spread) == (1000, 997, 100)
