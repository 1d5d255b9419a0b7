# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.modules import ollama_blobs
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import content_manifest, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., dict[str, Any]]

MODELS = {"mistral/latest": (b"config", b"weights", b"licence"), "phi3/mini": (b"other config", b"weights")}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "blobs").mkdir()
    for path, contents in MODELS.items():
        manifest = tmp_path / "manifests/registry.ollama.ai/library" / path
        manifest.parent.mkdir(parents=True)
        manifest.write_bytes(content_manifest(*contents))
        for content in contents:
            (tmp_path / "blobs" / f"sha256-{sha256(content)}").write_bytes(content)
    return tmp_path


@pytest.fixture
def look(run_module: Run, store: Path) -> Run:
    def run(**args: Any) -> dict[str, Any]:
        return run_module(ollama_blobs.main, **{"models_dir": str(store), **args})

    return run


def by_digest(result: dict[str, Any], content: bytes) -> dict[str, Any]:
    (found,) = [blob for blob in result["blobs"] if blob["digest"] == f"sha256:{sha256(content)}"]
    return dict(found)


def test_each_blob_of_all_models_is_hashed_once(look: Run) -> None:
    result = look()
    assert result["changed"] is False
    assert len(result["blobs"]) == 4
    assert {blob["status"] for blob in result["blobs"]} == {"ok"}
    shared = by_digest(result, b"weights")
    assert shared == {
        "digest": f"sha256:{sha256(b'weights')}",
        "size": len(b"weights"),
        "models": ["mistral:latest", "phi3:mini"],
        "status": "ok",
        "message": "",
    }


def test_only_the_models_that_are_named(look: Run) -> None:
    result = look(models=["Phi3:mini"])
    assert len(result["blobs"]) == 2
    assert by_digest(result, b"weights")["models"] == ["Phi3:mini"]


def test_a_changed_byte_is_told_with_model_and_blob(look: Run, store: Path) -> None:
    blob = store / "blobs" / f"sha256-{sha256(b'weights')}"
    blob.write_bytes(b"Weights")
    result = look()
    assert result["failed"] is True
    assert f"mistral:latest, phi3:mini: the blob sha256:{sha256(b'weights')}: the content of" in result["msg"]
    assert "verify_blobs=true" in result["msg"]
    assert by_digest(result, b"weights")["status"] == "damaged"
    told = look(fail_on="never")
    assert told["blobs"] == result["blobs"]
    assert blob.read_bytes() == b"Weights"


def test_a_missing_blob_is_told(look: Run, store: Path) -> None:
    (store / "blobs" / f"sha256-{sha256(b'licence')}").unlink()
    result = look()
    assert result["failed"] is True
    assert by_digest(result, b"licence")["status"] == "missing"
    assert "mistral:latest: the blob" in by_digest(result, b"licence")["message"]


def test_what_cannot_be_read_is_not_checked_and_never_ok(look: Run, store: Path) -> None:
    blob = store / "blobs" / f"sha256-{sha256(b'licence')}"
    blob.rename(store / "licence")
    blob.symlink_to(store / "licence")
    result = look()
    assert result.get("failed", False) is False
    assert by_digest(result, b"licence")["status"] == "not_checked"
    assert "it is a link" in by_digest(result, b"licence")["message"]


@pytest.mark.parametrize("args", [{}, {"models": ["mistral"]}])
def test_a_store_that_is_not_here(look: Run, tmp_path: Path, args: dict[str, Any]) -> None:
    (found,) = look(models_dir=str(tmp_path / "nothing"), **args)["blobs"]
    assert (found["status"], found["digest"]) == ("not_checked", None)
    assert "nothing was checked" in found["message"]


def test_a_model_that_the_store_does_not_have(look: Run, store: Path) -> None:
    (store / "manifests/registry.ollama.ai/library/phi3/mini").write_text("{")
    for args, count in (({"models": ["phi3:mini", "nope:1"]}, 2), ({}, 1)):
        found = [blob for blob in look(**args)["blobs"] if blob["digest"] is None]
        assert len(found) == count
        assert {blob["status"] for blob in found} == {"not_checked"}
        assert found[0]["message"].startswith("phi3:mini: the store")


def test_a_name_that_is_none(look: Run) -> None:
    assert "is not a model name" in look(models=["a b"])["msg"]
