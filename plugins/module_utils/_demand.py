# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What models need of a host: disk to be pulled to, and memory to be loaded into."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._gguf import (
    GgufError,
    ModelHeader,
    header_at_url,
    header_of_file,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._memory import cut_context, memory_of
from ansible_collections.etrid.gizzi.plugins.module_utils._offered import WEIGHTS, key_of, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._memory import Memory, Settings
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._offered import Offer, Offers
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest, Registry
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store

GB = 1_000_000_000
# Seconds of silence.
REGISTRY_TIMEOUT = 10

# What is loaded beside them: the part of a model that sees, and what fits it to a task.
WITH_WEIGHTS = (WEIGHTS, "application/vnd.ollama.image.projector", "application/vnd.ollama.image.adapter")


@dataclass(frozen=True)
class Known:
    """A model whose figures are built in: bytes of disk, least bytes of memory, and what its header would say."""

    disk: int
    least: int
    header: ModelHeader


# Bytes a token: layers x heads for keys and values x (values in a key + in a value) x 2 bytes, from num_hidden_layers,
# num_key_value_heads and hidden_size / num_attention_heads of each model's config.json at its maker's; the context from
# its max_position_embeddings.
CATALOGUE = {
    # meta-llama/Llama-3.1-8B-Instruct: 32, 8, 4096 / 32; 131072
    "llama3.1:8b": Known(4_700_000_000, 8 * GB, ModelHeader(32 * 8 * (128 + 128) * 2, 131072)),
    # microsoft/Phi-3-mini-128k-instruct: 32, 32, 3072 / 32; 131072. The 4k one takes the same a token.
    "phi3:mini": Known(2_200_000_000, 4 * GB, ModelHeader(32 * 32 * (96 + 96) * 2, 131072)),
    # mistralai/Mistral-7B-Instruct-v0.3: 32, 8, 4096 / 32; 32768
    "mistral:latest": Known(4_100_000_000, 8 * GB, ModelHeader(32 * 8 * (128 + 128) * 2, 32768)),
    # meta-llama/Llama-3.1-70B-Instruct: 80, 8, 8192 / 64; 131072
    "llama3.1:70b": Known(40 * GB, 64 * GB, ModelHeader(80 * 8 * (128 + 128) * 2, 131072)),
}


@dataclass(frozen=True)
class Needs:
    """One model's: bytes of disk still to be written, memory, why either is unknown, and what is cut in silence."""

    disk: int
    memory: Memory | None = None
    unknown_disk: str = ""
    unknown_memory: str = ""
    cut: str = ""


@dataclass(frozen=True)
class Demand:
    """What all models need together, or why that is not known.

    disk in bytes, for all of them; memory of the largest, since Ollama unloads one model for another.
    """

    disk: int
    memory: Memory | None
    unknown_disk: tuple[str, ...] = ()
    unknown_memory: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()


def demand_of(
    names: Iterable[ModelName],
    store: Store,
    registry: Registry,
    settings: Settings,
    offers: Offers,
    old: Store | None = None,
) -> Demand:
    """What the models need of a host with this store, when Ollama runs with these settings.

    :param offers: what the registry names, as far as it is known already.
    :param old: a store from which models come without a download.
    """
    wanted = {key_of(name): name for name in names}
    needs = [
        _taken_over(name, old, store, registry, settings, offers.get(key))
        or needs_of(name, store, registry, settings, offers.get(key))
        for key, name in wanted.items()
    ]
    memories = [each.memory for each in needs if each.memory]
    return Demand(
        disk=sum(each.disk for each in needs),
        memory=max(memories, key=lambda memory: memory.required, default=None),
        unknown_disk=tuple(each.unknown_disk for each in needs if each.unknown_disk),
        unknown_memory=tuple(each.unknown_memory for each in needs if each.unknown_memory),
        cut=tuple(each.cut for each in needs if each.cut),
    )


def _taken_over(
    name: ModelName, old: Store | None, store: Store, registry: Registry, settings: Settings, offer: Offer | None
) -> Needs | None:
    """What a model of another store on the host needs; None where it has to come from elsewhere, or is there."""
    manifest = None if old is None or store.stored_name(name) else old.manifest(name)
    if old is None or manifest is None:
        return None
    needs = needs_of(name, old, registry, settings, offer)
    # On the same disk its files get a second name; otherwise they are copied.
    return needs if old.shares_disk(store) else replace(needs, disk=manifest.size)


def needs_of(name: ModelName, store: Store, registry: Registry, settings: Settings, offer: Offer | None) -> Needs:
    """What one model needs: by the store where it is there, else by what is built in, else by the registry.

    :param offer: what the registry names; None asks it.
    """
    known = CATALOGUE.get(str(name).lower())
    stored = store.manifest(name)
    if known and not stored:
        return _needs(name, known.disk, known.disk, known.header, settings, known.least)
    try:
        manifest = stored or (offer.manifest() if offer else registry.of(name).manifest(name, REGISTRY_TIMEOUT))
    except GizziError as error:
        return Needs(0, unknown_disk=str(error))
    disk = store.missing_bytes(manifest)
    loaded = sum(layer.size for layer in manifest.layers if layer.media_type in WITH_WEIGHTS)
    try:
        if stored:
            header = _stored_header(name, stored, store, registry, offer)
        else:
            header = _header(name, manifest, registry, offer)
    except GizziError as error:
        return Needs(disk, unknown_memory=f"{name}: {error}")
    return _needs(name, disk, loaded, header, settings, known.least if known else 0)


def header_at_registry(name: ModelName, manifest: Manifest, registry: Registry, timeout: float) -> ModelHeader:
    """The header of a model's weights at the registry, which is not asked for what is built in.

    timeout in seconds for each MiB. Raises GizziError.
    """
    known = CATALOGUE.get(str(name).lower())
    return known.header if known else _asked_header(name, manifest, registry, timeout)


def _asked_header(name: ModelName, manifest: Manifest, registry: Registry, timeout: float) -> ModelHeader:
    source, digest = registry.of(name), weights_of(manifest).digest
    return header_at_url(f"{source.url}/v2/{name.namespace}/{name.model}/blobs/{digest}", timeout)


def _needs(name: ModelName, disk: int, weights: int, header: ModelHeader, settings: Settings, least: int) -> Needs:
    memory = memory_of(str(name), weights, header, settings, least)
    return Needs(disk, memory, cut=cut_context(str(name), header, settings))


def _header(name: ModelName, manifest: Manifest, registry: Registry, offer: Offer | None) -> ModelHeader:
    if offer:
        return offer.header_of(weights_of(manifest).digest)
    return _asked_header(name, manifest, registry, REGISTRY_TIMEOUT)


def _stored_header(
    name: ModelName, manifest: Manifest, store: Store, registry: Registry, offer: Offer | None
) -> ModelHeader:
    """The header of weights in the store. Where they are damaged, the registry has the same under their digest."""
    digest = weights_of(manifest).digest
    try:
        return header_of_file(store.path / "blobs" / digest.replace(":", "-"))
    except GgufError as error:
        try:
            return _header(name, manifest, registry, offer)
        except GizziError:
            raise error from None
