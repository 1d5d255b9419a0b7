"""What the program makes of a current server's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import ollama_metrics
import ollama_probes
import ollama_server
import pytest
from ollama_probes import Probe
from ollama_server import Loaded, SilentError

from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import DERIVED, MODEL, THINKER, RecordedOllama

# All that was recorded is unloaded at once by then, so that the time of the look is chosen.
NOW = ollama_server.timestamp("2026-11-26T15:14:00Z")


@pytest.fixture
def recorded() -> Iterator[RecordedOllama]:
    with closing(RecordedOllama()) as server:
        yield server


@pytest.mark.parametrize(
    "state", ["ps of a derived model: the name that loaded the weights", "ps after the derived model answered"]
)
def test_models_that_share_weights_are_loaded_together(recorded: RecordedOllama, state: str) -> None:
    recorded.ps = state
    request = ollama_server.requester(recorded.url)
    server = ollama_server.read_server(request)
    assert server.loaded.keys() == {MODEL}
    loaded = ollama_server.held(request, [MODEL, DERIVED, THINKER], server)
    assert loaded.keys() == {MODEL, DERIVED, THINKER}
    assert {entry.context for entry in loaded.values()} == {4096}


@pytest.mark.parametrize("model", [MODEL, DERIVED, THINKER])
def test_a_probe_of_each_loads_nothing_and_is_answered(recorded: RecordedOllama, model: str) -> None:
    request = ollama_server.requester(recorded.url)
    loaded = ollama_server.held(request, [model], ollama_server.read_server(request))
    assert ollama_probes.due([model], loaded, {}, NOW) == model
    found = ollama_probes.probe(request, model, loaded[model], NOW)
    assert found.success
    assert (found.tokens_per_second or 0) > 0
    assert recorded.requests[-1][2]["think"] is False
    assert recorded.requests[-1][2]["options"]["num_ctx"] == 4096


def failed(recorded: RecordedOllama, model: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return why a probe has failed."""
    assert ollama_probes.probe(ollama_server.requester(recorded.url), model, Loaded(NOW + 300), NOW) == Probe(
        NOW, success=False
    )
    return capsys.readouterr().err


def test_one_that_thinks_all_the_same_has_not_answered(
    recorded: RecordedOllama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "_generate_name", lambda body: "thinks, think unset")
    assert "only thought" in failed(recorded, THINKER, capsys)


@pytest.mark.parametrize(
    ("state", "reason"),
    [("repeats", "repeated one token"), ("gone", "404"), ("cut", "/api/generate")],
)
def test_probes_that_fail(
    recorded: RecordedOllama,
    state: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ollama_probes, "PROBE_TIMEOUT", 0.2)
    recorded.state = state
    assert reason in failed(recorded, MODEL, capsys)


def test_a_busy_server_is_silent(recorded: RecordedOllama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_probes, "PROBE_TIMEOUT", 0.2)
    recorded.state = "busy"
    with pytest.raises(SilentError, match="timed out"):
        ollama_probes.probe(ollama_server.requester(recorded.url), MODEL, Loaded(NOW + 300), NOW)


def test_a_model_of_the_cloud_is_refused(recorded: RecordedOllama, capsys: pytest.CaptureFixture[str]) -> None:
    assert "403" in failed(recorded, "x:cloud", capsys)


def test_the_program_as_its_unit_runs_it(recorded: RecordedOllama, tmp_path: Path) -> None:
    arguments = ["--url", recorded.url, "--models-dir", str(tmp_path), "--folder", str(tmp_path)]
    arguments += ["--proc", str(tmp_path), "--cgroup", str(tmp_path)]
    assert ollama_metrics.main([*arguments, MODEL, DERIVED, "absent:1"]) == 0
    text = (tmp_path / "ollama.prom").read_text()
    assert f'ollama_model_present{{model="{DERIVED}"}} 1\n' in text
    assert 'ollama_model_loaded{model="absent:1"} 0\n' in text
    # The server's processes are not seen here.
    assert f'ollama_model_loaded{{model="{DERIVED}"}}' not in text
