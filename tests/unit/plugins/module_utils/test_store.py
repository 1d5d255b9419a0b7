# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_manifest
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest


def put(store: Store, digest: str, size: int, suffix: str = "") -> None:
    path = store.path / "blobs" / (digest.replace(":", "-") + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def save(store: Store, path: str, body: bytes) -> None:
    file = store.path / "manifests" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)


@pytest.fixture
def offered() -> Manifest:
    return parse_manifest(manifest("one", 1000))


def test_only_complete_blobs_are_there(tmp_path: Path, offered: Manifest) -> None:
    store = Store(tmp_path)
    assert store.missing_bytes(offered) == 1015
    weights = next(layer for layer in offered.layers if layer.size == 1000)
    # A download in progress has its full length, and another name.
    put(store, weights.digest, 1000, "-partial")
    assert store.missing_bytes(offered) == 1015
    put(store, weights.digest, 999)
    assert store.missing_bytes(offered) == 1015
    put(store, weights.digest, 1000)
    assert store.missing_bytes(offered) == 15


def test_a_model_is_stored_when_all_its_layers_are(tmp_path: Path, offered: Manifest) -> None:
    store, name = Store(tmp_path), parse_model_name("team/phi3:mini")
    path = tmp_path / "manifests/registry.ollama.ai/team/phi3/mini"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest("one", 1000))
    assert store.manifest(name) is None
    for layer in offered.layers:
        put(store, layer.digest, layer.size)
    assert store.manifest(name) == offered
    path.write_bytes(b"")
    assert store.manifest(name) is None


def test_a_model_with_a_layer_gone_is_held_and_not_stored(tmp_path: Path, offered: Manifest) -> None:
    store, name = Store(tmp_path), parse_model_name("phi3:mini")
    assert store.held(name) is None
    save(store, "registry.ollama.ai/library/phi3/mini", manifest("one", 1000))
    for layer in offered.layers[1:]:
        put(store, layer.digest, layer.size)
    assert (store.held(name), store.manifest(name)) == (offered, None)
    assert store.missing(offered) == [offered.layers[0].digest]
    assert store.missing_bytes(offered) == 1000
    assert store.missing_bytes(offered, [offered.layers[1].digest]) == 1000 + offered.layers[1].size


def test_names_are_those_of_the_manifests(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(FileNotFoundError):
        store.names()
    for path in ("registry.ollama.ai/library/phi3/mini", "registry.ollama.ai/team/phi3/7b", "hub:1/a/b/c", "odd/file"):
        save(store, path, b"")
    assert [str(name) for name in store.names()] == ["hub:1/a/b:c", "phi3:mini", "team/phi3:7b"]


def test_a_link_among_the_manifests_is_not_followed(tmp_path: Path, offered: Manifest) -> None:
    """User ollama owns the store, and must not make root read or remove what is elsewhere."""
    store, other = Store(tmp_path / "store"), Store(tmp_path / "other")
    (tmp_path / "store").mkdir(mode=0o777)
    (tmp_path / "store").chmod(0o777)
    save(other, "registry.ollama.ai/library/phi3/mini", manifest("one", 1000))
    put(other, offered.layers[0].digest, 1000)
    (store.path / "manifests").symlink_to(other.path / "manifests")
    (store.path / "blobs").symlink_to(other.path / "blobs")
    assert store.held(parse_model_name("phi3:mini")) is None
    with pytest.raises(GizziError, match="unknown"):
        store.orphans()
    (store.path / "manifests").unlink()
    assert store.drop_orphans() == 0
    assert (other.path / "blobs" / offered.layers[0].digest.replace(":", "-")).exists()
    (store.path / "manifests/registry.ollama.ai/library").mkdir(parents=True)
    (store.path / "manifests/registry.ollama.ai/library/phi3").symlink_to(other.path)
    with pytest.raises(GizziError, match="a link, which is not followed"):
        store.orphans()


def test_layers_of_a_host_that_is_a_link_are_no_orphans(tmp_path: Path, offered: Manifest) -> None:
    """Ollama follows manifests/hf.co, and has its models. Root does not, and must not take their layers."""
    store, other = Store(tmp_path / "store"), Store(tmp_path / "other")
    save(other, "hf.co/team/phi3/mini", manifest("one", 1000))
    put(store, offered.layers[0].digest, 1000)
    (store.path / "manifests").mkdir()
    (store.path / "manifests" / "hf.co").symlink_to(other.path / "manifests" / "hf.co")
    with pytest.raises(GizziError, match="a link, which is not followed"):
        store.drop_orphans()
    assert (store.path / "blobs" / offered.layers[0].digest.replace(":", "-")).exists()


def test_a_manifest_without_layers_keeps_nobody_from_the_others(tmp_path: Path, offered: Manifest) -> None:
    store = Store(tmp_path)
    config = offered.layers[-1]
    entry = json.dumps({"digest": config.digest, "size": config.size})
    save(
        store,
        "registry.ollama.ai/library/far/cloud",
        f'{{"schemaVersion": 2, "layers": null, "config": {entry}}}'.encode(),
    )
    put(store, config.digest, config.size)
    put(store, "sha256:" + "0" * 64, 8192)
    assert store.drop_orphans() > 0
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [config.digest.replace(":", "-")]


def test_free_space_is_that_of_the_nearest_parent(tmp_path: Path) -> None:
    store = Store(tmp_path / "not" / "yet")
    assert store.existing_parent() == tmp_path
    output = subprocess.run(
        ["df", "-B1", "--output=avail", str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    free = store.free_bytes()
    assert free is not None
    assert abs(free - int(output.splitlines()[1])) < 1_000_000_000
