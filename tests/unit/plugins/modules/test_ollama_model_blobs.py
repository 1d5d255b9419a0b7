# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ollama_model where the store is on its host: what a pull left unchecked, and what was damaged since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._pull_notes import PullNotes
from ansible_collections.etrid.gizzi.plugins.modules import ollama_model
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import content_manifest, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry

    Run = Callable[..., dict[str, Any]]

CONFIG, WEIGHTS, LICENCE = b"config", b"the weights of it", b"licence"
CONTENTS = (CONFIG, WEIGHTS, LICENCE)
WEIGHTS_DIGEST = f"sha256:{sha256(WEIGHTS)}"


@pytest.fixture
def store(ollama: FakeOllama, registry: FakeRegistry, tmp_path: Path) -> Path:
    registry.publish_content("mistral:latest", *CONTENTS)
    ollama.models_dir = tmp_path / "models"
    (ollama.models_dir / "blobs").mkdir(parents=True)
    return ollama.models_dir


@pytest.fixture
def model(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama, registry: FakeRegistry, store: Path) -> Run:
    def run(name: str = "mistral", **args: Any) -> dict[str, Any]:
        given = {"url": ollama.url, "registry": registry.url, "models_dir": str(store), "reserved_disk": 0}
        return run_module(ollama_model.main, **{**given, "name": name, **args})

    return run


def blob(store: Path, content: bytes) -> Path:
    return store / "blobs" / f"sha256-{sha256(content)}"


def damage(store: Path) -> None:
    """One byte is another, and the size the same."""
    blob(store, WEIGHTS).write_bytes(bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:])


def is_good(store: Path) -> bool:
    return all(blob(store, content).read_bytes() == content for content in CONTENTS)


def cut_off(model: Run, ollama: FakeOllama) -> None:
    """A pull that leaves all blobs, damaged, and no model."""
    ollama.pull_fault, ollama.damages = "ends", True
    assert model(stall_timeout=0.2)["failed"] is True
    ollama.pull_fault, ollama.damages = "", False


def test_a_pull_that_ends_well_leaves_no_note(model: Run, store: Path, notes: Path) -> None:
    result = model()
    assert (result["changed"], result["damaged_blobs"], result["blobs"]) == (True, [], None)
    assert is_good(store)
    assert not notes.exists()


def test_what_a_pull_left_that_was_cut_off_is_hashed_before_it_counts(
    model: Run, ollama: FakeOllama, store: Path, notes: Path
) -> None:
    cut_off(model, ollama)
    assert not is_good(store)
    assert len(list(notes.iterdir())) == 1
    result = model()
    assert result["changed"] is True
    assert result["damaged_blobs"] == sorted(f"sha256:{sha256(content)}" for content in CONTENTS)
    assert is_good(store)
    assert not notes.exists()


def test_what_is_good_of_it_is_not_pulled_again(model: Run, ollama: FakeOllama, store: Path, notes: Path) -> None:
    cut_off(model, ollama)
    for content in CONTENTS[1:]:
        blob(store, content).write_bytes(content)
    assert model()["bytes_pulled"] == len(CONFIG)
    assert is_good(store)
    assert not notes.exists()


@pytest.mark.parametrize("state", ["present", "latest"])
def test_a_model_that_was_installed_after_we_had_left(model: Run, store: Path, notes: Path, state: str) -> None:
    digest = model()["digest_after"]
    damage(store)
    assert model(state=state)["changed"] is False
    # What is written before a pull, by a run that was killed in it.
    PullNotes(store).write(parse_model_name("mistral"), [WEIGHTS_DIGEST])
    predicted = model(state=state, check_mode=True)
    assert not is_good(store)
    assert len(list(notes.iterdir())) == 1
    result = model(state=state)
    for told in (predicted, result):
        assert (told["changed"], told["damaged_blobs"]) == (True, [WEIGHTS_DIGEST])
        assert told["digest_before"] == told["digest_after"] == digest
        assert told["diff"]["before"]["damaged_blobs"] == [WEIGHTS_DIGEST]
    assert (predicted["bytes_missing"], result["bytes_pulled"]) == (len(WEIGHTS), len(WEIGHTS))
    assert is_good(store)
    assert not notes.exists()


def test_a_model_whose_note_proves_good_is_left_alone(model: Run, ollama: FakeOllama, store: Path, notes: Path) -> None:
    model()
    PullNotes(store).write(parse_model_name("mistral"), [WEIGHTS_DIGEST])
    ollama.requests.clear()
    assert model(check_mode=True)["changed"] is False
    assert len(list(notes.iterdir())) == 1
    assert model()["changed"] is False
    assert ollama.paths("/api/pull") == []
    assert not notes.exists()


def test_a_blob_that_another_models_pull_left(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, store: Path, notes: Path
) -> None:
    cut_off(model, ollama)
    registry.publish_content("phi3:mini", b"another config", WEIGHTS)
    assert model("phi3:mini")["damaged_blobs"] == [WEIGHTS_DIGEST]
    assert blob(store, WEIGHTS).read_bytes() == WEIGHTS
    # What the other pull left beside it is not hashed by this one.
    assert len(list(notes.iterdir())) == 1
    assert model()["changed"] is True
    assert is_good(store)
    assert not notes.exists()


def test_a_model_that_lacks_a_blob_is_pulled_again(model: Run, store: Path) -> None:
    model()
    blob(store, WEIGHTS).unlink()
    assert model(check_mode=True)["changed"] is True
    result = model()
    assert (result["changed"], result["damaged_blobs"]) == (True, [WEIGHTS_DIGEST])
    assert is_good(store)


def test_a_blob_that_is_too_short_is_pulled_again(model: Run, store: Path) -> None:
    model()
    blob(store, WEIGHTS).write_bytes(WEIGHTS[:3])
    assert model()["changed"] is True
    assert is_good(store)


def test_verify_repairs_one_changed_byte(model: Run, ollama: FakeOllama, store: Path) -> None:
    digest = model(verify_blobs=True)["digest_after"]
    damage(store)
    ollama.loaded = [{"name": "mistral:latest", "digest": digest}]
    assert model(state="latest")["changed"] is False
    predicted = model(state="latest", verify_blobs=True, check_mode=True)
    assert not is_good(store)
    result = model(state="latest", verify_blobs=True)
    for told in (predicted, result):
        assert (told["changed"], told["blobs"], told["damaged_blobs"]) == (True, "damaged", [WEIGHTS_DIGEST])
        assert told["digest_before"] == told["digest_after"] == digest
    assert result["bytes_pulled"] == len(WEIGHTS)
    assert is_good(store)
    # What is in memory would be the damaged weights still.
    unloads = [body for _method, path, body in ollama.requests if path == "/api/generate"]
    assert [(body["model"], body["keep_alive"]) for body in unloads] == [("mistral:latest", 0)]
    again = model(state="latest", verify_blobs=True)
    assert (again["changed"], again["blobs"], again["damaged_blobs"]) == (False, "ok", [])


def test_a_repaired_model_that_cannot_be_unloaded(model: Run, ollama: FakeOllama, store: Path) -> None:
    ollama.loaded = [{"name": "mistral:latest", "digest": model()["digest_after"]}]
    damage(store)
    ollama.post_generate = lambda http, body: http.send_json(500, {"error": "ill"})  # type: ignore[method-assign]
    result = model(verify_blobs=True)
    assert result["changed"] is True
    assert "may be in memory still" in result["warnings"][0]


def test_where_the_store_is_not_here_nothing_is_called_checked(
    model: Run, ollama: FakeOllama, store: Path, tmp_path: Path
) -> None:
    assert model(verify_blobs=True)["blobs"] == "ok"
    damage(store)
    for folder in (None, str(tmp_path / "nothing")):
        result = model(state="latest", verify_blobs=True, models_dir=folder)
        assert (result["changed"], result["blobs"], result["damaged_blobs"]) == (False, "not checked", [])
    # The store of another server, with another model under the name.
    manifest = store / "manifests/registry.ollama.ai/library/mistral/latest"
    manifest.write_bytes(content_manifest(b"other", b"weights"))
    assert model(verify_blobs=True)["blobs"] == "not checked"


def test_a_link_in_place_of_a_blob_is_not_followed(model: Run, store: Path, tmp_path: Path) -> None:
    model()
    (tmp_path / "elsewhere").write_bytes(WEIGHTS)
    blob(store, WEIGHTS).unlink()
    blob(store, WEIGHTS).symlink_to(tmp_path / "elsewhere")
    result = model(verify_blobs=True)
    assert (result["changed"], result["blobs"]) == (False, "not checked")
    assert "it is a link" in result["warnings"][0]
    PullNotes(store).write(parse_model_name("mistral"), [WEIGHTS_DIGEST])
    assert "its blobs cannot be checked" in model()["msg"]


def test_a_registry_that_is_down_leaves_even_a_damaged_model_alone(
    model: Run, registry: FakeRegistry, store: Path
) -> None:
    model()
    damage(store)
    registry.status = 500
    result = model(state="latest", verify_blobs=True)
    assert f"has damaged or missing blobs ({WEIGHTS_DIGEST[:19]})" in result["msg"]
    assert "Nothing was changed" in result["msg"]
    assert blob(store, WEIGHTS).exists()


def test_another_serialisation_of_the_same_model_is_no_update(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, store: Path
) -> None:
    model()
    # As neither the registry writes it nor any server.
    ollama.store["mistral:latest"] = json.dumps(json.loads(ollama.store["mistral:latest"]), indent=1).encode()
    ollama.save()
    ollama.requests.clear()
    for version in ("0.34.2", "0.9.3"):
        ollama.version = version
        for check_mode in (True, False):
            result = model(state="latest", check_mode=check_mode)
            assert (result["changed"], result["warnings"]) == (False, [])
            assert result["digest_before"] == result["digest_after"] == sha256(ollama.store["mistral:latest"])
    assert ollama.paths("/api/pull") == []
    registry.publish_content("mistral:latest", CONFIG, WEIGHTS, b"new licence")
    assert model(state="latest", check_mode=True)["warnings"] == []
    assert model(state="latest")["changed"] is True


def test_a_pull_that_failed_and_was_installed_all_the_same(model: Run, ollama: FakeOllama, notes: Path) -> None:
    ollama.pull_fault = "installs"
    result = model(stall_timeout=0.2, timeout=0.3)
    assert result["changed"] is True
    assert "took longer than 0.3 s" in result["warnings"][0]
    assert "Its blobs were hashed and are good" in result["warnings"][0]
    assert list(ollama.store) == ["mistral:latest"]
    assert not notes.exists()


def test_a_pull_that_failed_and_installed_something_damaged(
    model: Run, ollama: FakeOllama, store: Path, notes: Path
) -> None:
    ollama.pull_fault, ollama.damages = "installs", True
    result = model(stall_timeout=0.2, timeout=0.3)
    assert f"the content of sha256-{sha256(WEIGHTS)} has the digest" in result["msg"]
    assert "not all of its blobs" in result["msg"]
    assert list((store / "blobs").iterdir()) == []
    ollama.pull_fault, ollama.damages = "", False
    assert model()["changed"] is True
    assert is_good(store)
    assert not notes.exists()


def test_a_pull_that_failed_and_was_installed_out_of_sight(model: Run, ollama: FakeOllama) -> None:
    ollama.pull_fault = "installs"
    result = model(stall_timeout=0.2, timeout=0.3, models_dir=None)
    assert "has the wanted digest" in result["msg"]
    assert "its blobs could not be checked" in result["msg"]
    assert "Nothing was installed" not in result["msg"]


def test_after_a_pull_that_failed_in_a_repair(model: Run, ollama: FakeOllama, store: Path) -> None:
    model()
    damage(store)
    ollama.pull_fault = "error"
    result = model(verify_blobs=True, stall_timeout=0.2)
    assert f"lacks blobs ({WEIGHTS_DIGEST[:19]}) and cannot answer, and another run resumes" in result["msg"]
    ollama.pull_fault = ""
    assert model()["changed"] is True
    assert is_good(store)


def test_notes_that_others_can_write_are_not_believed(model: Run, notes: Path) -> None:
    notes.mkdir()
    notes.chmod(0o777)
    assert "can be written by others than root" in model()["msg"]
