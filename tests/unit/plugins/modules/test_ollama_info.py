# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.modules import ollama_info

if TYPE_CHECKING:
    from collections.abc import Callable

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
