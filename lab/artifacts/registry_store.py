"""A model registry's content: configs, layers and manifests in Ollama's format.

Manifests are in the form that a 0.9 client stores after a pull (compact JSON, no newline at the end). So their sha256
is the digest that /api/tags reports, for every release that the lab runs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.artifacts.downloads import sha256_of
from lab.artifacts.model import BROKEN, GARBAGE, NEWER, WEIGHTS
from lab.artifacts.progress import megabytes, step

CHATML = """\
{{- if .Messages }}
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ else }}
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ end }}{{ .Response }}"""


MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# With more servers than cores on a machine, a second thread costs more time in waiting than it saves.
PARAMETERS = {"num_thread": 1, "stop": ["<|im_start|>", "<|im_end|>"]}


@dataclass(frozen=True)
class Model:
    """One model of the registry; models with the same weights differ in their small layers."""

    name: str
    tags: tuple[str, ...]
    system: str
    weights: str = WEIGHTS


SMOLLM2 = Model(
    "smollm2",
    ("135m", "latest"),
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
)
MODELS = (
    SMOLLM2,
    # Tests move the tag 135m to these. Other small layers:
    replace(SMOLLM2, tags=("135m-next",), system=f"{SMOLLM2.system}. You answer in one sentence"),
    # Other weights:
    replace(SMOLLM2, tags=("135m-newer",), weights=NEWER),
    # Bad models that an update must not keep. (For a model that is too slow, slow down the server: lab.ollama.slowed.)
    replace(SMOLLM2, tags=("135m-garbage",), weights=GARBAGE),
    replace(SMOLLM2, tags=("135m-broken",), weights=BROKEN),
    # The same weights under names that are easy to confuse.
    Model("mistral", ("latest",), "You stand in for mistral"),
    Model("phi3", ("latest",), "You stand in for phi3"),
    Model("phi3", ("mini",), "You stand in for phi3:mini"),
)


class Store:
    """The folder that the web server serves as a registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs"
        self._blobs.mkdir(parents=True)

    def weights(self, path: Path) -> dict[str, Any]:
        """Store a file of weights; return its layer for a manifest."""
        digest = f"sha256:{sha256_of(path)}"
        size = path.stat().st_size
        path.rename(self._blob(digest))
        return entry("application/vnd.ollama.image.model", digest, size)

    def small(self, media_type: str, content: bytes) -> dict[str, Any]:
        """Store a small blob; return its entry for a manifest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._blob(digest).write_bytes(content)
        return entry(media_type, digest, len(content))

    def manifest(self, name: str, tag: str, content: bytes) -> None:
        """Store a manifest under a model's tag."""
        path = self._folder / "manifests/library" / name / tag
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.replace(":", "-")


def entry(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """Return a blob's entry for a manifest."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def compact(value: object) -> bytes:
    """Return JSON as Go writes it, except for characters that Go escapes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def config(weights: int, layers: list[dict[str, Any]]) -> bytes:
    """Return a model's config; ``weights`` is the number of weights."""
    return compact(
        {
            "model_format": "gguf",
            "model_family": "llama",
            "model_families": ["llama"],
            "model_type": f"{weights / 1e6:.2f}M",
            "file_type": "F16",
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
    )


def make_registry(parts: Path, sizes: dict[str, int], registry: Path) -> None:
    """Write every model of the registry.

    The files of weights are moved from ``parts``, which also has the licence; ``sizes`` has their numbers of weights.
    """
    with step("the registry") as running:
        store = Store(registry)
        weights = {name: store.weights(parts / name) for name in sizes}
        kind = "application/vnd.ollama.image"
        for model in MODELS:
            layers = [
                weights[model.weights],
                store.small(f"{kind}.template", CHATML.encode()),
                store.small(f"{kind}.system", model.system.encode()),
                store.small(f"{kind}.license", (parts / "LICENSE").read_bytes()),
                store.small(f"{kind}.params", compact(PARAMETERS) + b"\n"),
            ]
            about = store.small("application/vnd.docker.container.image.v1+json", config(sizes[model.weights], layers))
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": about, "layers": layers}
            for tag in model.tags:
                store.manifest(model.name, tag, compact(manifest))
        running.note = f"{len(MODELS)} manifests, blobs of {megabytes(*(registry / 'blobs').iterdir())}"
