# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores of models on this disk, with weights that say what they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import MEDIA_TYPE, WEIGHTS, sha256
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import SMOLLM2, TOKENIZER, gguf

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = "manifests/registry.ollama.ai/library"


def weights(seed: str, size: int = 5000) -> bytes:
    """Weights with a header that says SMOLLM2."""
    return gguf({**SMOLLM2, **TOKENIZER}, tail=(f"{seed} " * size).encode())[:-7]


def put_blob(store: Path, content: bytes) -> str:
    """Put a blob into a store; return its digest."""
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    digest = sha256(content)
    (store / "blobs" / f"sha256-{digest}").write_bytes(content)
    return f"sha256:{digest}"


def put_model(store: Path, path: str, *contents: bytes, kind: str = WEIGHTS) -> bytes:
    """Put a model of a config, weights and further layers into a store; return its manifest.

    :param path: such as "mistral/latest".
    """
    layers = [
        {"mediaType": media_type, "digest": put_blob(store, content), "size": len(content)}
        for media_type, content in zip(["application/x", kind, *["application/x"] * len(contents)], contents)
    ]
    document = {"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": layers[0], "layers": layers[1:]}
    # As a registry formats it: not the way in which Ollama writes JSON.
    body = json.dumps(document, indent=3).encode()
    manifest = store / LIBRARY / path
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_bytes(body)
    return body


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
