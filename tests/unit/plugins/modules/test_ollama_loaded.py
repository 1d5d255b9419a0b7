# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.modules import ollama_loaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

PENDING = "mistral:latest.gizzi-pending"


@pytest.fixture
def loaded(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> Run:
    ollama.loads = True

    def run(**args: Any) -> dict[str, Any]:
        return run_module(ollama_loaded.main, **{"url": ollama.url, "name": "mistral", "timeout": 2, **args})

    return run


def in_memory(ollama: FakeOllama) -> dict[str, str]:
    return {model["name"]: model["digest"] for model in ollama.loaded}


def test_exchanges_the_weights_that_a_pull_has_left(loaded: Run, ollama: FakeOllama) -> None:
    old = ollama.have(PENDING, "old")
    new = ollama.have("mistral:latest", "new")
    ollama.loaded = [{"name": "mistral:latest", "digest": old}]
    result = loaded(unload=[PENDING, "not-there:latest"])
    assert (result["changed"], result["digest"], result["digests_before"]) == (True, new, [old])
    assert in_memory(ollama) == {"mistral:latest": new}
    ollama.requests.clear()
    assert loaded(unload=[PENDING])["changed"] is False
    assert ollama.paths("/api/generate") == []


def test_a_model_that_is_asked_all_the_while_holds_nothing_up(loaded: Run, ollama: FakeOllama) -> None:
    """One that shares the old weights comes back with every question; that is no reason to keep the old ones."""
    old = ollama.have("made:latest", "old")
    new = ollama.have("mistral:latest", "new")
    ollama.loaded = [{"name": "mistral:latest", "digest": old}]
    ollama.asked_all_the_while = {"name": "made:latest", "digest": old}
    result = loaded(unload=["made"], timeout=3)
    assert result["digest"] == new
    assert in_memory(ollama)["mistral:latest"] == new


def test_check_mode_loads_nothing(loaded: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    assert loaded(check_mode=True)["changed"] is True
    assert in_memory(ollama) == {}


def test_a_model_that_does_not_load_is_named(loaded: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.load_error = "llama runner process has terminated"
    assert "does not load" in loaded()["msg"]
    assert "terminated" in loaded()["msg"]


def test_a_model_that_hangs_is_given_up(loaded: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.load_hangs = True
    assert "did not load within 1 s" in loaded(timeout=1)["msg"]


def test_older_weights_that_stay_are_told(loaded: Run, ollama: FakeOllama) -> None:
    """Loaded is what the server names, not what it was asked for."""
    old = ollama.have(PENDING, "old")
    new = ollama.have("mistral:latest", "new")
    ollama.loaded = [{"name": "mistral:latest", "digest": old}]
    ollama.loads = False
    message = loaded(timeout=1)["msg"]
    assert old[:12] in message
    assert new[:12] in message


def test_a_model_that_is_not_there_cannot_be_loaded(loaded: Run) -> None:
    assert "no model mistral:latest" in loaded()["msg"]
