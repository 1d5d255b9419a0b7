# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.modules import ollama_registry_info
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest, rewritten, sha256
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import SMOLLM2, SMOLLM2_TOKEN, TOKENIZER, gguf

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

    Run = Callable[..., dict[str, Any]]


def test_one_small_request_for_each_model(run_module: Run, registry: FakeRegistry) -> None:
    digest = registry.publish("mistral:latest", "one")
    result = run_module(
        ollama_registry_info.main, registry=registry.url, models=["mistral", "phi3:mini"], check_mode=True
    )
    assert result["changed"] is False
    found = result["models"]["mistral"]
    assert (found["digest"], found["size"], found["error"]) == (digest, 1015, "")
    # A server before 0.19 has written it anew.
    assert {digest, sha256(rewritten(manifest("one")))} < set(found["digests"])
    wanted = json.loads(manifest("one"))
    assert found["layers"] == [layer["digest"] for layer in (wanted["config"], *wanted["layers"])]
    assert sha256(found["manifest"].encode()) == digest
    assert "no such model" in result["models"]["phi3:mini"]["error"]
    assert result["models"]["phi3:mini"]["layers"] is None
    assert [(method, path) for method, path, _body in registry.requests] == [
        ("GET", "/v2/library/mistral/manifests/latest"),
        ("GET", "/v2/library/phi3/manifests/mini"),
    ]


def test_a_registry_that_fails_is_said_of_each_model(run_module: Run, registry: FakeRegistry) -> None:
    registry.status = 500
    result = run_module(ollama_registry_info.main, registry=registry.url, models=["mistral"])
    assert result.get("failed", False) is False
    assert "the registry is broken" in result["models"]["mistral"]["error"]


def test_a_name_that_is_none_fails(run_module: Run, registry: FakeRegistry) -> None:
    assert "is a URL" in run_module(ollama_registry_info.main, registry=registry.url, models=["http://x/y"])["msg"]


def test_a_manifest_of_brackets_is_said_of_its_model(run_module: Run, registry: FakeRegistry) -> None:
    """It ended the module with a RecursionError, and nothing was known of the others."""
    registry.publish("phi3:mini", "one")
    registry.manifests["/v2/library/mistral/manifests/latest"] = b"[" * 200_000
    result = run_module(ollama_registry_info.main, registry=registry.url, models=["mistral", "phi3:mini"])
    assert "lists and objects within one another" in result["models"]["mistral"]["error"]
    assert result["models"]["phi3:mini"]["error"] == ""


def test_the_headers_of_the_weights_on_request(run_module: Run, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small")
    registry.give_weights("smollm2:135m", "small", gguf({**SMOLLM2, **TOKENIZER}))
    registry.publish("llama3.1:8b", "built in")
    registry.publish("tiny:latest", "without weights")
    asked = ["smollm2:135m", "llama3.1:8b", "tiny", "gone"]
    assert "header" not in run_module(ollama_registry_info.main, registry=registry.url, models=asked)["models"]["tiny"]
    registry.requests.clear()
    models = run_module(ollama_registry_info.main, registry=registry.url, models=asked, headers=True)["models"]
    assert models["smollm2:135m"]["header"] == {"token_bytes": SMOLLM2_TOKEN, "context": 8192}
    assert models["llama3.1:8b"]["header"] == {"token_bytes": 131_072, "context": 131_072}
    assert [models[name]["header_error"] for name in asked[:2]] == ["", ""]
    assert [models[name]["header"] for name in asked[2:]] == [None, None]
    assert "The weights cannot be looked at" in models["tiny"]["header_error"]
    assert models["gone"]["header_error"] == models["gone"]["error"] != ""
    # The weights of what is built in were not asked for.
    assert len(registry.paths("/v2/library/llama3.1/")) == 1
