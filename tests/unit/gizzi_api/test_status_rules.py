"""Facts to statuses, rule by rule and at their limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gizzi_api.models import Validator
from gizzi_api.prometheus import Sample
from gizzi_api.rules import Judge, Snapshot, collect, reached
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
THIRD = Listed(number=3, name="third")
FLEET = tuple(Listed(number=number, name=f"validator{number:02d}") for number in range(1, 22))


def snapshot(**changes: float | None) -> Snapshot:
    """Two sound ones, and one that differs in ``changes``; None takes a fact away."""
    other = {fact: value for fact, value in {**SOUND, **changes}.items() if value is not None}
    return Snapshot({"1": SOUND, "3": SOUND, "10": other}, evaluated=NOW)  # type: ignore[dict-item]  # keys are facts


def fleet(heights: dict[int, float]) -> Snapshot:
    """Those with these heights, in order but for what follows from them."""
    return Snapshot(
        {
            str(number): {**SOUND, "best": height, "best_before": height - 10, "finalized": height - 3}
            for number, height in heights.items()
        },
        evaluated=NOW,
    )


def found(given: Snapshot, listed: tuple[Listed, ...] = FLEET) -> dict[int, tuple[str, str]]:
    validators = Judge(listed, THRESHOLDS, EXPRESSIONS).network(given, 1.0, None)[1]
    return {one.number: (one.status, one.reason) for one in validators}


def judge(given: Snapshot | None, age: float | None = 1.0, error: str | None = None, **rules: Any) -> Validator:
    judge = Judge((LEADER, THIRD, OTHER), rules.get("thresholds", THRESHOLDS), rules.get("expressions", EXPRESSIONS))
    return judge.network(given, age, error)[1][2]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "healthy", "in step: at the best"),
        ({"best": 990, "best_before": 980}, "healthy", "in step: 10 blocks behind the best"),
        ({"best": 1010}, "healthy", "in step: 10 blocks above the best"),
        ({"best": 1011}, "unknown", "11 blocks above the best that the others have reached (limit 10)"),
        ({"best": 1011, "peers": 1}, "isolated", "1 peer (needs 3)"),
        ({"best": 1011, "syncing": 1}, "syncing", "major sync at block 1011 of 1000"),
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
    given = Snapshot({"1": still, "3": still, "10": still}, evaluated=NOW)  # type: ignore[dict-item]  # keys are facts
    summary, _unused = Judge((LEADER, THIRD, OTHER), THRESHOLDS, EXPRESSIONS).network(given, 1.0, None)
    assert summary.by_status["lagging"] == 3


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


def sample(label: str, value: float, **labels: str) -> Sample:
    return Sample({"validator": label, **labels}, NOW, value)


@pytest.mark.parametrize("second", [12, 3, float("nan")])
def test_two_series_for_one_fact_are_not_believed(second: float) -> None:
    given = collect({"peers": [sample("10", 12), sample("10", second), sample("1", 5)]}, {}, "validator")
    assert given.facts == {"10": {}, "1": {"peers": 5}}
    full = {**SOUND}
    del full["peers"]
    given = replace(given, facts={"1": SOUND, "3": SOUND, "10": full}, evaluated=NOW)
    assert (judge(given).status, judge(given).reason) == (
        "unknown",
        "Prometheus has more than one number of peers for it (2 series): two targets with one label, or two chains on "
        "one page",
    )


def test_a_dead_target_is_not_hidden_by_another_with_its_label() -> None:
    samples = {fact: [sample(label, value) for label in ("1", "3", "10")] for fact, value in SOUND.items()}
    samples["up"].append(sample("10", 0, instance="192.0.2.10:9615"))
    validator = judge(collect(samples, {}, "validator"))
    assert validator.status == "unknown"
    assert validator.reason.startswith("Prometheus has more than one scrape target for it (2 series)")
    # A target that went away a minute ago still has its earlier height; that says nothing about now.
    samples["up"].pop()
    samples["best_before"].append(sample("10", 1000, instance="192.0.2.10:9616"))
    assert judge(collect(samples, {}, "validator")).status == "healthy"


@pytest.mark.parametrize(
    ("heights", "best"),
    [
        ([], None),
        ([9], None),
        ([9, 7], 7),
        ([9, 8, 7], 8),
        ([9, 9, 8, 7, 7], 9),
        ([9, 9, 8, 8, 7, 7], 8),
        ([9] * 7 + [8] * 14, 8),
        ([9] * 8 + [8] * 13, 9),
    ],
)
def test_the_best_is_what_more_than_a_third_and_at_least_two_have_reached(
    heights: list[float], best: float | None
) -> None:
    assert reached(heights) == reached(reversed(heights)) == best


def test_one_that_is_too_high_makes_no_other_lag() -> None:
    given = fleet(dict.fromkeys(range(1, 22), 1000.0) | {5: 1011})
    above = "11 blocks above the best that the others have reached (limit 10)"
    assert found(given) == dict.fromkeys(range(1, 22), ("healthy", "in step: at the best")) | {5: ("unknown", above)}
    summary, validators = Judge(FLEET, THRESHOLDS, EXPRESSIONS).network(given, 1.0, None)
    assert (summary.best_height, summary.finalized_height, summary.spread) == (1000, 997, 0)
    assert {one.lag for one in validators} == {0}


def test_a_third_that_is_too_high_makes_no_other_lag_and_more_do() -> None:
    def statuses(liars: int) -> list[str]:
        given = fleet(dict.fromkeys(range(1, 22), 1000.0) | dict.fromkeys(range(1, liars + 1), 2000.0))
        return [status for status, _unused in found(given).values()]

    assert statuses(7) == ["unknown"] * 7 + ["healthy"] * 14
    assert statuses(8) == ["healthy"] * 8 + ["lagging"] * 13


def test_of_two_that_are_apart_nobody_knows_which_is_right() -> None:
    apart = "the only two with fresh heights are 11 blocks apart (limit 10): which one is right cannot be told"
    two = (LEADER, OTHER)
    assert found(fleet({1: 1000, 10: 1011}), two) == dict.fromkeys((1, 10), ("unknown", apart))
    assert found(fleet({1: 1000, 10: 1010}), two) == {
        1: ("healthy", "in step: at the best"),
        10: ("healthy", "in step: 10 blocks above the best"),
    }
    # What is wrong by its own facts is certain.
    given = fleet({1: 1000, 10: 1011})
    given = replace(given, facts={**given.facts, "1": {**given.facts["1"], "best_before": 1000}})
    assert found(given, two) == {1: ("lagging", "no new block for 120 s, at 1000"), 10: ("unknown", apart)}
    # So too where the others of a fleet are not seen.
    assert found(fleet({1: 1000, 2: 1011}))[1] == ("unknown", apart)


def test_a_height_alone_tells_nothing_unless_there_is_one_validator() -> None:
    assert found(fleet({1: 1000}))[1] == ("unknown", "no other validator has a fresh height to compare its own with")
    given = fleet({1: 1000})
    summary, validators = Judge((LEADER,), THRESHOLDS, EXPRESSIONS).network(given, 1.0, None)
    assert (validators[0].status, validators[0].lag, summary.best_height) == ("healthy", None, None)
    assert validators[0].reason == "in step by its own facts: there is no other to compare its height with"


def test_who_is_not_believed_has_no_say_in_the_best() -> None:
    high: dict[Fact, float] = {**SOUND, "best": 5000}
    for silent in ({**high, "sampled": NOW - 200}, {**high, "up": 0}):
        given = fleet({1: 1000, 2: 1000})
        given = replace(given, facts={**given.facts, "3": silent, "4": silent})
        assert found(given)[1] == ("healthy", "in step: at the best")
    given = replace(
        given, facts={**given.facts, "3": high, "4": high}, ambiguous={("3", "peers"): 2, ("4", "peers"): 2}
    )
    assert found(given)[1] == ("healthy", "in step: at the best")


def test_the_summary_counts_every_status() -> None:
    summary, _unused = Judge((LEADER, THIRD, OTHER), THRESHOLDS, EXPRESSIONS).network(
        snapshot(best=900, best_before=890, finalized=897), 1.0, None
    )
    assert summary.validators == 3
    assert summary.by_status == {
        "offline": 0,
        "isolated": 0,
        "lagging": 1,
        "unknown": 0,
        "syncing": 0,
        "healthy": 2,
    }
    assert (summary.best_height, summary.finalized_height, summary.spread) == (1000, 997, 100)
