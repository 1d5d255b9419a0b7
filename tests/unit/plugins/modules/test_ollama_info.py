# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _weights
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_manifest
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import Runner
from ansible_collections.etrid.gizzi.plugins.modules import ollama_info
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest, rewritten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama


def test_tells_version_models_and_what_is_loaded(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> None:
    second = ollama.have("phi3:mini", "mini")
    first = ollama.have("mistral:latest", "one")
    ollama.loaded = [{"name": "phi3:mini", "digest": f"sha256:{second}", "size": 5, "expires_at": "2026-11-22T00:00Z"}]
    result = run_module(ollama_info.main, url=f"{ollama.url}/")
    assert result["changed"] is False
    assert result["version"] == "0.34.2"
    assert [(model["name"], model["digest"]) for model in result["models"]] == [
        ("mistral:latest", first),
        ("phi3:mini", second),
    ]
    assert result["models"][0]["quantization_level"] == "Q4_K_M"
    assert result["loaded"] == [
        {"name": "phi3:mini", "digest": second, "size": 5, "size_vram": 0, "expires_at": "2026-11-22T00:00Z"}
    ]


def test_old_or_odd_answers_are_no_crash(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> None:
    ollama.get_tags = lambda http, body: http.send_json(200, {"models": None})  # type: ignore[method-assign]
    assert run_module(ollama_info.main, url=ollama.url)["models"] == []
    ollama.get_tags = lambda http, body: http.send_json(200, [])  # type: ignore[method-assign]
    assert "did not answer with a list of models" in run_module(ollama_info.main, url=ollama.url)["msg"]


@pytest.mark.parametrize(
    ("runners", "base"),
    [([Runner(7, frozenset())], True), ([], False), (None, None)],
    ids=["alive", "killed", "unseen"],
)
def test_tells_which_models_are_in_memory(
    run_module: Callable[..., dict[str, Any]],
    ollama: FakeOllama,
    runners: list[Runner] | None,
    base: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By weights, and only where a process holds them; the list itself is told as it is."""
    monkeypatch.setattr(_weights, "runners_behind", lambda _url: runners)
    digest = ollama.have_content("base:1", weights=["a1" * 32])
    ollama.have_content("made:1", weights=["a1" * 32], system="Be brief.")
    ollama.have_content("other:1", weights=["b2" * 32])
    ollama.loaded = [{"name": "base:1", "digest": digest}]
    result = run_module(ollama_info.main, url=ollama.url)
    assert {model["name"]: model["loaded"] for model in result["models"]} == {
        "base:1": base,
        "made:1": base,
        "other:1": False,
    }
    assert [model["name"] for model in result["loaded"]] == ["base:1"]


def test_tells_what_models_consist_of_where_the_store_is_here(
    run_module: Callable[..., dict[str, Any]], ollama: FakeOllama, tmp_path: Path
) -> None:
    """Whatever way the manifest is written in; null where a layer is missing."""
    body = manifest("one", size=3)
    content = parse_manifest(body)
    ollama.have("phi3:mini", "mini")
    ollama.store["mistral:latest"] = rewritten(body)
    folder = tmp_path / "manifests/registry.ollama.ai/library/mistral"
    folder.mkdir(parents=True)
    (folder / "latest").write_bytes(rewritten(body))
    (tmp_path / "blobs").mkdir()
    for layer in content.layers:
        (tmp_path / "blobs" / layer.digest.replace(":", "-")).write_bytes(b"x" * layer.size)

    def layers(**args: Any) -> dict[str, Any]:
        models = run_module(ollama_info.main, url=ollama.url, **args)["models"]
        return {model["name"]: model["layers"] for model in models}

    assert layers(models_dir=str(tmp_path)) == {"mistral:latest": list(content.content), "phi3:mini": None}
    assert layers(models_dir=str(tmp_path / "none")) == {"mistral:latest": None, "phi3:mini": None}
    assert layers() == {"mistral:latest": None, "phi3:mini": None}
    (tmp_path / "blobs" / content.layers[0].digest.replace(":", "-")).unlink()
    assert layers(models_dir=str(tmp_path))["mistral:latest"] is None
