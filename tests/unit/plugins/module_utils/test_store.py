# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_manifest
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest, sha256

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest


def put(store: Store, digest: str, size: int, suffix: str = "") -> None:
    path = store.path / "blobs" / (digest.replace(":", "-") + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


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


def test_damaged_layers_are_dropped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    document = json.loads(manifest("one"))
    document["layers"] = [{"digest": f"sha256:{sha256(text)}", "size": 4} for text in (b"good", b"evil", b"none")]
    document["config"] = document["layers"][0]
    offered = parse_manifest(json.dumps(document).encode())
    (tmp_path / "blobs").mkdir()
    good, evil = (tmp_path / "blobs" / f"sha256-{sha256(text)}" for text in (b"good", b"evil"))
    good.write_bytes(b"good")
    evil.write_bytes(b"EVIL")
    assert store.missing_bytes(offered) == 4
    store.drop_damaged(offered)
    assert list((tmp_path / "blobs").iterdir()) == [good]
    assert store.missing_bytes(offered) == 8


def test_free_space_is_that_of_the_nearest_parent(tmp_path: Path) -> None:
    store = Store(tmp_path / "not" / "yet")
    assert store.existing_parent() == tmp_path
    output = subprocess.run(
        ["df", "-B1", "--output=avail", str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    free = store.free_bytes()
    assert free is not None
    assert abs(free - int(output.splitlines()[1])) < 1_000_000_000
