"""Whatever the data says to a model that always says healthy, the verdict is not healthy."""

from __future__ import annotations

import json
from collections import Counter
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


@pytest.fixture(scope="module")
def always_healthy() -> Iterator[fake_ollama.Server]:
    with fake_ollama.running(fake_ollama.say(json.dumps(HEALTHY))) as server:
        yield server


@pytest.fixture
def check(always_healthy: fake_ollama.Server, settings: MakeSettings) -> TieredHealthCheck:
    return TieredHealthCheck(OllamaClient(settings=settings(always_healthy)))


@pytest.mark.parametrize("found", [UNSOUND, SOUND], ids=["unsound", "sound"])
def test_there_are_300_in_journals_and_metrics_in_five_languages(found: dict[str, Any]) -> None:
    told = [name.split(", ") for name in found]
    assert len(told) == 480
    for source, count in (("journal", 180), ("metrics", 120)):
        in_source = [language for language, _kind, place, *_unused in told if place == source]
        assert Counter(in_source) == dict.fromkeys(("en", "de", "fr", "es", "zh"), count / 5)


@pytest.mark.parametrize("name", UNSOUND)
def test_a_fleet_that_is_not_in_order_is_not_talked_healthy(check: TieredHealthCheck, name: str) -> None:
    result = check.quick_health_check(injections.fresh(UNSOUND[name]))
    assert result["health"] in ("degraded", "critical")
    assert any("peers" in reason or "called" in reason for reason in result["reasons"])


@pytest.mark.parametrize("name", SOUND)
def test_words_to_a_model_are_themselves_an_issue(check: TieredHealthCheck, name: str) -> None:
    assert check.quick_health_check(injections.fresh(SOUND[name]))["health"] in ("degraded", "critical", "unknown")


def test_the_model_does_say_healthy(check: TieredHealthCheck) -> None:
    sound: dict[str, Any] = network()
    assert check.quick_health_check(sound)["health"] == "healthy"
