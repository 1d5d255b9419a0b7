"""The registry's content: complete, and in the form in which a client stores what it has pulled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lab.artifacts.registry_store import MODELS, make_registry


def test_every_manifest_names_what_is_there_and_nothing_else_is(tmp_path: Path) -> None:
    sizes = {model.weights: number for number, model in enumerate(MODELS, 1_000_000)}
    for name in sizes:
        (tmp_path / name).write_text(name)
    (tmp_path / "LICENSE").write_text("Apache")
    make_registry(tmp_path, sizes, tmp_path / "registry")

    blobs = {path.name: path.read_bytes() for path in (tmp_path / "registry/blobs").iterdir()}
    assert all(name == f"sha256-{hashlib.sha256(content).hexdigest()}" for name, content in blobs.items())
    manifests = [path for path in (tmp_path / "registry/manifests/library").rglob("*") if path.is_file()]
    assert len(manifests) == sum(len(model.tags) for model in MODELS)
    named: dict[str, int] = {}
    for path in manifests:
        text = path.read_text()
        manifest = json.loads(text)
        assert text == json.dumps(manifest, separators=(",", ":"))
        assert list(manifest) == ["schemaVersion", "mediaType", "config", "layers"]
        config = json.loads(blobs[manifest["config"]["digest"].replace(":", "-")])
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
        for blob in (manifest["config"], *manifest["layers"]):
            named[blob["digest"].replace(":", "-")] = blob["size"]
    assert named == {name: len(content) for name, content in blobs.items()}
