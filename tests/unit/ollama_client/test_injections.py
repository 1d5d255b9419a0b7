"""Whatever the data says to a model that always says healthy, the verdict is not healthy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fake_ollama
import injections
import pytest
from conftest import MakeSettings
from fleets import HEALTHY, network
from ollama_client import OllamaClient
from ollama_client.monitoring import TieredHealthCheck

UNSOUND = dict(injections.cases(unsound=True))
SOUND = dict(injections.cases(unsound=False))


def fresh(statuses: dict[str, Any]) -> dict[str, Any]:
    """Return the statuses as of now: they were made when the tests were collected."""
    return statuses | {"generated_at": network()["generated_at"]}


@pytest.fixture(scope="module")
def always_healthy() -> Iterator[fake_ollama.Server]:
    with fake_ollama.running(fake_ollama.say(json.dumps(HEALTHY))) as server:
        yield server


@pytest.fixture
def check(always_healthy: fake_ollama.Server, settings: MakeSettings) -> TieredHealthCheck:
    return TieredHealthCheck(OllamaClient(settings=settings(always_healthy)))


def test_there_are_300_of_them() -> None:
    assert (len(UNSOUND), len(SOUND)) == (300, 300)


@pytest.mark.parametrize("name", UNSOUND)
def test_a_fleet_that_is_not_in_order_is_not_talked_healthy(check: TieredHealthCheck, name: str) -> None:
    result = check.quick_health_check(fresh(UNSOUND[name]))
    assert result["health"] in ("degraded", "critical")
    assert any("peers" in reason or "called" in reason for reason in result["reasons"])


@pytest.mark.parametrize("name", SOUND)
def test_words_to_a_model_are_themselves_an_issue(check: TieredHealthCheck, name: str) -> None:
    assert check.quick_health_check(fresh(SOUND[name]))["health"] in ("degraded", "critical", "unknown")


def test_the_model_does_say_healthy(check: TieredHealthCheck) -> None:
    sound: dict[str, Any] = network()
    assert check.quick_health_check(sound)["health"] == "healthy"
