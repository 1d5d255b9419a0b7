# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host is judged by what the control host has learnt of the registry, and asks nobody itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _capacity
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.modules import host_capacity, ollama_registry_info
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import SMOLLM2, SMOLLM2_TOKEN, TOKENIZER, gguf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

    Run = Callable[..., dict[str, Any]]

WEIGHTS = gguf({**SMOLLM2, **TOKENIZER})
DIGEST = "0" * 64


@pytest.fixture
def asked(run_module: Run, registry: FakeRegistry) -> dict[str, Any]:
    """What the control host has learnt."""
    registry.publish("smollm2:135m", "small", size=len(WEIGHTS))
    registry.give_weights("smollm2:135m", "small", WEIGHTS)
    models = ["SmolLM2:135m", "gone"]
    found = run_module(ollama_registry_info.main, registry=registry.url, models=["smollm2:135m", "gone"], headers=True)
    offered: dict[str, Any] = json.loads(json.dumps(dict(zip(models, found["models"].values(), strict=True))))
    registry.requests.clear()
    return offered


@pytest.fixture
def judge(run_module: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: FakeRegistry) -> Run:
    monkeypatch.setattr(Host, "memory_total", lambda self: 16 * 10**9)
    monkeypatch.setattr(Host, "memory_available", lambda self: 12 * 10**9)
    monkeypatch.setattr(Host, "listener", lambda self, port: None)
    monkeypatch.setattr(Store, "free_bytes", lambda self: 100 * 10**9)

    def run(*models: str, **options: Any) -> dict[str, Any]:
        defaults = {"models_dir": str(tmp_path), "registry": registry.url, "fail_on": "never", "min_cpus": 1}
        return run_module(host_capacity.main, models=list(models), **defaults, **options)

    return run


def store(folder: Path, asked: dict[str, Any], weights: bytes) -> None:
    """Put the model into the store, with these weights."""
    path = folder / "manifests/registry.ollama.ai/library/smollm2/135m"
    path.parent.mkdir(parents=True)
    path.write_text(asked["SmolLM2:135m"]["manifest"])
    document = json.loads(path.read_text())
    (folder / "blobs").mkdir()
    for layer in (document["config"], *document["layers"]):
        content = weights if layer["size"] == len(weights) else b"x" * layer["size"]
        (folder / "blobs" / layer["digest"].replace(":", "-")).write_bytes(content)


def test_what_is_known_beforehand_is_not_asked_again(judge: Run, registry: FakeRegistry, asked: dict[str, Any]) -> None:
    found = judge("smollm2:135m", offered=asked)
    assert (found["sufficient"], registry.requests) == (True, [])
    assert found["memory"]["context"] == 4096 * SMOLLM2_TOKEN
    assert found["checks"] == judge("smollm2:135m")["checks"]
    assert registry.requests != []


def test_what_is_not_offered_is_asked_for(judge: Run, registry: FakeRegistry, asked: dict[str, Any]) -> None:
    judge("other:1b", offered=asked)
    assert registry.paths() == ["/v2/library/other/manifests/1b"]


def test_why_it_is_unknown_is_what_the_control_host_was_told(
    judge: Run, registry: FakeRegistry, asked: dict[str, Any]
) -> None:
    del asked["SmolLM2:135m"]["header"]
    found = judge("gone", "smollm2:135m", offered=asked)
    said = {check["name"]: check["message"] for check in found["checks"] if not check["ok"]}
    assert asked["gone"]["error"] in said["disk"]
    assert "smollm2:135m: the registry was not asked for the header" in said["memory_total"]
    assert registry.requests == []
    asked["SmolLM2:135m"]["header_error"] = "The weights cannot be looked at: no route."
    (check, *_more) = judge("smollm2:135m", offered=asked)["checks"]
    assert "smollm2:135m: The weights cannot be looked at: no route." in check["message"]


def test_damaged_weights_are_known_by_what_was_offered(
    judge: Run, registry: FakeRegistry, asked: dict[str, Any], tmp_path: Path
) -> None:
    store(tmp_path, asked, b"GGUX" + WEIGHTS[4:])
    found = judge("smollm2:135m", offered=asked)
    assert (found["sufficient"], found["memory"]["context"]) == (True, 4096 * SMOLLM2_TOKEN)
    # The registry has other ones now, which say nothing of these.
    digest = registry.publish("smollm2:135m", "another", size=len(WEIGHTS))
    moved = registry.manifests["/v2/library/smollm2/manifests/135m"].decode()
    asked["SmolLM2:135m"].update(manifest=moved, digest=digest)
    (check, *_more) = judge("smollm2:135m", offered=asked)["checks"]
    assert "is not a GGUF file" in check["message"]
    assert registry.requests == []


def test_host_state_takes_it_too(asked: dict[str, Any], registry: FakeRegistry, tmp_path: Path) -> None:
    options = {"models": ["smollm2:135m"], "models_dir": str(tmp_path), "registry": registry.url, "offered": asked}
    assert _capacity.capacity(options)["memory"]["model"] == "smollm2:135m"
    assert registry.requests == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"smollm2:135m": "x"}, "offered: smollm2:135m: 'x' is no mapping"),
        ({"a b": {}}, "'a b' is not a model name"),
        ({"smollm2:135m": {}}, "offered: smollm2:135m: its manifest is none"),
        ({"smollm2:135m": {"manifest": "{}"}}, "offered: smollm2:135m: its manifest is none: it is not a manifest"),
    ],
)
def test_what_is_no_offer_is_refused(judge: Run, wrong: dict[str, Any], said: str) -> None:
    found = judge("smollm2:135m", offered=wrong)
    assert said in found["msg"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"digest": DIGEST}, f"its digest is {DIGEST}, and that of its manifest "),
        ({"header": {"token_bytes": -1, "context": 1}}, "'token_bytes': -1, 'context': 1} is no header"),
        ({"header": {"token_bytes": 1, "context": "1"}}, "is no header with token_bytes and context"),
        ({"header": 5}, "5 is no header with token_bytes and context. Give what module ollama_registry_info"),
    ],
)
def test_an_altered_offer_is_refused(judge: Run, asked: dict[str, Any], changed: dict[str, Any], said: str) -> None:
    asked["SmolLM2:135m"].update(changed)
    assert said in judge("smollm2:135m", offered=asked)["msg"]
