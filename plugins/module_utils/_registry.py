# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a model registry holds under a tag, learnt with one small request."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import (
    BadStatusError,
    HttpError,
    check_base_url,
    request,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import DEFAULT_HOST

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

DEFAULT_REGISTRY = f"https://{DEFAULT_HOST}"
MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"

_BLOB_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFEST_DIGEST = re.compile(r"[0-9a-f]{64}")


class RegistryError(GizziError):
    pass


class BusyRegistryError(RegistryError):
    """A registry that lets others have their turn first (429)."""


@dataclass(frozen=True)
class Layer:
    digest: str
    size: int
    # What it is, such as application/vnd.ollama.image.model; empty when the manifest does not say.
    media_type: str = ""


@dataclass(frozen=True)
class Manifest:
    digest: str
    # The digest under which a server before 0.19 stores the same manifest: it writes the JSON anew.
    rewritten_digest: str
    # What `ollama create` writes, and so what a registry made of a server's own store may hold.
    created_digest: str
    # Each blob once.
    layers: tuple[Layer, ...]
    # The config's digest, then the layers' in order: equal content is the same model, however its JSON is written.
    content: tuple[str, ...]
    # As it was read, byte for byte.
    text: str

    @property
    def digests(self) -> frozenset[str]:
        return frozenset((self.digest, self.rewritten_digest, self.created_digest))

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True)
class Registry:
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def insecure(self) -> bool:
        """Whether it is asked without TLS, as a mirror within the fleet."""
        return urlsplit(self.url).scheme == "http"

    def of(self, name: ModelName) -> Registry:
        """The registry that has the model: this one, or the one that the name says."""
        return self if name.host.lower() == DEFAULT_HOST else Registry(f"https://{name.host}")

    def manifest(self, name: ModelName, timeout: float) -> Manifest:
        url = f"{self.url}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
        try:
            answer = request("GET", url, timeout, headers={"Accept": MEDIA_TYPE}, use_proxy=not self.insecure)
        except BadStatusError as error:
            if error.status == 404:
                raise RegistryError(f"There is no such model or tag at the registry {self.url}: {name}.") from error
            if error.status == 429:
                raise BusyRegistryError(f"The registry {self.url} is full: {error}.") from error
            raise RegistryError(f"The registry cannot be asked about {name}: {error}.") from error
        except HttpError as error:
            raise RegistryError(f"The registry cannot be asked about {name}: {error}.") from error
        try:
            return parse_manifest(answer.body)
        except ValueError as error:
            kind = answer.headers.get("content-type", "no content type")
            raise RegistryError(f"{url} did not answer with a model's manifest ({kind}): {error}.") from error


def registry_at(url: str, option: str = "registry") -> Registry:
    base = check_base_url(url, option)
    if urlsplit(base).path:
        raise GizziError(f"{option}: {url!r} has a path, but Ollama asks for /v2/ at the root of a host.")
    return Registry(base)


def parse_digest(text: str) -> str:
    """Return the hex of a manifest's digest, given with or without 'sha256:'."""
    digest = text.strip().lower()
    if digest.startswith("sha256:"):
        digest = digest[len("sha256:") :]
    if not _MANIFEST_DIGEST.fullmatch(digest):
        raise GizziError(f"digest: {text!r} is not a sha256: write 64 hex digits.")
    return digest


def parse_manifest(body: bytes) -> Manifest:
    """Raise ValueError for whatever is not a manifest: an error page must never be hashed as one."""
    document = from_json(body)
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise ValueError("it is not a manifest of schema version 2")
    layers = document.get("layers")
    if not isinstance(layers, list) or not layers:
        raise ValueError("it lists no layers")
    config = document.get("config")
    rewritten = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": document.get("mediaType", ""),
            "config": _rewritten_layer(config),
            "layers": [_rewritten_layer(layer) for layer in layers],
        },
        separators=(",", ":"),
    ).encode()
    return Manifest(
        digest=hashlib.sha256(body).hexdigest(),
        rewritten_digest=hashlib.sha256(rewritten).hexdigest(),
        created_digest=hashlib.sha256(rewritten + b"\n").hexdigest(),
        layers=tuple({layer.digest: layer for layer in map(_parse_layer, [*layers, config])}.values()),
        content=tuple(layer.digest for layer in map(_parse_layer, [config, *layers])),
        text=body.decode(),
    )


def named_blobs(body: bytes) -> list[str]:
    """Return the digests that a stored manifest names; raise ValueError for what is no manifest.

    One without layers, as of a model that runs elsewhere, names its config at most.
    """
    document = from_json(body)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    layers, config = document.get("layers") or [], document.get("config")
    if not isinstance(layers, list):
        raise ValueError("its layers are no list")
    return [_parse_layer(layer).digest for layer in [*layers, *([config] if config else [])]]


def _parse_layer(value: Any) -> Layer:
    digest = value.get("digest") if isinstance(value, dict) else None
    size = value.get("size") if isinstance(value, dict) else None
    if not isinstance(digest, str) or not _BLOB_DIGEST.fullmatch(digest):
        raise ValueError("a layer has no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"the layer {digest} has no size")
    media_type = value.get("mediaType")
    return Layer(digest, size, media_type if isinstance(media_type, str) else "")


def _rewritten_layer(value: Any) -> dict[str, Any]:
    """The fields that Ollama knows, in the order of its Go struct."""
    layer = _parse_layer(value)
    rewritten = {"mediaType": value.get("mediaType", ""), "digest": layer.digest, "size": layer.size}
    if value.get("from"):
        rewritten["from"] = value["from"]
    return rewritten
