# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _weights
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama, find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import Runner
from ansible_collections.etrid.gizzi.plugins.module_utils._weights import Memory
from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import DERIVED, MODEL, THINKER, RecordedOllama

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model
    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

ALIVE = [Runner(7, frozenset())]
W1, W2, W3 = "a1" * 32, "b2" * 32, "c3" * 32


@pytest.fixture
def recorded() -> Iterator[RecordedOllama]:
    with closing(RecordedOllama()) as server:
        yield server


def seen(url: str, runners: list[Runner] | None, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Look at a server beside which these processes are seen."""
    monkeypatch.setattr(_weights, "runners_behind", lambda _url: runners)
    memory = Memory(Ollama(url, 5))
    memory.look()
    return memory


def model_of(memory: Memory, name: str) -> Model:
    model = find_model(memory.models, parse_model_name(name))
    assert model is not None
    return model


@pytest.mark.parametrize("name", [MODEL, DERIVED, THINKER])
def test_models_made_from_one_another_are_loaded_together(
    recorded: RecordedOllama, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/api/ps names the one that loaded the weights, before and after the derived model has answered."""
    for state in ("ps of a derived model: the name that loaded the weights", "ps after the derived model answered"):
        recorded.ps = state
        memory = seen(recorded.url, ALIVE, monkeypatch)
        assert [entry.name for entry in memory.entries] == [MODEL]
        assert [entry.name for entry in memory.holders(model_of(memory, name))] == [MODEL]
        assert memory.is_loaded(model_of(memory, name)) is True


def test_parts_are_asked_for_only_where_digests_do_not_tell(
    recorded: RecordedOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = seen(recorded.url, ALIVE, monkeypatch)
    memory.is_loaded(model_of(memory, MODEL))
    memory.is_loaded(model_of(memory, "x:local"))
    assert recorded.paths("/api/show") == []
    memory.is_loaded(model_of(memory, DERIVED))
    memory.look()
    memory.is_loaded(model_of(memory, DERIVED))
    assert len(recorded.paths("/api/show")) == 2, "of the derived model and of the one that is listed, once each"


@pytest.fixture
def ollama_with_models(ollama: FakeOllama) -> FakeOllama:
    """A server with a base, one made from it, one with an adapter, and one of other weights."""
    ollama.have_content("base:1", weights=[W1])
    ollama.have_content("made:1", weights=[W1], system="Be brief.")
    ollama.have_content("tuned:1", weights=[W1], adapters=[W3])
    ollama.have_content("drafted:1", weights=[W1, W3])
    ollama.have_content("other:1", weights=[W2])
    return ollama


def listed(ollama: FakeOllama, *entries: tuple[str, str]) -> None:
    ollama.loaded = [{"name": name, "digest": digest} for name, digest in entries]


def states(ollama: FakeOllama, runners: list[Runner] | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool | None]:
    memory = seen(ollama.url, runners, monkeypatch)
    return {model.name: memory.is_loaded(model) for model in memory.models}


def test_other_weights_adapters_and_drafts_are_not_the_same(
    ollama_with_models: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ollama_with_models.have_content("made:1", weights=[W1], system="Be brief.")
    listed(ollama_with_models, ("made:1", made))
    assert states(ollama_with_models, ALIVE, monkeypatch) == {
        "base:1": True,
        "made:1": True,
        "tuned:1": False,
        "drafted:1": False,
        "other:1": False,
    }


def test_a_digest_that_the_store_has_no_more_is_stale(
    ollama_with_models: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name has moved on: what it was loaded from cannot be asked about."""
    listed(ollama_with_models, ("base:1", "00" * 32))
    assert not any(states(ollama_with_models, ALIVE, monkeypatch).values())
    # A copy from before the pull tells what they are: another system prompt, and the same weights.
    kept = ollama_with_models.have_content("base:1.gizzi-pending", weights=[W1], system="Older.")
    listed(ollama_with_models, ("base:1", kept))
    assert states(ollama_with_models, ALIVE, monkeypatch)["base:1"] is True


def test_listed_and_killed_is_not_loaded(ollama_with_models: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> None:
    base = ollama_with_models.have_content("base:1", weights=[W1])
    listed(ollama_with_models, ("base:1", base))
    assert states(ollama_with_models, [], monkeypatch)["base:1"] is False
    assert states(ollama_with_models, [], monkeypatch)["made:1"] is False


def test_processes_that_cannot_be_seen_leave_it_unknown(
    ollama_with_models: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ollama_with_models.have_content("base:1", weights=[W1])
    listed(ollama_with_models, ("base:1", base))
    found = states(ollama_with_models, None, monkeypatch)
    assert (found["base:1"], found["made:1"], found["other:1"]) == (None, None, False)


def test_of_several_that_are_listed_the_process_tells_which_lives(
    ollama_with_models: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ollama_with_models.have_content("base:1", weights=[W1])
    other = ollama_with_models.have_content("other:1", weights=[W2])
    listed(ollama_with_models, ("base:1", base), ("other:1", other))
    found = states(ollama_with_models, [Runner(7, frozenset({W2}))], monkeypatch)
    assert (found["base:1"], found["made:1"], found["other:1"]) == (False, False, True)


def test_a_model_whose_parts_the_server_does_not_tell_is_not_loaded_by_weights(
    ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ollama.have("mistral:latest", "one")
    ollama.have("phi3:mini", "mini")
    listed(ollama, ("mistral:latest", first))
    assert states(ollama, ALIVE, monkeypatch) == {"mistral:latest": True, "phi3:mini": False}
