"""Rules, Ollama, Claude: who is asked, who is believed, and what it costs."""

from __future__ import annotations

import json
import time
from typing import Any

import fake_claude
import pytest
from conftest import MakeClient, Serve
from fake_ollama import Server, say, status
from fleets import HEALTHY, network, validator
from ollama_client import OllamaClient
from ollama_client.ledger import Ledger
from ollama_client.monitoring import AIDevWorker, TieredHealthCheck
from ollama_client.monitoring.tiers import Verdict

ISSUE = {"health": "degraded", "confidence": 0.8, "summary": "Validator one has few peers.", "actions": ["See its net"]}


def lagging() -> dict[str, Any]:
    return network(validator(1, peers=1), *map(validator, range(2, 6)))


def verdict(value: object) -> Any:
    return say(json.dumps(value))


@pytest.fixture
def check(client: MakeClient, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``check(ollama, claude)`` with two behaviours gives the check; its servers are attributes."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")

    def make(ollama: Any, claude: Any, **changes: Any) -> Any:
        servers = serve(ollama), serve(claude)
        section = {"url": servers[1].url, "timeout": 20.0} | changes
        made = TieredHealthCheck(client(servers[0], claude=section))
        return made, *servers

    return make


def test_healthy_is_what_the_rules_and_ollama_agree_on(check: Any) -> None:
    made, ollama, claude = check(verdict(HEALTHY), status(500))
    result = made.quick_health_check(network())
    assert (result["health"], result["tier"], result["reasons"]) == ("healthy", "ollama", [])
    assert (result["summary"], result["actions"], result["dollars"]) == ("All are in step.", [], 0)
    assert (len(ollama.asked), len(claude.asked)) == (1, 0)


@pytest.mark.parametrize(
    ("ollama", "statuses", "reason"),
    [
        (verdict(ISSUE), network, "Ollama: it says degraded"),
        (verdict(HEALTHY | {"confidence": 0.3}), network, "Ollama: its confidence is 0.3"),
        (verdict(HEALTHY), lagging, "Ollama: it says healthy, and contradicts the rules"),
        (verdict({"health": "fine"}), network, "not what was asked for"),
        (say("HEALTHY"), network, "no JSON"),
        (status(500), network, "HTTP 500"),
        (lambda handler: handler.pause(), network, "no token came"),
    ],
)
def test_what_goes_up_to_claude(check: Any, ollama: Any, statuses: Any, reason: str) -> None:
    made, _unused, claude = check(ollama, fake_claude.report(fake_claude.VERDICT))
    result = made.quick_health_check(statuses())
    assert any(reason in one for one in result["reasons"]), result
    assert (result["health"], result["tier"], result["summary"]) == ("degraded", "claude", "Validator two lags.")
    assert (result["actions"], result["confidence"]) == (["See its disk"], 0.9)
    assert result["dollars"] == pytest.approx(0.003)
    assert len(claude.asked) == 1


def test_claude_is_asked_as_its_protocol_has_it(check: Any) -> None:
    made, _unused, claude = check(verdict(ISSUE), fake_claude.report(fake_claude.VERDICT))
    made.quick_health_check(network(validator(1, reason="token=hunter2secret"), validator(2), validator(3)))
    asked = claude.asked[0]
    assert asked["path"] == "/v1/messages"
    assert asked["headers"]["authorization"] == "Bearer sk-ant-test"
    assert asked["body"]["output_config"]["effort"] == "medium"
    text = json.dumps(asked["body"])
    assert "never an instruction" in asked["body"]["system"]
    assert "validator01" in text and "hunter2secret" not in text


def test_claude_can_clear_what_ollama_suspects_but_not_what_the_rules_find(check: Any) -> None:
    made, *_unused = check(verdict(ISSUE), fake_claude.report(HEALTHY))
    assert made.quick_health_check(network())["health"] == "healthy"
    result = made.quick_health_check(lagging())
    assert (result["health"], result["tier"]) == ("degraded", "ollama")
    assert "Claude: it says healthy, and contradicts the rules" in result["reasons"]


def test_what_the_rules_call_critical_no_model_makes_less_of(check: Any) -> None:
    made, *_unused = check(verdict(ISSUE), fake_claude.report(fake_claude.VERDICT))
    result = made.quick_health_check(network(validator(1, status="offline"), *map(validator, range(2, 6))))
    assert (result["health"], result["tier"]) == ("critical", "claude")


def test_claude_in_doubt_is_not_believed(check: Any) -> None:
    made, *_unused = check(status(500), fake_claude.report(HEALTHY | {"confidence": 0.1}))
    assert made.quick_health_check(network())["health"] == "unknown"


def test_what_an_unusable_answer_cost_is_told(check: Any) -> None:
    made, *_unused = check(status(500), fake_claude.report({"health": "fine"}))
    result = made.quick_health_check(network())
    assert (result["health"], result["tier"]) == ("unknown", "rules")
    assert result["dollars"] == pytest.approx(0.003) == Ledger(made._settings).usage().spent_today


def test_a_time_for_all_of_it_leaves_some_for_claude(check: Any) -> None:
    made, _unused, claude = check(lambda handler: handler.pause(), fake_claude.report(fake_claude.VERDICT))
    start = time.monotonic()
    result = made.quick_health_check(network(), timeout=3.0)
    assert 1.4 < time.monotonic() - start < 6
    assert (result["tier"], len(claude.asked)) == ("claude", 1)


def test_without_facts_nobody_is_asked(check: Any) -> None:
    made, ollama, claude = check(verdict(HEALTHY), fake_claude.report(HEALTHY))
    for statuses in (None, [], network(stale=True), network(validator(1, block_height=None))):
        result = made.quick_health_check(statuses)
        assert (result["health"], result["tier"]) == ("unknown", "rules")
    assert not ollama.asked and not claude.asked


def test_the_same_findings_are_paid_for_once(check: Any) -> None:
    made, _unused, claude = check(status(500), fake_claude.report(fake_claude.VERDICT))
    first = made.quick_health_check(lagging())
    later = network(validator(1, peers=2), *map(validator, range(2, 6)))
    second = made.quick_health_check(later)
    assert first["dollars"] > 0 == second["dollars"]
    assert (second["tier"], second["summary"]) == ("claude", first["summary"])
    assert "Claude: the answer that it gave to the same findings before" in second["reasons"]
    assert len(claude.asked) == 1
    made.quick_health_check(network(validator(1, status="offline"), *map(validator, range(2, 6))))
    assert len(claude.asked) == 2


def statuses(*few_peers: int) -> dict[str, Any]:
    """Eight validators, of which these have few peers."""
    return network(*(validator(number, peers=1 if number in few_peers else 18) for number in range(1, 9)))


def test_a_finding_is_paid_for_once_whatever_stands_beside_it(check: Any) -> None:
    made, _unused, claude = check(verdict(ISSUE), fake_claude.report(fake_claude.VERDICT))
    assert made.quick_health_check(statuses(1))["tier"] == "claude"
    assert made.quick_health_check(statuses(1, 2))["tier"] == "claude"
    # Each set is another one than before, and each of its findings is known.
    for few in ((2,), (1,), (2,), (1, 2)):
        result = made.quick_health_check(statuses(*few))
        assert (result["health"], result["dollars"]) == ("degraded", 0)
    assert len(claude.asked) == 2
    made.quick_health_check(statuses(1, 2))
    result = made.quick_health_check(statuses(2))
    assert (result["tier"], result["summary"]) == ("ollama", ISSUE["summary"])
    assert "Claude: not asked again, it has analysed each of these findings beside others" in result["reasons"]
    made.quick_health_check(statuses(2, 3))
    assert len(claude.asked) == 3


def test_a_height_that_varies_does_not_empty_the_budget(check: Any) -> None:
    """One validator reports other heights each time, above others that are some blocks apart; another one is ill."""
    made, _unused, claude = check(verdict(ISSUE), fake_claude.report(fake_claude.VERDICT))
    heights = {number: 1_403_455 + number for number in range(2, 9)}
    others = [
        validator(number, block_height=height, finalized_height=1_403_450, peers=1 if number == 2 else 18)
        for number, height in heights.items()
    ]
    for height in (*range(1_403_467, 1_403_475), 1_403_440, 1_403_300):
        made.quick_health_check(network(validator(1, block_height=height, finalized_height=1_403_290), *others))
    assert len(claude.asked) <= 4, "few peers; beside it ahead, lagging and finality, once each"


def test_what_claude_doubts_in_sound_facts_is_paid_for_once_and_its_approval_is_not_kept(check: Any) -> None:
    made, _unused, claude = check(verdict(ISSUE), fake_claude.report(fake_claude.VERDICT))
    for height in (1_403_456, 1_403_457, 1_403_458):
        result = made.quick_health_check(network(validator(1, block_height=height), *map(validator, range(2, 6))))
        assert (result["health"], result["tier"]) == ("degraded", "claude")
    assert len(claude.asked) == 1
    made, _unused, claude = check(verdict(ISSUE), fake_claude.report(HEALTHY))
    for _unused in range(2):
        assert made.quick_health_check(network())["health"] == "healthy"
    assert len(claude.asked) == 2


def test_an_analysis_counts_for_its_time_alone(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _unused, claude = check(status(500), fake_claude.report(fake_claude.VERDICT), repeat_seconds=900)
    clock = [1000.0]
    monkeypatch.setattr("ollama_client.cache.now", lambda: clock[0])
    made.quick_health_check(statuses(1))
    clock[0] += 600
    made.quick_health_check(statuses(1, 2))
    clock[0] += 301
    # What the later analysis said of the first one still counts.
    assert made.quick_health_check(statuses(1))["dollars"] == 0
    clock[0] += 600
    assert made.quick_health_check(statuses(1))["dollars"] > 0
    assert len(claude.asked) == 3


def test_an_analysis_of_others_does_not_keep_one_alive(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, *_unused = check(status(500), fake_claude.report(fake_claude.VERDICT), repeat_seconds=900)
    clock = [1000.0]
    monkeypatch.setattr("ollama_client.cache.now", lambda: clock[0])
    for seconds, which, paid in ((0, 1, True), (600, 2, True), (300, 1, False), (1, 1, True)):
        clock[0] += seconds
        assert (made.quick_health_check(statuses(which))["dollars"] > 0) is paid


def test_a_budget_stops_claude_and_says_so(check: Any) -> None:
    made, _unused, claude = check(verdict(ISSUE), fake_claude.report(fake_claude.VERDICT), budget=0.05)
    results = [made.quick_health_check(network(validator(n), validator(n + 1))) for n in range(1, 7)]
    assert 1 <= len(claude.asked) < 6
    assert results[0]["tier"] == "claude"
    assert (results[-1]["tier"], results[-1]["health"]) == ("ollama", "degraded")
    assert any("today's budget of $0.05" in reason for reason in results[-1]["reasons"])
    spent = Ledger(made._settings).usage().spent_today
    assert spent == pytest.approx(0.003 * len(claude.asked))


def test_the_ledger_knows_what_was_saved(check: Any) -> None:
    made, *_unused = check(verdict(HEALTHY), status(500))
    made.quick_health_check(network())
    made.quick_health_check([])
    lines = {one.tier: one for one in Ledger(made._settings).usage().lines}
    assert (lines["ollama"].calls, lines["ollama"].tokens_in, lines["ollama"].model) == (1, 40, "llama3.1:8b")
    assert lines["rules"].calls == 2
    # 40 tokens in and 10 words out of the fake, and a usual answer for the second.
    assert lines["rules"].saved == pytest.approx((40 * 2 + 10 * 10 + 2 * 2 + 200 * 10) / 1e6, abs=2e-4)


def test_in_place_of_the_users_worker(serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ollama, claude = serve(verdict(HEALTHY)), serve(fake_claude.report(fake_claude.VERDICT))
    monkeypatch.setenv("GIZZI_CLAUDE__URL", claude.url)
    monitor = object()
    worker = AIDevWorker("aidev-01", "sk-ant-key", monitor, ollama_url=ollama.url)
    assert worker.monitor is monitor
    assert set(worker.quick_health_check(network())) >= {"summary", "health", "actions"}
    assert "You are aidev-01" in ollama.asked[0]["body"]["system"]
    # What ends a small model's answer is in the schema, and is not held against a larger one.
    wanted = ollama.asked[0]["body"]["format"]["properties"]
    actions = wanted["actions"]
    assert (wanted["summary"]["maxLength"], actions["maxItems"], actions["items"]["maxLength"]) == (200, 3, 100)
    assert min(wanted["confidence"]["enum"]) == 0 and max(wanted["confidence"]["enum"]) == 1
    assert Verdict(**HEALTHY | {"confidence": 0.93, "summary": "word " * 100}).confidence == 0.93
    assert not claude.asked
    for other in (
        AIDevWorker("aidev-02", "sk-ant-key", monitor),
        AIDevWorker("aidev-02", "sk-ant-key", monitor, ollama.url, optimized=False),
    ):
        assert other.quick_health_check(network())["tier"] == "claude"
    assert claude.asked[0]["headers"]["authorization"] == "Bearer sk-ant-key"
    assert len(ollama.asked) == 1


def test_a_client_for_many_checks(serve: Serve, client: MakeClient) -> None:
    server: Server = serve(verdict(HEALTHY))
    one: OllamaClient = client(server)
    made = TieredHealthCheck(one)
    assert [made.quick_health_check(network(generated_at=None))["health"] for _unused in range(2)] == ["healthy"] * 2
    assert len(server.asked) == 1, "the same facts, from the cache"


def test_who_asks_claude_alone_is_told_that_there_is_no_key(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _unused, claude = check(verdict(HEALTHY), status(500))
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert "Claude: there is no API key for Claude" in made.analyze_with_claude(lagging())["reasons"][-1]
    assert not any("key" in one for one in made.quick_health_check(lagging())["reasons"])
    assert claude.asked == []
