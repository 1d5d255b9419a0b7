# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From one store into a file and from there into another, by the actions and the real modules."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail

from ansible_collections.etrid.gizzi.plugins.action import (
    model_bundle as write_action,
)
from ansible_collections.etrid.gizzi.plugins.action import (
    model_bundle_import as import_action,
)
from ansible_collections.etrid.gizzi.plugins.action import (
    model_bundle_info as info_action,
)
from ansible_collections.etrid.gizzi.plugins.module_utils import _store_parts
from ansible_collections.etrid.gizzi.plugins.modules import model_bundle, model_bundle_import
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import sha256
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import SMOLLM2_TOKEN
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import files_of, put_model, weights

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., dict[str, Any]]

MODULES = {write_action.MODULE: model_bundle.main, import_action.MODULE: model_bundle_import.main}
MISTRAL = (b"config", weights("mistral"), b"licence")


class Host:
    """What goes to a host and comes from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Sizes of the parts that went to the host and came from it.
        self.sent: list[int] = []
        self.fetched: list[int] = []
        # The connection breaks at this transfer.
        self.breaks_at = -1

    def put(self, local: str, remote: str) -> None:
        self._transfer()
        shutil.copyfile(local, remote)
        self.sent.append(Path(local).stat().st_size)

    def fetch(self, remote: str, local: str) -> None:
        self._transfer()
        shutil.copyfile(remote, local)
        self.fetched.append(Path(local).stat().st_size)

    def _transfer(self) -> None:
        if len(self.sent) + len(self.fetched) == self.breaks_at:
            raise AnsibleActionFail("The connection broke.")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch, host: Host, tmp_path: Path, run_module: Run) -> Run:
    local = tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(local))
    monkeypatch.setattr(_store_parts, "PART", 10_000)
    monkeypatch.setattr(import_action, "PART", 10_000)

    def run(plugin: Any, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
        shell = Mock(tmpdir=None)
        shell.join_path.side_effect = lambda *parts: "/".join(parts)
        connection = Mock(_shell=shell)
        connection.fetch_file.side_effect = host.fetch
        task = Mock(args=arguments, async_val=0, check_mode=check_mode)
        action = plugin.ActionModule(task, connection, Mock(), Mock(), Mock(), Mock())

        def make() -> None:
            host.folder.mkdir()
            shell.tmpdir = str(host.folder)

        def execute(name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            return run_module(MODULES[name], check_mode, **arguments)

        def remove(path: str | None) -> None:
            if path:
                shutil.rmtree(path)

        monkeypatch.setattr(action, "_execute_module", execute)
        monkeypatch.setattr(action, "_make_tmp_path", make)
        monkeypatch.setattr(action, "_transfer_file", host.put)
        monkeypatch.setattr(action, "_fixup_perms2", lambda paths: None)
        monkeypatch.setattr(action, "_remove_tmp_path", remove)
        result: dict[str, Any] = action.run(task_vars={})
        # Neither side keeps a part.
        assert not host.folder.exists()
        assert list(local.iterdir()) == []
        return result

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    store = tmp_path / "source"
    put_model(store, "mistral/latest", *MISTRAL)
    put_model(store, "phi3/mini", b"", weights("phi3"), b"licence")
    put_model(store, "derived/latest", b"of this host", MISTRAL[1])
    return store


@pytest.fixture
def write(act: Run, source: Path, tmp_path: Path) -> Run:
    def call(**arguments: Any) -> dict[str, Any]:
        given = {"path": str(tmp_path / "models.tar"), "models_dir": str(source), "models": ["mistral", "Phi3:mini"]}
        return act(write_action, **{**given, **arguments})

    return call


@pytest.fixture
def fill(act: Run, tmp_path: Path) -> Run:
    def call(*models: str, **arguments: Any) -> dict[str, Any]:
        path = tmp_path / "models.tar"
        known = act(info_action, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())["models"]
        given = {"path": str(path), "offered": known, "models_dir": str(tmp_path / "store"), "reserved_disk": 0}
        return act(import_action, **{**given, "models": [{"name": name} for name in models], **arguments})

    return call


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_from_one_store_into_another(write: Run, fill: Run, host: Host, source: Path, store: Path) -> None:
    written = write()
    assert written["changed"] is True
    assert written["models"] == ["Phi3:mini", "mistral:latest"]
    # Weights in parts; an empty blob needs none.
    assert host.fetched.count(10_000) == sum(len(content) // 10_000 for content in (MISTRAL[1], weights("phi3")))
    filled = fill("mistral", "phi3:mini")
    assert (filled["changed"], filled["models"]) == (True, ["mistral:latest", "phi3:mini"])
    assert sum(host.sent) == filled["bytes"]
    shutil.rmtree(source / "manifests/registry.ollama.ai/library/derived")
    (source / "blobs" / f"sha256-{sha256(b'of this host')}").unlink()
    assert files_of(store) == files_of(source)
    host.sent.clear()
    assert fill("mistral", "phi3:mini")["changed"] is False
    assert host.sent == []


def test_only_what_a_host_needs_is_sent(write: Run, fill: Run, host: Host, store: Path) -> None:
    write()
    fill("mistral")
    assert sum(host.sent) == sum(map(len, MISTRAL))
    assert len(list((store / "blobs").iterdir())) == len(MISTRAL)


def test_check_mode_tells_and_does_nothing(write: Run, fill: Run, host: Host, store: Path, tmp_path: Path) -> None:
    told = write(check_mode=True)
    assert (told["changed"], told["sha256"]) == (True, None)
    assert not (tmp_path / "models.tar").exists()
    write()
    host.fetched.clear()
    would = fill("mistral", check_mode=True)
    assert (would["changed"], would["models"], would["bytes"]) == (True, ["mistral:latest"], sum(map(len, MISTRAL)))
    assert (host.sent, list(store.iterdir())) == ([], [])
    assert write()["changed"] is False
    assert host.fetched == []


def test_a_run_that_was_cut_off_is_taken_up(write: Run, fill: Run, host: Host, store: Path) -> None:
    write()
    host.breaks_at = len(host.fetched) + 4
    with pytest.raises(AnsibleActionFail, match="The connection broke"):
        fill("mistral")
    before = sum(host.sent)
    assert 0 < before < sum(map(len, MISTRAL))
    assert not (store / "manifests").exists()
    host.breaks_at = -1
    assert fill("mistral")["changed"] is True
    assert sum(host.sent) == sum(map(len, MISTRAL))
    assert len(list((store / "blobs").iterdir())) == len(MISTRAL)


def test_a_connection_that_breaks_leaves_no_file(write: Run, host: Host, tmp_path: Path) -> None:
    host.breaks_at = 3
    with pytest.raises(AnsibleActionFail, match="The connection broke"):
        write()
    assert [path.name for path in tmp_path.glob("*models.tar*")] == []
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_damaged_blob_leaves_no_file(write: Run, source: Path, tmp_path: Path) -> None:
    (source / "blobs" / f"sha256-{sha256(MISTRAL[1])}").write_bytes(MISTRAL[1][:-1] + b"?")
    with pytest.raises(AnsibleActionFail, match="of the host is damaged"):
        write()
    assert [path.name for path in tmp_path.iterdir() if "models.tar" in path.name] == []


def test_what_the_store_cannot_give(write: Run, source: Path, tmp_path: Path) -> None:
    (source / "blobs" / f"sha256-{sha256(b'')}").unlink()
    told = write(models=["mistral", "phi3:mini", "nope:1"])
    assert told["failed"]
    assert f"lacks blobs of phi3:mini: sha256:{sha256(b'')}" in told["msg"]
    assert "has no model nope:1" in told["msg"]
    assert "models: it is empty" in write(models=[])["msg"]
    assert "is not a model name" in write(models=["a b"])["msg"]
    assert not (tmp_path / "models.tar").exists()


def test_a_bundle_that_another_has_made_of_it(write: Run, fill: Run, store: Path, tmp_path: Path) -> None:
    write()
    # The index was read and is right; a blob changes before it is sent.
    path = tmp_path / "models.tar"
    data = bytearray(path.read_bytes())
    data[data.index(b"mistral mistral")] ^= 1
    path.write_bytes(data)
    told = fill("mistral")
    assert "It was removed again" in told["msg"]
    assert not (store / "manifests").exists()


def test_what_the_file_names(act: Run, write: Run, tmp_path: Path) -> None:
    digest = write()["sha256"]
    path = str(tmp_path / "models.tar")
    found = act(info_action, path=path, sha256=f"sha256:{digest}", models=["Mistral", "nope:1"])
    assert found["changed"] is False
    mistral, nope = found["models"]["Mistral"], found["models"]["nope:1"]
    assert mistral["header"] == {"token_bytes": SMOLLM2_TOKEN, "context": 8192}
    assert mistral["layers"] == [f"sha256:{sha256(content)}" for content in MISTRAL]
    assert mistral["size"] == sum(map(len, MISTRAL))
    assert mistral["digest"] == sha256(mistral["manifest"].encode())
    assert (mistral["error"], mistral["header_error"]) == ("", "")
    assert nope["error"] == f"The bundle {path} does not have nope:1."
    assert mistral.keys() == nope.keys()
    assert list(act(info_action, path=path, sha256=digest)["models"]) == ["Phi3:mini", "mistral:latest"]


def test_a_file_with_another_checksum(act: Run, write: Run, tmp_path: Path) -> None:
    digest = write()["sha256"]
    path = str(tmp_path / "models.tar")
    with pytest.raises(AnsibleActionFail, match=f"has the SHA-256 {digest}, and not {'0' * 64} as given"):
        act(info_action, path=path, sha256="0" * 64)
    with pytest.raises(AnsibleActionFail, match="is not a sha256"):
        act(info_action, path=path, sha256="")
    with pytest.raises(AnsibleActionFail, match="cannot be read: No such file"):
        act(info_action, path=f"{path}.gz", sha256=digest)


def test_weights_that_say_nothing_of_themselves(act: Run, write: Run, source: Path, tmp_path: Path) -> None:
    put_model(source, "strange/1", b"c", b"no GGUF at all")
    put_model(source, "strange/2", b"c", b"no weights", kind="application/x")
    digest = write(models=["strange:1", "strange:2"])["sha256"]
    found = act(info_action, path=str(tmp_path / "models.tar"), sha256=digest)["models"]
    assert found["strange:1"]["header"] is None
    assert "is not a GGUF file" in found["strange:1"]["header_error"]
    assert "names no weights" in found["strange:2"]["header_error"]
