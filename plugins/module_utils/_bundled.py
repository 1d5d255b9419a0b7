# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The models of a bundle and those of a store: what a store can give to one, and what it lacks of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import OK, blob_name, check_blobs
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._gguf import header_of_file
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._offered import described, key_of, parse_offers, weights_of
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_digest
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Layer, Manifest
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store


@dataclass(frozen=True)
class Wanted:
    """A model that a server is to have.

    Attributes:
        state: "present" for any model of this name, "latest" for the bundle's.
        digest: the one that its manifest must have, None where none is asked for.
        manifest: the bundle's, None where the bundle does not have the model.
    """

    name: ModelName
    state: str
    digest: str | None
    manifest: Manifest | None


def read_wanted(models: Iterable[Mapping[str, Any]], offered: Mapping[str, Mapping[str, Any]]) -> list[Wanted]:
    """Read items of ollama_models, and what module model_bundle_info returns; raise GizziError for what is wrong."""
    offers = parse_offers(offered)
    wanted = []
    for model in models:
        name = parse_model_name(model["name"])
        offer = offers.get(key_of(name))
        manifest = None if offer is None or isinstance(offer.known, str) else offer.known
        digest = parse_digest(model["digest"]) if model.get("digest") else None
        wanted.append(Wanted(name, model.get("state") or "present", digest, manifest))
    return wanted


def models_to_bring(store: Store, wanted: Iterable[Wanted]) -> dict[ModelName, Manifest]:
    """Return the models that a store is to get; raise GizziError with all that neither it nor the bundle has."""
    there = _names(store)
    models: dict[ModelName, Manifest] = {}
    problems = []
    for one in wanted:
        name = next((other for other in there if other.same_as(one.name)), one.name)
        held = store.manifest(name)
        if held and _does(one, held):
            continue
        problem = _problem(one, held)
        if problem:
            problems.append(problem)
        elif one.manifest:
            models[name] = one.manifest
    if problems:
        raise GizziError("\n".join(problems))
    return models


def blobs_to_bring(store: Store, manifests: Iterable[Manifest]) -> list[Layer]:
    """Return, each once, the blobs that a store does not have or that are not what their names say."""
    layers = {layer.digest: layer for manifest in manifests for layer in manifest.layers}
    # All are hashed, as Ollama never looks at a blob again that is there.
    seen = check_blobs(store.path, layers) if layers else {}
    return [layers[digest] for digest in sorted(layers) if seen[digest].status != OK]


def require_room(store: Store, size: int, reserved: int) -> None:
    """Raise GizziError where size bytes do not fit into a store and leave the reserved bytes free."""
    free = store.free_bytes()
    if free is None:
        raise GizziError(f"The free space under {store.path} cannot be read. Nothing was sent.")
    if size + reserved > free:
        raise GizziError(
            f"Not enough disk under {store.path}: {human_bytes(size)} are still to come from the bundle and "
            f"{human_bytes(reserved)} must stay free, but {human_bytes(free)} are free. Nothing was sent."
        )


def require_blobs(store: Store, models: Mapping[ModelName, Manifest]) -> None:
    """Raise GizziError where a store does not have all blobs of models that are to get their names."""
    gone = [f"{name}: {digest}" for name, manifest in models.items() for digest in store.missing(manifest)]
    if gone:
        raise GizziError(
            f"Blobs were removed from {store.path} during the run ({', '.join(gone)}). An Ollama that starts removes "
            "blobs that no model needs. Run this again."
        )


def given(store: Store, texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the manifest and the header of some models of a store, by name; raise GizziError with all that lack one.

    ``header`` is null where the weights do not say it, with the reason in ``header_error``.
    """
    there = _names(store)
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for wanted in map(parse_model_name, texts):
        name = next((other for other in there if other.same_as(wanted)), wanted)
        held = store.held(name)
        if held is None:
            problems.append(f"The store {store.path} has no model {wanted} whose manifest can be read.")
        elif store.missing(held):
            problems.append(f"The store {store.path} lacks blobs of {wanted}: {', '.join(store.missing(held))}.")
        else:
            found[str(wanted)] = {"manifest": held.text, **_header(store, held)}
    if problems:
        raise GizziError("\n".join([*problems, "Run etrid.gizzi.site first, or name another host."]))
    return found


def _header(store: Store, manifest: Manifest) -> dict[str, Any]:
    try:
        header = header_of_file(store.path / "blobs" / blob_name(weights_of(manifest).digest))
    except GizziError as error:
        return {"header": None, "header_error": str(error)}
    return {"header": described(header), "header_error": ""}


def _names(store: Store) -> list[ModelName]:
    try:
        return store.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GizziError(f"The store {store.path} cannot be read: {error.strerror}. Run this task as root.") from error


def _does(wanted: Wanted, held: Manifest) -> bool:
    """Whether a model that is there with all its blobs is the wanted one."""
    if wanted.digest:
        return held.digest == wanted.digest
    return wanted.state == "present" or bool(wanted.manifest and held.digest == wanted.manifest.digest)


def _problem(wanted: Wanted, held: Manifest | None) -> str:
    """Return why the bundle does not help with a model, "" where it does."""
    if wanted.manifest is None and held is None:
        return f"{wanted.name} is neither in the bundle nor in the store. Make the bundle again on a host that has it."
    if wanted.manifest is None:
        what = f"the digest {wanted.digest}" if wanted.digest else "state latest"
        return f"{wanted.name} should have {what}, and the bundle does not have it. Make the bundle again with it."
    if wanted.digest and wanted.digest != wanted.manifest.digest:
        return f"{wanted.name} should have the digest {wanted.digest}, and the bundle has {wanted.manifest.digest}."
    return ""
