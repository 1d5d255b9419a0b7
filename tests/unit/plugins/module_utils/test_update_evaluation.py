# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _silence
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._update import evaluation
from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import (
    Evaluation,
    Failure,
    evaluate_fairly,
    read_prompts,
    worse,
)

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
def evaluated(ollama: FakeOllama) -> Run:
    """Return a function that evaluates a model, and returns what was measured as a mapping."""

    def run(*prompts: dict[str, Any], again_below: float = 0, timeout: float = 5) -> dict[str, Any]:
        server, model = Ollama(ollama.url, 10), parse_model_name("mistral")
        found = evaluate_fairly(server, model, read_prompts(prompts), timeout, again_below)
        measured = {"pass_rate": found.pass_rate, "passed": found.passed, "tokens_per_second": found.speed}
        return {**measured, "failures": [asdict(failure) for failure in found.failures]}

    return run


def test_counts_good_answers_and_names_the_bad(evaluated: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"capital": "It is Paris.", "port": "80", "empty": " "}
    result = evaluated(
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


def test_asks_the_same_every_time(evaluated: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"judge": '{"status": "HEALTHY"}'}
    evaluated({"prompt": "judge", "system": "Be short.", "schema": SCHEMA, "tokens": 7})
    (sent,) = (body for _method, path, body in ollama.requests if path == "/api/generate")
    assert sent == {
        "model": "mistral:latest",
        "prompt": "judge",
        "system": "Be short.",
        "format": SCHEMA,
        "options": {"temperature": 0, "seed": 1, "num_predict": 7},
        "think": False,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"status": "HEALTHY"}', ""),
        ('{"status": "FINE"}', "'FINE'"),
        ("{}", "has no status"),
        ('{"status": "HEAL', "no JSON"),
    ],
)
def test_a_schema_is_checked_on_arrival(evaluated: Run, ollama: FakeOllama, answer: str, reason: str) -> None:
    ollama.answers = {"judge": answer}
    result = evaluated({"prompt": "judge", "schema": SCHEMA})
    assert result["passed"] == (0 if reason else 1)
    assert reason in "".join(failure["reason"] for failure in result["failures"])


def test_a_model_that_fails_has_failed_the_prompt(evaluated: Run) -> None:
    result = evaluated({"prompt": "unknown", "pattern": "x"})
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
    evaluated: Run, ollama: FakeOllama, prompt: dict[str, Any], message: str
) -> None:
    with pytest.raises(GizziError, match=message):
        evaluated(prompt)
    assert ollama.requests == []


@pytest.mark.parametrize(("below", "asked"), [(0, 1), (15, 1), (15.1, 2)])
def test_what_seems_slow_is_measured_once_more(evaluated: Run, ollama: FakeOllama, below: float, asked: int) -> None:
    ollama.answers = {"capital": "Paris"}
    ollama.answer_seconds = [0.2, 0.1]
    result = evaluated({"prompt": "capital", "pattern": "Paris"}, again_below=below)
    assert len(ollama.paths("/api/generate")) == asked
    assert result["tokens_per_second"] == (30.0 if asked == 2 else 15.0)
    assert result["pass_rate"] == 1


def test_the_faster_time_counts(evaluated: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"capital": "Paris"}
    ollama.answer_seconds = [0.2, 0.4]
    assert evaluated({"prompt": "capital", "pattern": "Paris"}, again_below=20)["tokens_per_second"] == 15.0


def test_no_prompt_measures_nothing(evaluated: Run) -> None:
    with pytest.raises(GizziError, match="there is none"):
        evaluated()


def test_a_long_answer_is_shortened(evaluated: Run, ollama: FakeOllama) -> None:
    ollama.answers = {"a": json.dumps("!" * 5000)}
    assert len(evaluated({"prompt": "a", "pattern": "x"})["failures"][0]["answer"]) == evaluation.SHOWN


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the server's processes have taken so much more processor time at each look, in seconds; None is unseen."""

    def grows(seconds: float | None) -> None:
        looks = itertools.count()
        monkeypatch.setattr(
            _silence, "cpu_behind", lambda _url: None if seconds is None else {7: next(looks) * seconds}
        )

    return grows


CAPITAL = {"prompt": "capital", "pattern": "Paris"}


def test_a_busy_server_is_asked_again(evaluated: Run, ollama: FakeOllama, cpu: Callable[..., None]) -> None:
    """Its silence was a bad answer of the model."""
    cpu(0.2)
    ollama.answers, ollama.silent_answers = {"capital": "Paris"}, 1
    result = evaluated(CAPITAL, CAPITAL, timeout=0.4)
    assert (result["passed"], result["failures"]) == (2, [])
    assert len(ollama.paths("/api/generate")) == 3


@pytest.mark.parametrize(("taken", "error"), [(0.2, _silence.BusyError), (None, _silence.UnseenError)])
def test_of_a_server_that_stays_busy_nothing_is_measured(
    evaluated: Run, ollama: FakeOllama, cpu: Callable[..., None], taken: float | None, error: type[GizziError]
) -> None:
    cpu(taken)
    ollama.answers, ollama.silent_answers = {"capital": "Paris"}, 10
    started = time.monotonic()
    with pytest.raises(error, match=r"mistral:latest gave no token for 0\.3 s"):
        evaluated(CAPITAL, CAPITAL, timeout=0.3)
    # Twice, and not for longer than both prompts may take.
    assert len(ollama.paths("/api/generate")) == 2
    assert time.monotonic() - started < 2


def test_a_server_that_hangs_has_failed_the_prompt(
    evaluated: Run, ollama: FakeOllama, cpu: Callable[..., None]
) -> None:
    cpu(0.001)
    ollama.answers, ollama.silent_answers = {"capital": "Paris"}, 1
    result = evaluated(CAPITAL, CAPITAL, timeout=0.3)
    assert result["passed"] == 1
    assert "silence for 0.3 s before its first token" in result["failures"][0]["reason"]


def test_an_answer_that_takes_too_long_has_failed_however_busy_the_server_is(
    evaluated: Run, ollama: FakeOllama, cpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(http: Any, _body: Any) -> None:
        http.begin_stream()
        http.send_line({"response": "Pa", "done": False})
        ollama.stopped.wait(5)

    cpu(0.2)
    monkeypatch.setattr(ollama, "_answer_whole", slow)
    result = evaluated(CAPITAL, timeout=0.4)
    assert result["failures"][0]["reason"] == "no answer: the answer took longer than 0.4 s"


def measured(asked: int, speed: float | None, *failures: str) -> Evaluation:
    """What came of some prompts; a failure is its name, and what was answered after a colon."""
    named = (failure.partition(":") for failure in failures)
    told = tuple(Failure(name, answer, "not as wanted") for name, _colon, answer in named)
    return Evaluation(asked, told, round((speed or 0) * 100), 100 * 10**9 if speed else 0)


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (measured(4, 10), measured(4, 10)),
        (measured(4, 7), measured(4, 10)),
        (measured(2, 20, "a"), measured(2, 10, "b")),
        (measured(4, 10, "a"), measured(4, 10, "a", "b")),
        # A server that gives no durations gives none before either.
        (measured(4, None), measured(4, None)),
        (measured(1, 1), measured(1, None, "a")),
    ],
)
def test_no_worse(after: Evaluation, before: Evaluation) -> None:
    assert worse(after, before, 0.7) == []


def test_fewer_good_answers_are_told_with_the_new_bad_one() -> None:
    after = measured(4, 10, "known:x", "new:!!!!")
    (problem,) = worse(after, measured(4, 10, "known:x"), 0.7)
    assert problem.startswith("50% of the prompts are answered well, 75% were: 'new': not as wanted, it is '!!!!'")
    assert "known" not in problem


def test_slower_than_the_share_is_told_with_figures() -> None:
    (problem,) = worse(measured(1, 6.9), measured(1, 10), 0.7)
    assert problem == "too slow: 6.90 tokens/s, at least 7.00 are wanted (0.7 of the 10.00 before)"


def test_a_speed_that_cannot_be_measured_any_more_is_worse() -> None:
    assert worse(measured(1, None), measured(1, 10), 0.7) == ["its speed could not be measured"]


def test_everything_that_is_worse_is_told() -> None:
    assert len(worse(measured(2, 1, "a", "b"), measured(2, 10), 0.7)) == 2


def test_what_measured_nothing_does_not_pass() -> None:
    (problem,) = worse(measured(2, 10, "a:?", "b"), measured(2, 10, "a", "b"), 0.7)
    assert problem.startswith(
        "nothing was measured: none of the 2 prompts was answered well, before the update or after"
    )
    assert "it is '?'" in problem
