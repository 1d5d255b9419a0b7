"""Claude through Anthropic's own library: its pace, its errors, and what they cost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fake_claude
import pytest
from conftest import MakeSettings, Serve
from fake_ollama import Behaviour, Handler, Server, until
from ollama_client import errors
from ollama_client.claude import Claude
from ollama_client.deadline import Deadline
from ollama_client.ledger import Ledger
from ollama_client.monitoring.tiers import Verdict

SOUND = fake_claude.report(fake_claude.VERDICT)


class World:
    """A Claude, and a ledger that pays it."""

    def __init__(self, server: Server, settings: Any) -> None:
        self.server = server
        self.ledger = Ledger(settings)
        self.claude = Claude(settings.claude, self.ledger, "sk-ant-test")

    def ask(self, seconds: float = 20.0) -> Any:
        return self.claude.report("Be brief.", "Is all well?", Verdict, Deadline(seconds))

    @property
    def spent(self) -> float:
        return self.ledger.usage().spent_today


@pytest.fixture
def world(serve: Serve, settings: MakeSettings) -> Any:
    def make(behave: Behaviour, **section: Any) -> World:
        server = serve(behave)
        return World(server, settings(claude={"url": server.url, "timeout": 20.0} | section))

    return make


def then(first: Behaviour, second: Behaviour, times: int = 1) -> Behaviour:
    """The first so many times, and then the second."""
    seen: list[None] = []

    def behave(handler: Handler) -> None:
        seen.append(None)
        (first if len(seen) <= times else second)(handler)

    return behave


def test_an_answer_is_paid_for_by_its_tokens(world: Any) -> None:
    one = world(SOUND, price_in=10.0, price_out=100.0)
    reply = one.ask()
    assert reply.value == Verdict(**fake_claude.VERDICT)
    assert (reply.tokens_in, reply.tokens_out) == (1000, 100)
    assert reply.dollars == pytest.approx(0.02) == one.spent
    (line,) = one.ledger.usage().lines
    assert (line.tier, line.model, line.calls, line.failures) == ("claude", "claude-sonnet-5-5", 1, 0)


def test_retry_after_is_heeded(world: Any) -> None:
    one = world(then(fake_claude.error(429, "rate_limit_error", retry_after="0.4"), SOUND))
    start = time.monotonic()
    assert one.ask().value.health == "degraded"
    assert 0.4 <= time.monotonic() - start < 10
    assert len(one.server.asked) == 2


def test_retry_after_beyond_the_deadline_is_not_waited_for(world: Any) -> None:
    one = world(fake_claude.error(429, "rate_limit_error", retry_after="60"))
    start = time.monotonic()
    with pytest.raises(errors.ClaudeUnavailableError, match="HTTP 429"):
        one.ask()
    assert time.monotonic() - start < 10
    assert (len(one.server.asked), one.spent) == (1, 0)


@pytest.mark.parametrize("failure", [fake_claude.overloaded, fake_claude.error(500, "api_error")])
def test_an_overload_is_tried_three_times(world: Any, monkeypatch: pytest.MonkeyPatch, failure: Behaviour) -> None:
    monkeypatch.setattr("ollama_client.claude.BACKOFF", 0.01)
    one = world(then(failure, SOUND, times=2))
    assert one.ask().value.confidence == 0.9
    one = world(failure)
    before = one.spent
    with pytest.raises(errors.ClaudeUnavailableError) as caught:
        one.ask()
    assert (len(one.server.asked), one.spent, caught.value.billed) == (3, before, False)


@pytest.mark.parametrize("failure", [fake_claude.unauthorized, fake_claude.error(400, "invalid_request_error")])
def test_a_refusal_is_not_repeated(world: Any, failure: Behaviour) -> None:
    one = world(failure)
    with pytest.raises(errors.ClaudeUnavailableError):
        one.ask()
    assert (len(one.server.asked), one.spent) == (1, 0)


@pytest.mark.parametrize(
    "failure", [fake_claude.cut, fake_claude.garbage, fake_claude.silence, fake_claude.error_in_stream]
)
def test_what_may_have_cost_something_counts_as_spent(world: Any, failure: Behaviour) -> None:
    one = world(failure, timeout=0.6)
    with pytest.raises(errors.ClaudeUnavailableError) as caught:
        one.ask()
    assert caught.value.billed and caught.value.elapsed is not None
    # What one call may cost at most: 4096 tokens of an answer at $10 per million, and the prompt.
    assert 0.04096 < one.spent < 0.042
    assert caught.value.dollars == pytest.approx(one.spent)
    assert one.ledger.usage().lines[0].failures == 1


@pytest.mark.parametrize(
    "failure",
    [fake_claude.text_only, fake_claude.report({}), fake_claude.report(["HEALTHY"], stop_reason="max_tokens")],
)
def test_an_answer_that_cannot_be_used_was_paid_for(world: Any, failure: Behaviour) -> None:
    one = world(failure)
    with pytest.raises(errors.ClaudeAnswerError) as caught:
        one.ask()
    assert 0.002 <= one.spent < 0.0035
    assert caught.value.dollars == pytest.approx(one.spent)


@pytest.mark.parametrize(("effort", "sent"), [("low", {"effort": "low"}), ("default", {})])
def test_a_schema_and_an_effort_go_along(world: Any, effort: str, sent: dict[str, str]) -> None:
    one = world(SOUND, effort=effort)
    one.ask()
    output = one.server.asked[0]["body"]["output_config"]
    wanted = output.pop("format")
    assert (wanted["type"], wanted["schema"]["additionalProperties"]) == ("json_schema", False)
    assert wanted["schema"]["required"] == ["health", "confidence", "summary", "actions"]
    assert output == sent


def test_without_time_nothing_is_asked_or_paid(world: Any) -> None:
    one = world(SOUND)
    with pytest.raises(errors.ClaudeUnavailableError, match="no time left"):
        one.ask(seconds=0.0)
    assert (len(one.server.asked), one.spent) == (0, 0)


def test_a_budget_is_not_overdrawn_by_many_at_once(world: Any) -> None:
    refused: list[str] = []

    def slow(handler: Handler) -> None:
        until(lambda: len(refused) >= 6)
        SOUND(handler)

    one = world(slow, budget=0.1)

    def ask(number: int) -> None:
        try:
            one.ask()
        except errors.BudgetError as error:
            refused.append(str(error))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(one.server.asked) == 2
    assert one.spent == pytest.approx(2 * 0.003)
    assert "today's budget of $0.10 does not allow another call" in refused[0]


def test_no_key_and_no_budget_cost_nothing(world: Any, settings: MakeSettings) -> None:
    one = world(SOUND, budget=0.0)
    with pytest.raises(errors.BudgetError):
        one.ask()
    with pytest.raises(errors.ClaudeUnsetError, match="no API key"):
        Claude(settings().claude, one.ledger).report("", "?", Verdict, Deadline(1))
    assert not one.server.asked


def test_without_the_extra_it_says_so(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_client.claude.find_spec", lambda name: None)
    with pytest.raises(errors.ClaudeUnsetError, match="not installed"):
        world(SOUND).ask()
