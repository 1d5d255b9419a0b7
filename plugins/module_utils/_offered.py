# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a registry names, learnt beforehand for many hosts: ``models`` of module ollama_registry_info with headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._gguf import ModelHeader
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import (
    Layer,
    Manifest,
    RegistryError,
    parse_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

    Offers = Mapping[str, "Offer"]

WEIGHTS = "application/vnd.ollama.image.model"
_REMEDY = "Give what module ollama_registry_info has returned as models, with headers"


@dataclass(frozen=True)
class Offer:
    """One model's. known is its manifest, or why there is none; header is that of its weights, or why there is none."""

    known: Manifest | str
    header: ModelHeader | str

    def manifest(self) -> Manifest:
        """Raise RegistryError with the reason where the registry did not name it."""
        if isinstance(self.known, str):
            raise RegistryError(self.known)
        return self.known

    def header_of(self, weights: str) -> ModelHeader:
        """Return the header of the weights with this digest; raise GizziError where it is not known."""
        if isinstance(self.header, str):
            raise GizziError(self.header)
        if weights_of(self.manifest()).digest != weights:
            raise GizziError("its weights are other ones than the registry names.")
        return self.header


def key_of(name: ModelName) -> str:
    """Return the model's key in the result of parse_offers. Ollama ignores the case of letters."""
    return name.full.lower()


def parse_offers(given: Any) -> dict[str, Offer]:
    """Return the offers by key_of their names; raise GizziError, with the remedy, for what is none."""
    if not isinstance(given, dict):
        raise GizziError(f"offered is no mapping of models, but {given!r}. {_REMEDY}, or leave it empty.")
    return {key_of(parse_model_name(str(name))): _parse_offer(str(name), value) for name, value in given.items()}


def entry_of(manifest: Manifest) -> dict[str, Any]:
    """Return a model as parse_offers reads it, without its header."""
    return {
        "digest": manifest.digest,
        "digests": sorted(manifest.digests),
        "layers": list(manifest.content),
        "size": manifest.size,
        "manifest": manifest.text,
        "error": "",
    }


def entry_without(error: str) -> dict[str, Any]:
    """Return a model that could not be had, with the reason, as parse_offers reads it."""
    return {"digest": None, "digests": [], "layers": None, "size": 0, "manifest": "", "error": error}


def described(header: ModelHeader) -> dict[str, Any]:
    """Return a header as parse_offers reads it."""
    return {"token_bytes": header.bytes_per_token, "context": header.trained_context}


def weights_of(manifest: Manifest) -> Layer:
    """Return the layer with the header. Weights in several files have it in the first.

    Raise GizziError where there is none.
    """
    for layer in manifest.layers:
        if layer.media_type == WEIGHTS:
            return layer
    raise GizziError(f"its manifest names no weights ({WEIGHTS}).")


def _parse_offer(name: str, value: Any) -> Offer:
    if not isinstance(value, dict):
        raise GizziError(f"offered: {name}: {value!r} is no mapping. {_REMEDY}.")
    error = value.get("error")
    if error:
        return Offer(str(error), str(error))
    text = value.get("manifest")
    try:
        manifest = parse_manifest(text.encode() if isinstance(text, str) else b"")
    except ValueError as problem:
        raise GizziError(f"offered: {name}: its manifest is none: {problem}. {_REMEDY}.") from problem
    said = value.get("digest")
    if said != manifest.digest:
        raise GizziError(
            f"offered: {name}: its digest is {said}, and that of its manifest {manifest.digest}. {_REMEDY}."
        )
    return Offer(manifest, _parse_header(name, value))


def _parse_header(name: str, value: Mapping[str, Any]) -> ModelHeader | str:
    header = value.get("header")
    if header is None:
        return str(value.get("header_error") or "the registry was not asked for the header of its weights.")
    token, context = (header.get("token_bytes"), header.get("context")) if isinstance(header, dict) else (None, None)
    if not isinstance(token, int) or not _is_count(token) or not (context is None or _is_count(context)):
        raise GizziError(f"offered: {name}: {header!r} is no header with token_bytes and context. {_REMEDY}.")
    return ModelHeader(token, context)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
