# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.modules import ollama_golden

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

SCHEMA = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["HEALTHY", "ISSUE_DETECTED"]}},
    "required": ["status"],
}


@pytest.fixture
def golden(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> Run:
    def run(*prompts: dict[str, Any], **args: Any) -> dict[str, Any]:
        return run_module(ollama_golden.main, url=ollama.url, model="mistral", prompts=list(prompts), **args)

    return run


def test_counts_good_answers_and_names_the_bad(golden: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"capital": "It is Paris.", "port": "80", "empty": " "}
    result = golden(
        {"prompt": "capital", "pattern": r"\bParis\b"},
        {"name": "metrics", "prompt": "port", "pattern": "9615"},
        {"prompt": "empty", "pattern": ".*"},
    )
    assert (result["pass_rate"], result["passed"]) == (0.3333, 1)
    assert [failure["name"] for failure in result["failures"]] == ["metrics", "empty"]
    assert result["failures"][0]["answer"] == "80"
    assert "'9615'" in result["failures"][0]["reason"]
    assert "empty" in result["failures"][1]["reason"]
    # Each of the fake's answers has 3 tokens in 0.2 s.
    assert result["tokens_per_second"] == 15.0


def test_asks_the_same_every_time(golden: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"judge": '{"status": "HEALTHY"}'}
    golden({"prompt": "judge", "system": "Be short.", "schema": SCHEMA, "tokens": 7}, seed=5)
    (sent,) = (body for _method, path, body in ollama.requests if path == "/api/generate")
    assert sent == {
        "model": "mistral:latest",
        "prompt": "judge",
        "system": "Be short.",
        "format": SCHEMA,
        "options": {"temperature": 0, "seed": 5, "num_predict": 7},
        "think": False,
        "stream": False,
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"status": "HEALTHY"}', ""),
        ('{"status": "FINE"}', "'FINE'"),
        ("{}", "has no status"),
        ('{"status": "HEAL', "not JSON"),
    ],
)
def test_a_schema_is_checked_on_arrival(golden: Run, ollama: FakeOllama, answer: str, reason: str) -> None:
    ollama.answers = {"judge": answer}
    result = golden({"prompt": "judge", "schema": SCHEMA})
    assert result["passed"] == (0 if reason else 1)
    assert reason in "".join(failure["reason"] for failure in result["failures"])


def test_a_model_that_fails_has_failed_the_prompt(golden: Run) -> None:
    result = golden({"prompt": "unknown", "pattern": "x"})
    assert result.get("failed", False) is False
    assert (result["pass_rate"], result["tokens_per_second"]) == (0, None)
    assert "the runner has crashed" in result["failures"][0]["reason"]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"prompt": "a"}, "either a pattern or a schema"),
        ({"prompt": "a", "pattern": "a", "schema": SCHEMA}, "either a pattern or a schema"),
        ({"prompt": "a", "pattern": "("}, "regular expression"),
        ({"prompt": "a", "schema": {"type": "object", "oneOf": []}}, "oneOf"),
    ],
)
def test_a_prompt_that_cannot_be_judged_is_refused(
    golden: Run, ollama: FakeOllama, prompt: dict[str, Any], message: str
) -> None:
    result = golden(prompt)
    assert result["failed"] is True
    assert message in result["msg"]
    assert ollama.requests == []


@pytest.mark.parametrize(("below", "asked"), [(0, 1), (15, 1), (15.1, 2)])
def test_what_seems_slow_is_measured_once_more(golden: Run, ollama: FakeOllama, below: float, asked: int) -> None:
    ollama.answers = {"capital": "Paris"}
    ollama.answer_seconds = [0.2, 0.1]
    result = golden({"prompt": "capital", "pattern": "Paris"}, again_below=below)
    assert len(ollama.paths("/api/generate")) == asked
    assert result["tokens_per_second"] == (30.0 if asked == 2 else 15.0)
    assert result["pass_rate"] == 1


def test_the_faster_time_counts(golden: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"capital": "Paris"}
    ollama.answer_seconds = [0.2, 0.4]
    assert golden({"prompt": "capital", "pattern": "Paris"}, again_below=20)["tokens_per_second"] == 15.0


def test_no_prompt_measures_nothing(golden: Run) -> None:
    assert "there is none" in golden()["msg"]


def test_a_long_answer_is_shortened(golden: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"a": json.dumps("!" * 5000)}
    assert len(golden({"prompt": "a", "pattern": "x"})["failures"][0]["answer"]) == ollama_golden.SHOWN
