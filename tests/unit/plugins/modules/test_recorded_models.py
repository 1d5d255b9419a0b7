# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules that change models, against what a real Ollama 0.33.0-rc2 answered."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import HostRefusedError, Ollama
from ansible_collections.etrid.gizzi.plugins.modules import ollama_derived_model, ollama_model
from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import DERIVED, MODEL, RecordedOllama

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

    Run = Callable[..., dict[str, Any]]

DIGEST = "fd5f44c0b5aff6453726119fc560d73a8a995a55b4a49804bc24b1969ecf1794"


@pytest.fixture
def recorded() -> Iterator[RecordedOllama]:
    with closing(RecordedOllama()) as server:
        yield server


def test_a_model_that_is_there(run_module: Run, recorded: RecordedOllama) -> None:
    result = run_module(ollama_model.main, url=recorded.url, name=MODEL)
    assert (result["changed"], result["digest_before"], result["digest_after"]) == (False, DIGEST, DIGEST)
    assert run_module(ollama_model.main, url=recorded.url, name=DERIVED)["changed"] is False
    assert recorded.played == ["tags", "tags"]


def test_an_error_in_the_stream_of_a_pull(run_module: Run, recorded: RecordedOllama, registry: FakeRegistry) -> None:
    registry.publish("nope:1", "one")
    result = run_module(ollama_model.main, url=recorded.url, name="nope:1", registry=registry.url)
    assert result["failed"] is True
    assert "no such host. Nothing was installed, and another run resumes the pull." in result["msg"]
    assert recorded.played == ["tags", "pull, no such host", "tags"]


def test_removing(run_module: Run, recorded: RecordedOllama) -> None:
    # Also one that could never answer.
    for name in ("made:1", "x:cloud", "x:1-cloud", "x:local"):
        assert run_module(ollama_model.main, url=recorded.url, name=name, state="absent")["changed"] is True
    assert recorded.played == ["tags", "delete"] * 4
    server = Ollama(recorded.url, 1)
    assert server.delete(parse_model_name("nope:1")) is False


def test_copying(recorded: RecordedOllama) -> None:
    server = Ollama(recorded.url, 1)
    server.copy(parse_model_name("made:1"), parse_model_name("made:2"))
    with pytest.raises(BadStatusError, match='model "nope:1" not found') as error:
        server.copy(parse_model_name("nope:1"), parse_model_name("made:3"))
    assert error.value.status == 404


def test_a_cloud_that_is_off(recorded: RecordedOllama) -> None:
    with pytest.raises(BadStatusError, match="ollama cloud is disabled: remote model is unavailable") as error:
        Ollama(recorded.url, 1).load(parse_model_name("x:cloud"), 1)
    assert not isinstance(error.value, HostRefusedError)


@pytest.fixture
def make(run_module: Run, recorded: RecordedOllama) -> Run:
    def run(name: str = "made:1", **args: Any) -> dict[str, Any]:
        return run_module(ollama_derived_model.main, **{"url": recorded.url, "name": name, "from": MODEL, **args})

    return run


def test_a_model_that_is_as_its_base(make: Run, recorded: RecordedOllama) -> None:
    result = make()
    assert (result["changed"], result["reasons"], result["warnings"]) == (False, [], [])
    assert recorded.played == ["tags", "show", "show"]


def test_making_one(make: Run, recorded: RecordedOllama) -> None:
    result = make(system="You are a test.")
    assert result["reasons"] == ["system"]
    assert recorded.played == ["tags", "show", "show", "create from, streamed", "tags", "show"]
    sent = [body for _method, path, body in recorded.requests if path == "/api/create"]
    assert sent == [{"model": "made:1", "from": MODEL, "system": "You are a test.", "stream": True}]


def test_the_context_that_a_base_was_trained_for(make: Run, recorded: RecordedOllama) -> None:
    assert "131072 tokens are more than the 8192" in make(parameters={"num_ctx": 131072})["msg"]
    assert make(parameters={"num_ctx": 8192}, check_mode=True)["warnings"] == []
    assert "create from, streamed" not in recorded.played


def test_threads(make: Run, recorded: RecordedOllama) -> None:
    assert "num_thread: since Ollama 0.30" in make(parameters={"num_thread": 2})["msg"]
    assert recorded.played == ["version"]
