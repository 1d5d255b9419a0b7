# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that ask and look make of a current server's own answers."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _weights
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import Runner
from ansible_collections.etrid.gizzi.plugins.module_utils._silence import UnseenError
from ansible_collections.etrid.gizzi.plugins.module_utils._update import loading
from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import evaluate, read_prompts
from ansible_collections.etrid.gizzi.plugins.module_utils._update.loading import Loader
from ansible_collections.etrid.gizzi.plugins.modules import ollama_health, ollama_info
from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import DERIVED, MODEL, THINKER, RecordedOllama

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., dict[str, Any]]

SCHEMA = {"type": "object", "properties": {"status": {"type": "string", "enum": ["OK", "ISSUE_DETECTED"]}}}
BY_SCHEMA = {"prompt": "All is well.", "schema": SCHEMA}
BY_PATTERN = {"prompt": "Hi", "pattern": "capital"}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedOllama]:
    monkeypatch.setattr(_weights, "runners_behind", lambda _url: [Runner(7, frozenset())])
    with closing(RecordedOllama()) as server:
        yield server


@pytest.fixture
def health(run_module: Run, recorded: RecordedOllama) -> Run:
    def run(model: str = MODEL, **args: Any) -> dict[str, Any]:
        return run_module(ollama_health.main, **{"url": recorded.url, "model": model, "timeout": 5, **args})

    return run


@pytest.fixture
def measured(recorded: RecordedOllama) -> Run:
    def run(prompt: dict[str, Any], model: str = DERIVED, timeout: float = 5) -> dict[str, Any]:
        server = Ollama(recorded.url, 5)
        return asdict(evaluate(server, parse_model_name(model), read_prompts([prompt]), timeout))

    return run


@pytest.fixture
def loader(recorded: RecordedOllama) -> Callable[[str], Loader]:
    return lambda name: Loader(Ollama(recorded.url, 5), parse_model_name(name), [], 5)


def reason(result: dict[str, Any]) -> str:
    (failure,) = result["failures"]
    return str(failure["reason"])


class TestHealth:
    def test_a_model_that_answers(self, health: Run, recorded: RecordedOllama) -> None:
        result = health(min_tokens_per_second=0.1)
        assert result["healthy"] is True
        assert result["answer"].startswith("The capital")
        assert recorded.played == ["version", "tags", "tags", "load", "generate, streamed"]

    def test_a_model_that_thinks_is_told_not_to(self, health: Run, recorded: RecordedOllama) -> None:
        assert health(THINKER)["healthy"] is True
        assert recorded.requests[-1][2]["think"] is False

    def test_one_that_thinks_all_the_same_has_not_answered(
        self, health: Run, recorded: RecordedOllama, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorded, "_generate_name", thoughts)
        result = health(THINKER)
        assert (result["failed_layer"], result["answer"]) == ("answers", None)
        assert "only thought" in result["msg"]
        assert "set 'tokens' higher" in result["msg"]

    def test_a_model_that_repeats_one_token(self, health: Run, recorded: RecordedOllama) -> None:
        recorded.state = "repeats"
        result = health()
        assert result["failed_layer"] == "answers"
        assert "repeated one token" in result["msg"]
        assert "broke off" not in result["msg"]
        assert "restart" not in result["msg"]

    def test_an_answer_that_is_cut_off(self, health: Run, recorded: RecordedOllama) -> None:
        recorded.state = "cut"
        result = health()
        assert result["failed_layer"] == "answers"
        assert "broke off" in result["msg"]
        assert "journalctl --namespace=+ollama" in result["msg"]

    def test_a_busy_server(self, health: Run, recorded: RecordedOllama) -> None:
        recorded.state = "busy"
        result = health(stall_timeout=0.2)
        assert (result["failed_layer"], result["layers"][4]["status"]) == ("answers", "unknown")
        assert "gave no token" in result["msg"]
        assert "busy" in result["msg"]

    def test_a_model_that_has_gone_since_it_was_listed(self, health: Run, recorded: RecordedOllama) -> None:
        recorded.state = "gone"
        result = health()
        assert result["failed_layer"] == "loads"
        assert "not found" in result["msg"]

    def test_a_model_of_the_cloud(self, health: Run) -> None:
        result = health("x:cloud")
        assert result["failed_layer"] == "loads"
        assert "ollama cloud is disabled" in result["msg"]
        assert "Host header" not in result["msg"]

    def test_a_name_that_never_answers(self, health: Run) -> None:
        assert health("x:local")["failed_layer"] == "loads"

    def test_a_prompt_that_is_refused(self, health: Run, recorded: RecordedOllama, monkeypatch: Any) -> None:
        usual = recorded._generate_name
        monkeypatch.setattr(
            recorded, "_generate_name", lambda body: "too long, truncate false" if body.get("prompt") else usual(body)
        )
        result = health()
        assert result["failed_layer"] == "answers"
        assert "is loaded, but does not answer" in result["msg"]
        assert "6399 tokens" in result["msg"]


def thoughts(body: dict[str, Any]) -> str:
    """The recording of a model that thinks whatever it is told."""
    if not body.get("prompt"):
        return "load"
    if body["stream"]:
        return "thinks, think unset, streamed"
    return "thinks, think unset, with a schema: the JSON is in thinking" if "format" in body else "thinks, think unset"


class TestEvaluation:
    def test_a_good_answer(self, measured: Run) -> None:
        result = measured(BY_PATTERN)
        assert (result["asked"], result["failures"]) == (1, ())
        assert result["tokens"] > 0
        assert result["nanoseconds"] > 0

    def test_a_model_that_thinks_puts_its_json_into_the_answer(self, measured: Run, recorded: RecordedOllama) -> None:
        assert measured(BY_SCHEMA, THINKER)["failures"] == ()
        assert recorded.played == ["thinks, think false, with a schema"]

    @pytest.mark.parametrize("prompt", [BY_PATTERN, BY_SCHEMA])
    def test_one_that_thinks_all_the_same_has_not_answered(
        self, measured: Run, recorded: RecordedOllama, prompt: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorded, "_generate_name", thoughts)
        result = measured({**prompt, "tokens": 60}, THINKER)
        assert "only thought within 60 tokens" in reason(result)

    def test_a_model_that_repeats_one_token(self, measured: Run, recorded: RecordedOllama) -> None:
        """What came until then might even match."""
        recorded.state = "repeats"
        assert "repeated one token" in reason(measured({"prompt": "Hi", "pattern": "urgency"}))

    def test_a_busy_server(self, measured: Run, recorded: RecordedOllama) -> None:
        recorded.state = "busy"
        with pytest.raises(UnseenError, match=r"gave no token for 0\.2 s, and whether the server is busy"):
            measured(BY_PATTERN, timeout=0.2)

    def test_an_answer_that_is_cut_off(self, measured: Run, recorded: RecordedOllama) -> None:
        recorded.state = "cut"
        assert "its answer broke off" in reason(measured({"prompt": "Hi", "pattern": "The"}))

    def test_a_model_that_is_gone(self, measured: Run, recorded: RecordedOllama) -> None:
        recorded.state = "gone"
        assert "not found" in reason(measured(BY_PATTERN))

    def test_a_model_of_the_cloud(self, measured: Run) -> None:
        assert "ollama cloud is disabled" in reason(measured(BY_PATTERN, "x:cloud"))

    def test_a_schema_that_the_server_would_refuse_is_refused_before(
        self, measured: Run, recorded: RecordedOllama
    ) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "abc"}}}
        with pytest.raises(GizziError, match="must begin with"):
            measured({"prompt": "Hi", "schema": schema})
        assert recorded.played == []


class TestLoaded:
    @pytest.mark.parametrize("name", [MODEL, DERIVED, THINKER])
    def test_models_that_share_weights_are_loaded_together(
        self, loader: Callable[[str], Loader], recorded: RecordedOllama, name: str
    ) -> None:
        assert loader(name).holds() is True
        assert "load" not in recorded.played

    def test_one_whose_process_was_killed_is_loaded_anew(
        self, loader: Callable[[str], Loader], recorded: RecordedOllama, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loading, "PATIENCE", 0)
        monkeypatch.setattr(
            _weights, "runners_behind", lambda _url: [Runner(8, frozenset())] if "load" in recorded.played else []
        )
        found = loader(DERIVED)
        assert found.holds() is False
        found.exchange(anew=False)
        assert found.holds() is True

    def test_a_name_that_never_loads(
        self, loader: Callable[[str], Loader], recorded: RecordedOllama, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorded.state = "gone"
        monkeypatch.setattr(_weights, "runners_behind", lambda _url: [])
        monkeypatch.setattr(loading, "PATIENCE", 0)
        with pytest.raises(GizziError, match="not found"):
            loader(MODEL).exchange(anew=False)


class TestInfo:
    def test_all_that_share_the_weights_are_loaded(self, run_module: Run, recorded: RecordedOllama) -> None:
        result = run_module(ollama_info.main, url=recorded.url)
        assert result["version"] == "0.33.0"
        assert [model["name"] for model in result["loaded"]] == [MODEL]
        assert len(result["models"]) == 10
        assert all(model["loaded"] for model in result["models"])
