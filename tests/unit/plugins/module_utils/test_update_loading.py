# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _weights
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import Runner
from ansible_collections.etrid.gizzi.plugins.module_utils._update.loading import Loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

PENDING = "mistral:latest.gizzi-next"
W1, W2 = "a1" * 32, "b2" * 32


@pytest.fixture
def loaded(ollama: FakeOllama) -> Run:
    """Return a function that has a model in memory, and returns what was done or the error."""
    ollama.loads = True

    def run(
        name: str = "mistral", unload: tuple[str, ...] = (), anew: bool = False, timeout: float = 2
    ) -> dict[str, Any]:
        others = [parse_model_name(other) for other in unload]
        try:
            loader = Loader(Ollama(ollama.url, 10), parse_model_name(name), others, timeout)
            before, changed = loader.listed(), anew or not loader.holds()
            if changed:
                loader.exchange(anew)
        except GizziError as error:
            return {"msg": str(error)}
        return {"changed": changed, "digest": loader.model.digest, "digests_before": before}

    return run


def in_memory(ollama: FakeOllama) -> dict[str, str]:
    return {model["name"]: model["digest"] for model in ollama.loaded}


def test_exchanges_the_weights_that_a_pull_has_left(loaded: Run, ollama: FakeOllama) -> None:
    old = ollama.have(PENDING, "old")
    new = ollama.have("mistral:latest", "new")
    ollama.loaded = [{"name": "mistral:latest", "digest": old}]
    result = loaded(unload=(PENDING, "not-there:latest"))
    assert (result["changed"], result["digest"], result["digests_before"]) == (True, new, [old])
    assert in_memory(ollama) == {"mistral:latest": new}
    ollama.requests.clear()
    assert loaded(unload=(PENDING,))["changed"] is False
    assert ollama.paths("/api/generate") == []


def test_a_model_that_is_asked_all_the_while_holds_nothing_up(loaded: Run, ollama: FakeOllama) -> None:
    """One that shares the old weights comes back with every question; that is no reason to keep the old ones."""
    old = ollama.have("made:latest", "old")
    new = ollama.have("mistral:latest", "new")
    ollama.loaded = [{"name": "mistral:latest", "digest": old}]
    ollama.asked_all_the_while = {"name": "made:latest", "digest": old}
    result = loaded(unload=("made",), timeout=3)
    assert result["digest"] == new
    assert in_memory(ollama)["mistral:latest"] == new


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


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> list[Runner]:
    """The processes that hold weights beside the server, one to begin with."""
    runners = [Runner(7, frozenset())]
    monkeypatch.setattr(_weights, "runners_behind", lambda _url: runners)
    return runners


def test_weights_that_another_model_has_loaded_are_loaded(loaded: Run, ollama: FakeOllama, alive: list[Runner]) -> None:
    base = ollama.have_content("base:1", weights=[W1])
    made = ollama.have_content("made:1", weights=[W1], system="Be brief.")
    ollama.loaded = [{"name": "base:1", "digest": base}]
    result = loaded(name="made:1")
    assert result == {"changed": False, "digest": made, "digests_before": [base]}
    assert ollama.paths("/api/generate") == []


def test_other_weights_are_unloaded_under_whatever_name(loaded: Run, ollama: FakeOllama, alive: list[Runner]) -> None:
    old = ollama.have_content(PENDING, weights=[W1])
    new = ollama.have_content("mistral:latest", weights=[W2])
    ollama.loaded = [{"name": "mistral:latest", "digest": old}]
    assert loaded(unload=(PENDING,))["changed"] is True
    assert in_memory(ollama) == {"mistral:latest": new}


@pytest.mark.parametrize("listed_as", ["mistral:latest", PENDING])
def test_the_list_names_what_stays_in_the_store(
    loaded: Run, ollama: FakeOllama, alive: list[Runner], listed_as: str
) -> None:
    """The weights are the same; once the copy from before the pull is gone, nobody could tell by the list."""
    old = ollama.have_content(PENDING, weights=[W1], system="Older.")
    new = ollama.have_content("mistral:latest", weights=[W1], system="Newer.")
    ollama.loaded = [{"name": listed_as, "digest": old}]
    assert loaded(unload=(PENDING,))["changed"] is True
    assert in_memory(ollama) == {"mistral:latest": new}
    assert loaded(unload=(PENDING,))["changed"] is False


def test_one_that_is_listed_and_was_killed_is_loaded_anew(
    loaded: Run, ollama: FakeOllama, alive: list[Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = ollama.have_content("mistral:latest", weights=[W1])
    ollama.loaded = [{"name": "mistral:latest", "digest": digest}]
    alive.clear()
    load = ollama.post_generate
    monkeypatch.setattr(
        ollama, "post_generate", lambda http, body: (alive.append(Runner(8, frozenset())), load(http, body))
    )
    assert loaded()["changed"] is True
    assert loaded()["changed"] is False


def test_a_process_that_does_not_stay_is_told(loaded: Run, ollama: FakeOllama, alive: list[Runner]) -> None:
    ollama.have_content("mistral:latest", weights=[W1])
    alive.clear()
    message = loaded(timeout=0.5)["msg"]
    assert "no process holds it" in message
    assert "journalctl --namespace=+ollama" in message


def test_without_a_view_of_the_processes_the_list_decides(loaded: Run, ollama: FakeOllama) -> None:
    digest = ollama.have("mistral:latest", "new")
    ollama.loaded = [{"name": "mistral:latest", "digest": digest}]
    assert loaded()["changed"] is False


def test_a_model_that_only_embeds_is_loaded_by_embedding(loaded: Run, ollama: FakeOllama) -> None:
    digest = ollama.have_content("nomic-embed-text:latest", weights=[W1], capabilities=["embedding"])
    assert loaded(name="nomic-embed-text")["digest"] == digest
    assert in_memory(ollama) == {"nomic-embed-text:latest": digest}


def test_what_was_loaded_from_a_damaged_file_is_loaded_anew(
    loaded: Run, ollama: FakeOllama, alive: list[Runner]
) -> None:
    base = ollama.have_content("base:1", weights=[W1])
    made = ollama.have_content("made:1", weights=[W1], system="Be brief.")
    ollama.loaded = [{"name": "base:1", "digest": base}]
    assert loaded(name="made:1", anew=True)["changed"] is True
    assert in_memory(ollama) == {"made:1": made}
    sent = [(body["model"], body.get("keep_alive")) for _method, path, body in ollama.requests if "generate" in path]
    assert sent == [("made:1", 0), ("base:1", 0), ("made:1", None)]


def test_a_model_that_is_not_there_cannot_be_loaded(loaded: Run) -> None:
    assert "no model mistral:latest" in loaded()["msg"]
