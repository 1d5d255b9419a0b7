# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import getpass
import grp
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _old_store
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.modules import ollama_store_import
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import sha256
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import LIBRARY, files_of, put_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., dict[str, Any]]

CONFIG, WEIGHTS = b"config", b"weights" * 100


@pytest.fixture
def old(tmp_path: Path) -> Path:
    store = tmp_path / "old"
    put_model(store, "mistral/latest", CONFIG, WEIGHTS)
    put_model(store, "phi3/mini", b"other config", WEIGHTS)
    return store


@pytest.fixture
def run(run_module: Run, old: Path, tmp_path: Path) -> Run:
    def call(*models: str, check_mode: bool = False) -> dict[str, Any]:
        mine = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getegid()).gr_name}
        stores = {"from": str(old), "models_dir": str(tmp_path / "new/models")}
        args = {**stores, **mine, "models": list(models), "reserved_disk": 0}
        return run_module(ollama_store_import.main, check_mode=check_mode, **args)

    return call


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new/models"


def blob(store: Path, content: bytes) -> Path:
    return store / f"blobs/sha256-{sha256(content)}"


def test_a_model_comes_as_second_names_of_its_files(run: Run, old: Path, new: Path) -> None:
    dry = run("Mistral", check_mode=True)
    assert (dry["changed"], dry["models"], dry["linked"], new.exists()) == (True, ["mistral:latest"], 2, False)
    done = run("Mistral")
    assert (done["models"], done["linked"], done["copied"], done["left"]) == (["mistral:latest"], 2, 0, {})
    assert blob(new, WEIGHTS).samefile(blob(old, WEIGHTS))
    # The other model and what it alone needs stay.
    there = files_of(old)
    assert files_of(new) == {
        name: content for name, content in there.items() if "phi3" not in name and content != b"other config"
    }
    assert run("mistral")["changed"] is False


def test_a_blob_that_two_models_share_comes_once(run: Run, new: Path) -> None:
    assert run("mistral", "phi3:mini")["linked"] == 3
    assert len(list((new / "blobs").iterdir())) == 3


def test_files_of_somebody_else_are_copied(run: Run, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_old_store, "_can_be_linked", lambda *_: False)
    done = run("mistral")
    assert (done["linked"], done["copied"]) == (0, 2)
    assert blob(new, WEIGHTS).read_bytes() == WEIGHTS
    assert not blob(new, WEIGHTS).samefile(blob(old, WEIGHTS))
    assert Store(new).orphans() == []


def test_without_room_for_a_copy_the_model_stays(run: Run, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_old_store, "_can_be_linked", lambda *_: False)
    monkeypatch.setattr(Store, "free_bytes", lambda _self: 10)
    done = run("mistral")
    assert (done["changed"], new.exists()) == (False, False)
    assert done["left"]["mistral:latest"].startswith("it has to be copied, and 706")
    assert "mistral:latest stays in" in done["warnings"][0]


def test_a_damaged_blob_is_not_taken_over(run: Run, old: Path, new: Path) -> None:
    blob(old, WEIGHTS).write_bytes(b"W" + WEIGHTS[1:])
    done = run("mistral")
    assert (done["changed"], new.exists()) == (False, False)
    assert "It is pulled instead" in done["left"]["mistral:latest"]


@pytest.mark.parametrize("gone", [f"blobs/sha256-{sha256(CONFIG)}", f"{LIBRARY}/mistral/latest"])
def test_a_model_that_is_not_whole_is_left_out(run: Run, old: Path, gone: str) -> None:
    (old / gone).unlink()
    assert (run("mistral")["changed"], run("mistral")["left"]) == (False, {})


def test_a_model_that_is_there_already_stays(run: Run, old: Path, new: Path) -> None:
    manifest = put_model(new, "mistral/latest", b"newer", b"newer weights")
    assert run("mistral")["changed"] is False
    assert (new / LIBRARY / "mistral/latest").read_bytes() == manifest


def test_what_a_run_that_was_cut_off_has_left_is_no_hindrance(run: Run, old: Path, new: Path) -> None:
    waiting = new / ".gizzi-incoming"
    waiting.mkdir(parents=True, mode=0o700)
    (waiting / f"{blob(old, WEIGHTS).name}.good").write_bytes(b"half")
    assert run("mistral")["changed"] is True
    assert blob(new, WEIGHTS).read_bytes() == WEIGHTS
    assert not waiting.exists()


def test_there_must_be_an_owner(run_module: Run, old: Path, new: Path) -> None:
    args = {"from": str(old), "models_dir": str(new), "models": ["mistral"], "owner": "nobody-has-this-name"}
    assert "There is no user nobody-has-this-name" in run_module(ollama_store_import.main, **args)["msg"]
