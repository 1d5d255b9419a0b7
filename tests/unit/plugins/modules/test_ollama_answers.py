# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _silence
from ansible_collections.etrid.gizzi.plugins.modules import ollama_answers
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeServer
from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import DERIVED, MODEL, THINKER, RecordedOllama

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., dict[str, Any]]

DONE = {"response": "Hi", "done": True, "done_reason": "length"}
CRASHED = "llama-server process no longer running: signal: illegal instruction"


class FakeModels(FakeServer):
    """A server of models, each with the status and the body of its answer; None never answers.

    Each loads at once, but for those in ``unloadable``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, tuple[int, Any] | None] = {}
        self.unloadable: set[str] = set()
        # How often a model that answers is silent before, each time.
        self.busy = 0
        self.capabilities: dict[str, list[str]] = {}
        # One for each look, the last one for all after it.
        self.versions = ["0.34.2"]

    def answer(self, http: Any, body: Any) -> None:
        if http.path == "/api/tags":
            http.send_json(200, {"models": [{"name": name, "digest": "0" * 64} for name in self.models]})
        elif http.path == "/api/version":
            http.send_json(200, {"version": self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]})
        elif http.path == "/api/show":
            known = {"capabilities": self.capabilities[body["model"]]} if body["model"] in self.capabilities else {}
            http.send_json(200, {"details": {}, **known})
        elif body["model"] not in self.models:
            http.send_json(404, {"error": f"model '{body['model']}' not found"})
        else:
            loads = not body.get("prompt")
            found = (200, {"done": True}) if loads else self.models[body["model"]]
            if found is None or (loads and body["model"] in self.unloadable):
                self.stopped.wait(5)
            elif not loads and self.busy:
                self.busy -= 1
                self.stopped.wait(5)
            else:
                http.send_json(*found)

    def asked(self) -> list[str]:
        return [
            body["model"] for _method, path, body in self.requests if path == "/api/generate" and body.get("prompt")
        ]


@pytest.fixture
def server() -> Iterator[FakeModels]:
    with closing(FakeModels()) as fake:
        yield fake


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the server's processes have taken so much more processor time at each look, in seconds; None is unseen."""

    def grows(seconds: float | None) -> None:
        looks = itertools.count()
        monkeypatch.setattr(
            _silence, "cpu_behind", lambda _url: None if seconds is None else {7: next(looks) * seconds}
        )

    return grows


@pytest.fixture
def run(run_module: Callable[..., dict[str, Any]], server: FakeModels) -> Run:
    return lambda **args: run_module(ollama_answers.main, **{"url": server.url, **args})


def test_every_model_is_asked_for_one_token(run: Run, server: FakeModels) -> None:
    server.models = {"a:1": (200, DONE), "b:latest": (200, {**DONE, "response": ""})}
    result = run()
    assert (result["changed"], result["answered"], result["silent"]) == (False, ["a:1", "b:latest"], [])
    body = next(body for _method, path, body in server.requests if path == "/api/generate" and body.get("prompt"))
    assert (body["think"], body["stream"], body["options"]) == (False, False, {"num_predict": 1})


def test_a_silent_model_is_named_with_its_reason(run: Run, server: FakeModels, cpu: Callable[..., None]) -> None:
    # A process that waits takes a little.
    cpu(0.001)
    server.models = {
        "good:1": (200, DONE),
        "crashes:1": (500, {"error": CRASHED}),
        "hangs:1": None,
        "slow:1": (200, DONE),
        "broken:1": (200, {"response": "x", "done": False}),
    }
    server.unloadable = {"slow:1"}
    for fail_on in ("silent", "never"):
        result = run(fail_on=fail_on, timeout=0.1)
        assert result["answered"] == ["good:1"]
        reasons = {one["model"]: one["reason"] for one in result["silent"]}
        assert CRASHED in reasons["crashes:1"]
        assert "before its first token" in reasons["hangs:1"]
        assert reasons["slow:1"] == "it did not load within 0.1 s."
        assert result["undecided"] == []
        assert reasons["broken:1"] == "the server ended its answer before it was done."
        assert result.get("failed", False) is (fail_on == "silent")
        assert ("crashes:1 does not answer: " in result.get("msg", "")) is (fail_on == "silent")


def test_a_busy_server_is_asked_again(
    run: Run, server: FakeModels, cpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its models were called silent, and a release that was fine was taken back."""
    cpu(0.2)
    monkeypatch.setattr(ollama_answers, "PATIENCE", 0.2)
    server.models, server.busy = {"a:1": (200, DONE)}, 2
    result = run(timeout=5)
    assert (result["answered"], result["silent"], result["undecided"]) == (["a:1"], [], [])
    assert server.asked() == ["a:1"] * 3


@pytest.mark.parametrize(
    ("taken", "status", "reason"),
    [
        (0.2, "busy", "is busy with other questions"),
        (None, "unknown", "cannot be seen from here"),
    ],
)
def test_of_a_server_that_stays_busy_nothing_is_known(
    run: Run,
    server: FakeModels,
    cpu: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    taken: float | None,
    status: str,
    reason: str,
) -> None:
    cpu(taken)
    monkeypatch.setattr(ollama_answers, "PATIENCE", 0.2)
    server.models, server.busy = {"a:1": (200, DONE), "b:1": (200, DONE)}, 3
    started = time.monotonic()
    result = run(timeout=0.6)
    assert time.monotonic() - started < 3
    assert (result["answered"], result["silent"]) == (["b:1"], [])
    assert [(one["model"], one["status"]) for one in result["undecided"]] == [("a:1", status)]
    assert reason in result["undecided"][0]["reason"]
    # In the end it is not known to answer.
    assert result["failed"] is True
    assert result["msg"].startswith("a:1 may answer: a:1 gave no token for 0.")
    server.busy = 1
    assert run(timeout=0.2, models=["a:1"], fail_on="never").get("failed", False) is False


@pytest.mark.parametrize(
    "full",
    [
        (429, {"error": "too many requests"}),
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
    ],
)
def test_one_that_has_no_room_is_busy(run: Run, server: FakeModels, full: tuple[int, Any]) -> None:
    server.models = {"a:1": full}
    result = run(timeout=0.2)
    assert (result["silent"], [one["status"] for one in result["undecided"]]) == ([], ["busy"])
    assert full[1]["error"][:8] in result["msg"]


def test_what_does_not_generate_is_left_out_and_said(run: Run, server: FakeModels) -> None:
    server.models = {"embeds:1": (501, {"error": "no"}), "says:1": (200, DONE), "old:1": (200, DONE)}
    server.capabilities = {"embeds:1": ["embedding"], "says:1": ["completion", "tools"]}
    result = run()
    assert server.asked() == ["says:1", "old:1"]
    assert result["not_asked"] == [{"model": "embeds:1", "reason": "it does not generate text (embedding)"}]


def test_named_models_alone_are_asked(run: Run, server: FakeModels) -> None:
    server.models = {"a:1": (200, DONE), "b:1": (200, DONE)}
    result = run(models=["b:1", "gone"])
    assert result["answered"] == ["b:1"]
    assert "gone:latest does not answer: " in result["msg"]
    assert run(models=[])["answered"] == []


def test_server_that_cannot_be_asked_is_never_fine(run: Run, server: FakeModels) -> None:
    server.close()
    assert "Nothing listens on" in run()["msg"]
    result = run(fail_on="never")
    assert (result["answered"], "Nothing listens on" in result["not_ready"]) == ([], True)


def test_against_what_a_current_server_answers(run_module: Callable[..., dict[str, Any]]) -> None:
    with closing(RecordedOllama()) as recorded:
        result = run_module(
            ollama_answers.main, url=recorded.url, models=[MODEL, DERIVED, THINKER, "x:1-cloud", "x:local"]
        )
        assert result["answered"] == [MODEL, DERIVED, THINKER]
        assert [one["model"] for one in result["silent"]] == ["x:1-cloud", "x:local"]
        assert "ollama cloud is disabled" in result["msg"]
        recorded.state = "gone"
        assert "not found" in run_module(ollama_answers.main, url=recorded.url, models=[MODEL])["msg"]


def test_the_wanted_version_is_waited_for(run: Run, server: FakeModels) -> None:
    server.versions = ["0.31.2", "0.31.2", "0.34.2"]
    server.models = {"phi3:latest": (200, DONE)}
    result = run(version="0.34.2", start_timeout=5)
    assert (result["changed"], result["answered"], result["not_ready"]) == (False, ["phi3:latest"], "")
    assert server.versions == ["0.34.2"]


def test_another_version_is_not_asked_for_its_models(run: Run, server: FakeModels) -> None:
    server.versions = ["0.31.2"]
    server.models = {"phi3:latest": (200, DONE)}
    result = run(version="0.34.2", start_timeout=0.3)
    assert result["failed"] is True
    assert "Ollama 0.34.2 does not answer within 0.3 s" in result["msg"]
    assert "answers with version 0.31.2, not with 0.34.2" in result["msg"]
    assert server.asked() == []


def test_no_models_are_asked_where_none_are_named(run: Run, server: FakeModels) -> None:
    server.models = {"phi3:latest": (200, DONE)}
    assert run(version="0.34.2", models=[])["answered"] == []
    assert server.asked() == []


def test_no_proxy_of_the_environment_is_asked(run: Run, server: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy in the host's environment made the wait for a local server fail."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run(version="0.34.2", models=[], start_timeout=1)["not_ready"] == ""
