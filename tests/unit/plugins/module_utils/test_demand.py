# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._demand import Demand, demand_of
from ansible_collections.etrid.gizzi.plugins.module_utils._memory import Settings
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Registry
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import layer, manifest
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import SMOLLM2, SMOLLM2_TOKEN, TOKENIZER, gguf

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

GB = 10**9
WEIGHTS = gguf({**SMOLLM2, **TOKENIZER})
NOBODY = Registry("http://127.0.0.1:1")
CONTEXT = 4096 * SMOLLM2_TOKEN


def demand(store: Path, registry: Registry, *names: str, **settings: Any) -> Demand:
    return demand_of(map(parse_model_name, names), Store(store), registry, Settings(**settings), {})


def store_model(store: Path, name: str, content: bytes = WEIGHTS) -> None:
    """Put a model into the store that has this content as its weights."""
    body = manifest("small", size=len(content))
    path = store / "manifests/registry.ollama.ai/library" / name.replace(":", "/")
    path.parent.mkdir(parents=True)
    path.write_bytes(body)
    (store / "blobs").mkdir(exist_ok=True)
    document = json.loads(body)
    for each in [*document["layers"], document["config"]]:
        (store / "blobs" / each["digest"].replace(":", "-")).write_bytes(b"x" * each["size"])
    (store / "blobs" / document["layers"][0]["digest"].replace(":", "-")).write_bytes(content)


@pytest.mark.parametrize(
    ("model", "disk", "token", "least", "trained"),
    [
        ("llama3.1:8b", 4.7, 131_072, 8, 131_072),
        ("phi3:mini", 2.2, 393_216, 4, 131_072),
        ("mistral", 4.1, 131_072, 8, 32_768),
        ("mistral:latest", 4.1, 131_072, 8, 32_768),
        ("llama3.1:70b", 40, 327_680, 64, 131_072),
    ],
)
def test_the_models_that_are_built_in(
    tmp_path: Path, model: str, disk: float, token: int, least: int, trained: int
) -> None:
    found = demand(tmp_path, NOBODY, model)
    assert found.disk == round(disk * GB)
    assert found.memory is not None
    assert (found.memory.weights, found.memory.context) == (found.disk, 4096 * token)
    assert (found.memory.least, found.cut) == (least * GB, ())
    longest = demand(tmp_path, NOBODY, model, context_length=10**6)
    assert longest.memory is not None
    assert longest.memory.tokens == trained
    assert f"trained for a context of {trained} tokens" in longest.cut[0]


def test_the_largest_counts_for_memory_and_all_for_disk(tmp_path: Path) -> None:
    found = demand(tmp_path, NOBODY, "phi3:mini", "llama3.1:8b", "Phi3:mini", "library/phi3:mini")
    assert found.disk == 6_900_000_000
    assert found.memory is not None
    assert found.memory.model == "llama3.1:8b"
    # A token of phi3:mini takes three times as much.
    longer = demand(tmp_path, NOBODY, "phi3:mini", "llama3.1:8b", context_length=16_384)
    assert longer.memory is not None
    assert longer.memory.model == "phi3:mini"


def test_a_stored_model_needs_no_disk_and_nobody_is_asked(tmp_path: Path) -> None:
    store_model(tmp_path, "smollm2:135m")
    found = demand(tmp_path, NOBODY, "smollm2:135m")
    assert (found.disk, found.unknown_disk, found.unknown_memory) == (0, (), ())
    assert found.memory is not None
    assert (found.memory.weights, found.memory.context, found.memory.least) == (len(WEIGHTS), CONTEXT, 0)


def test_a_built_in_model_that_is_stored_is_judged_by_what_it_is(tmp_path: Path) -> None:
    store_model(tmp_path, "mistral:latest")
    found = demand(tmp_path, NOBODY, "mistral", context_length=10_000)
    assert found.memory is not None
    assert (found.memory.context, found.memory.least, found.memory.required) == (8192 * SMOLLM2_TOKEN, 8 * GB, 8 * GB)
    assert "mistral:latest was trained for a context of 8192 tokens" in found.cut[0]


def test_another_model_is_asked_about_at_the_registry(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small", size=271 * 10**6)
    registry.give_weights("smollm2:135m", "small", WEIGHTS)
    found = demand(tmp_path, Registry(registry.url), "smollm2:135m")
    assert found.disk == 271 * 10**6 + 15
    assert found.memory is not None
    assert (found.memory.weights, found.memory.context) == (271 * 10**6, CONTEXT)
    assert registry.ranges == ["bytes=0-1048575"]


def test_weights_that_are_damaged_are_asked_about_at_the_registry(tmp_path: Path, registry: FakeRegistry) -> None:
    store_model(tmp_path, "smollm2:135m", b"GGUX" + WEIGHTS[4:])
    registry.give_weights("smollm2:135m", "small", WEIGHTS)
    found = demand(tmp_path, Registry(registry.url), "smollm2:135m")
    assert found.memory is not None
    assert (found.disk, found.memory.context) == (0, CONTEXT)
    unknown = demand(tmp_path, NOBODY, "smollm2:135m")
    assert unknown.memory is None
    assert f"smollm2:135m: {tmp_path}/blobs/sha256-" in unknown.unknown_memory[0]
    assert "is not a GGUF file" in unknown.unknown_memory[0]


def test_the_part_that_sees_and_what_adapts_are_weights(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small", size=1000)
    registry.give_weights("smollm2:135m", "small", WEIGHTS)
    (path,) = registry.manifests
    document = json.loads(registry.manifests[path])
    kind = "application/vnd.ollama.image."
    # The order is the maker's.
    document["layers"].insert(0, layer("sees", 300, f"{kind}projector"))
    document["layers"] += [layer("adapts", 20, f"{kind}adapter"), layer("licence 2", 5000, f"{kind}license")]
    registry.manifests[path] = json.dumps(document).encode()
    found = demand(tmp_path, Registry(registry.url), "smollm2:135m")
    assert found.memory is not None
    assert found.memory.weights == 1320


def test_what_is_unknown_is_told_for_disk_and_memory_apart(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small", size=1000)
    found = demand(tmp_path, Registry(registry.url), "nonsense", "smollm2:135m", "phi3:mini")
    assert len(found.unknown_disk) == len(found.unknown_memory) == 1
    assert "no such model or tag" in found.unknown_disk[0]
    assert "smollm2:135m: The weights cannot be looked at: GET" in found.unknown_memory[0]
    assert found.disk == 1015 + 2_200_000_000


def test_a_manifest_without_weights(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small")
    (path,) = registry.manifests
    registry.manifests[path] = registry.manifests[path].replace(b"image.model", b"image.tensor")
    found = demand(tmp_path, Registry(registry.url), "smollm2:135m")
    assert found.unknown_memory == (
        "smollm2:135m: its manifest names no weights (application/vnd.ollama.image.model).",
    )


@pytest.mark.parametrize("linked", [True, False])
def test_a_model_of_an_earlier_store_needs_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    store_model(old, "tiny:1b")
    monkeypatch.setattr(Store, "shares_disk", lambda _self, _other: linked)
    names = [parse_model_name("tiny:1b")]
    found = demand_of(names, Store(new), NOBODY, Settings(), {}, Store(old))
    total = Store(old).manifest(names[0])
    assert (found.unknown_disk, found.unknown_memory) == ((), ())
    assert found.disk == (0 if linked else total and total.size)
    assert found.memory and found.memory.model == "tiny:1b"
    # One that is in neither is asked for.
    assert demand_of([parse_model_name("other:1b")], Store(new), NOBODY, Settings(), {}, Store(old)).unknown_disk
