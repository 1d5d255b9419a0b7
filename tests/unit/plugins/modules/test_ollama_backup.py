# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_manifest
from ansible_collections.etrid.gizzi.plugins.modules import ollama_backup
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

PENDING = "mistral:latest.gizzi-pending"
FAILED = "mistral:latest.gizzi-failed"


def dated(time: str) -> str:
    return f"mistral:latest.gizzi-{time}"


@pytest.fixture
def backup(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> Run:
    def run(state: str, **args: Any) -> dict[str, Any]:
        return run_module(ollama_backup.main, url=ollama.url, name="mistral", state=state, **args)

    return run


def held(ollama: FakeOllama) -> dict[str, str]:
    """Which seed is behind each name."""
    seeds = {sha256(manifest(seed)): seed for seed in ("old", "new", "older", "oldest", "newer")}
    return {name: seeds[sha256(body)] for name, body in ollama.store.items()}


def test_pending_keeps_the_model_before_the_first_of_several_runs(backup: Run, ollama: FakeOllama) -> None:
    digest = ollama.have("mistral:latest", "old")
    result = backup("pending")
    assert (result["changed"], result["digest"], result["pending"]) == (True, digest, PENDING)
    # The run is cut off after the pull: the next one must not take the unjudged model for the one to go back to.
    ollama.have("mistral:latest", "new")
    assert backup("pending")["changed"] is False
    assert held(ollama) == {"mistral:latest": "new", PENDING: "old"}


def test_without_a_model_there_is_nothing_to_keep(backup: Run) -> None:
    assert "no model mistral:latest" in backup("pending")["msg"]


def test_settled_makes_a_dated_backup_and_keeps_the_newest(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.have(PENDING, "old")
    ollama.have(dated("20260901T000000Z"), "oldest")
    ollama.have(dated("20261001T000000Z"), "older")
    ollama.have("mistral:7b.gizzi-20260901T000000Z", "oldest")
    result = backup("settled", keep=2)
    newest = result["kept"][0]
    assert result["changed"] is True
    assert held(ollama) == {
        "mistral:latest": "new",
        newest: "old",
        dated("20261001T000000Z"): "older",
        "mistral:7b.gizzi-20260901T000000Z": "oldest",
    }
    assert result["kept"] == [newest, dated("20261001T000000Z")]
    assert sorted(result["removed"]) == sorted([PENDING, dated("20260901T000000Z")])
    assert backup("settled", keep=2)["changed"] is False


def test_settled_keeps_none_where_none_is_wanted(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.have(PENDING, "old")
    ollama.have(dated("20261001T000000Z"), "older")
    assert backup("settled", keep=0)["kept"] == []
    assert held(ollama) == {"mistral:latest": "new"}


def test_a_copy_of_the_model_itself_is_no_way_back(backup: Run, ollama: FakeOllama) -> None:
    """As after a failed update, where the older backup is still good."""
    ollama.have("mistral:latest", "old")
    ollama.have(PENDING, "old")
    ollama.have(FAILED, "new")
    ollama.have(dated("20261101T000000Z"), "old")
    ollama.have(dated("20261001T000000Z"), "older")
    assert backup("settled", keep=1)["kept"] == [dated("20261001T000000Z")]
    assert held(ollama) == {"mistral:latest": "old", dated("20261001T000000Z"): "older"}


def test_settled_again_after_it_was_cut_off_has_one_backup(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.have(PENDING, "old")
    ollama.have(dated("20261101T000000Z"), "old")
    ollama.have(dated("20261001T000000Z"), "older")
    result = backup("settled", keep=2)
    assert sorted(held(ollama).values()) == ["new", "old", "older"]
    assert result["kept"][1] == dated("20261001T000000Z")


def test_settled_removes_what_a_pull_from_a_mirror_has_left(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.have("mirror:5000/library/mistral:latest", "new")
    ollama.have("mistral:gizzi-replaced", "old")
    ollama.have("other:5000/library/mistral:latest", "old")
    backup("settled", registry="http://mirror:5000")
    assert set(held(ollama)) == {"mistral:latest", "other:5000/library/mistral:latest"}
    backup("settled", registry="https://registry.ollama.ai")
    assert set(held(ollama)) == {"mistral:latest", "other:5000/library/mistral:latest"}


def test_restored_brings_the_pending_model_back(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    digest = ollama.have(PENDING, "old")
    result = backup("restored")
    assert (result["changed"], result["digest"], result["source"]) == (True, digest, PENDING)
    # By the name of what it replaced that can still be unloaded; the pending one stays until the verdict.
    assert held(ollama) == {"mistral:latest": "old", PENDING: "old", result["replaced"]: "new"}
    assert backup("restored")["changed"] is False


def test_at_every_moment_of_going_back_there_is_a_model(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "new")
    ollama.have(PENDING, "old")
    ollama.have(FAILED, "older")
    backup("restored")
    deleted = [body["model"] for method, _path, body in ollama.requests if method == "DELETE"]
    assert deleted == [FAILED]


def test_a_backup_is_taken_only_when_it_is_asked_for(backup: Run, ollama: FakeOllama) -> None:
    """An update that failed before it kept anything must not go further back than it came from."""
    ollama.have("mistral:latest", "new")
    ollama.have(dated("20261001T000000Z"), "older")
    ollama.have(dated("20261101T000000Z"), "old")
    assert "no pending model" in backup("restored")["msg"]
    assert held(ollama)["mistral:latest"] == "new"
    assert backup("restored", source="newest")["source"] == dated("20261101T000000Z")
    assert held(ollama)["mistral:latest"] == "old"
    # The newest is the model itself now: the way back from here is the one before it.
    assert backup("restored", source="newest")["source"] == dated("20261001T000000Z")


def test_without_another_model_there_is_nothing_to_go_back_to(backup: Run, ollama: FakeOllama) -> None:
    ollama.have("mistral:latest", "old")
    ollama.have(dated("20261101T000000Z"), "old")
    result = backup("restored", source="newest")
    assert result["failed"] is True
    assert "nothing to go back to" in result["msg"]


@pytest.mark.parametrize("state", ["pending", "restored", "settled"])
def test_check_mode_predicts_and_touches_nothing(backup: Run, ollama: FakeOllama, state: str) -> None:
    ollama.have("mistral:latest", "new")
    if state != "pending":
        ollama.have(PENDING, "old")
    before = dict(ollama.store)
    predicted = backup(state, check_mode=True)
    assert ollama.store == before
    real = backup(state)
    assert predicted["changed"] is real["changed"] is True
    assert predicted["removed"] == real["removed"]
    assert predicted["digest"] == real["digest"]


def test_a_negative_number_of_backups_is_refused(backup: Run) -> None:
    assert "-1" in backup("settled", keep=-1)["msg"]


def test_settled_removes_the_layers_of_a_pull_that_was_given_up(
    backup: Run, ollama: FakeOllama, tmp_path: Path
) -> None:
    ollama.have("mistral:latest", "new")
    folder = tmp_path / "manifests/registry.ollama.ai/library/mistral"
    folder.mkdir(parents=True)
    (folder / "latest").write_bytes(manifest("new"))
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    used = [layer.digest.replace(":", "-") for layer in parse_manifest(manifest("new")).layers]
    lost = ["sha256-" + "0" * 64, "sha256-" + "1" * 64 + "-partial", "sha256-" + "1" * 64 + "-partial-0"]
    for name in [*used, *lost, "other"]:
        (blobs / name).write_bytes(b"x" * 8192)
    assert backup("settled")["freed"] == 0
    predicted = backup("settled", models_dir=str(tmp_path), check_mode=True)
    assert (predicted["changed"], predicted["freed"]) == (True, 0)
    result = backup("settled", models_dir=str(tmp_path))
    assert (result["changed"], result["freed"]) == (True, 3 * 8192)
    assert {path.name for path in blobs.iterdir()} == {*used, "other"}
    assert backup("settled", models_dir=str(tmp_path))["changed"] is False


def test_a_manifest_that_cannot_be_read_saves_all_layers(backup: Run, ollama: FakeOllama, tmp_path: Path) -> None:
    ollama.have("mistral:latest", "new")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "latest").write_text("{")
    (tmp_path / "blobs").mkdir()
    blob = tmp_path / "blobs" / ("sha256-" + "0" * 64)
    blob.touch()
    result = backup("settled", models_dir=str(tmp_path))
    assert result["changed"] is False
    assert "cannot be read" in result["warnings"][0]
    assert blob.exists()
