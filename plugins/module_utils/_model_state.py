# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing one model of a server to its state: present, latest or absent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._fetch import Fetch
from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import look_at, shown
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import REPLACED_TAG, kept_of
from ansible_collections.etrid.gizzi.plugins.module_utils._version import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._fetch import Mirror
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import Look
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model, Ollama
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest, Registry
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store

# Since then a server stores a manifest as the registry sent it, byte for byte.
VERBATIM_MANIFESTS = (0, 19, 0)


@dataclass(frozen=True)
class Desired:
    """What is wanted of a model; times in seconds, sizes in bytes. Each is the module's option of that name."""

    name: ModelName
    state: str
    registry: Registry
    digest: str | None
    store: Store | None
    reserved_disk: int
    stall_timeout: float
    timeout: float
    request_timeout: float
    verify_blobs: bool = False
    mirror: Mirror | None = None


@dataclass(frozen=True)
class Outcome:
    """What was found and done, or would be in check mode. Each is the module's result of that name.

    Attributes:
        repaired: whether blobs were taken away, or missing ones fetched, although the model was there.
        swept: whether a pull that was cut off had left names of its own.
    """

    digest_before: str | None
    digest_after: str | None
    pulled: bool = False
    bytes_pulled: int = 0
    bytes_missing: int | None = None
    blobs: str | None = None
    damaged_blobs: list[str] = field(default_factory=list)
    repaired: bool = False
    swept: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything in the store is another now."""
        return self.repaired or self.swept or self.digest_before != self.digest_after


def sync(desired: Desired, server: Ollama, check_mode: bool) -> Outcome:
    """Bring the model to its state; raise GizziError with what is there now where that fails."""
    models = server.models()
    installed = find_model(models, desired.name)
    hosts = [desired.registry.host, *([desired.mirror.at.host] if desired.mirror else [])]
    # What a run has left that was cut off. It goes last, because its blobs may be wanted.
    strays = kept_of(desired.name, models, hosts).strays
    try:
        outcome = bring(desired, server, installed, check_mode)
    except GizziError:
        with suppress(GizziError):
            sweep(server, strays, check_mode)
        raise
    sweep(server, strays, check_mode)
    return replace(outcome, swept=bool(strays))


def sweep(server: Ollama, strays: Iterable[Model], check_mode: bool) -> None:
    """Remove the other names of a model that a pull under way has."""
    for stray in strays:
        if not check_mode:
            server.delete(parse_model_name(stray.name))


def bring(desired: Desired, server: Ollama, installed: Model | None, check_mode: bool) -> Outcome:
    """Bring the model to its state; installed is what the server has under its name."""
    before = installed.digest if installed else None
    if desired.state == "absent":
        if before is not None and not check_mode:
            server.delete(desired.name)
        return Outcome(before, None)
    look = look_at(desired.name, desired.store, installed, desired.verify_blobs)
    if is_settled(desired, before) and not look.broken:
        return settled(desired, look, before, check_mode)

    manifest = offered(desired, look)
    if (before in manifest.digests or is_same(look, manifest)) and not look.broken:
        return settled(desired, look, before, check_mode)
    look.hash(manifest, desired.verify_blobs)
    require_disk(desired, look, manifest)
    if check_mode:
        return predict(desired, look, server, before, manifest)
    return replace_model(desired, look, server, before, manifest)


def is_settled(desired: Desired, before: str | None) -> bool:
    """Whether the model is as wanted, whatever the registry holds."""
    if before is None:
        return False
    if desired.digest:
        return before == desired.digest
    return desired.state == "present"


def is_same(look: Look, manifest: Manifest) -> bool:
    """Whether the model that is there is the registry's, whatever the serialisation of its manifest."""
    return look.held is not None and look.held.content == manifest.content


def settled(desired: Desired, look: Look, before: str | None, check_mode: bool) -> Outcome:
    """The model is as wanted. What an earlier pull left damaged that it does not need goes all the same."""
    if not check_mode:
        look.take_away_damaged()
        look.forget()
    return Outcome(before, before, **found(desired, look))


def found(desired: Desired, look: Look) -> dict[str, Any]:
    """What was found out about the blobs, for the outcome."""
    warnings = [f"{look.name}: a blob was not checked: {blob.reason}." for blob in look.unreadable]
    word = None
    if desired.verify_blobs:
        checked = look.held is not None and not warnings
        word = "damaged" if look.broken or look.damaged else "ok" if checked else "not checked"
        if look.held is None and look.store is None:
            warnings.append(f"{look.name}: its blobs were not checked, as models_dir is not given.")
    return {
        "blobs": word,
        "damaged_blobs": sorted({*look.damaged, *look.broken}),
        "repaired": bool(look.damaged or look.broken),
        "warnings": warnings,
    }


def offered(desired: Desired, look: Look) -> Manifest:
    """Ask the registry, where nobody has before; raise GizziError where it does not have what is wanted."""
    name, mirror, seconds = desired.name, desired.mirror, desired.request_timeout
    try:
        manifest = mirror.pinned(name, desired.digest, seconds) if mirror else desired.registry.manifest(name, seconds)
    except GizziError as error:
        if not look.broken:
            raise
        raise GizziError(
            f"{name} has damaged or missing blobs ({shown(look.broken)}) and must be pulled again, but {error} "
            "Nothing was changed."
        ) from error
    if desired.digest and desired.digest not in manifest.digests:
        raise GizziError(
            f"The registry {desired.registry.url} offers {name} with the digest {manifest.digest}, "
            f"not {desired.digest} as asked. Nothing was pulled."
        )
    return manifest


def require_disk(desired: Desired, look: Look, manifest: Manifest) -> None:
    """Raise GizziError where what is to be pulled does not fit."""
    if desired.store is None:
        return
    missing = desired.store.missing_bytes(manifest, look.damaged)
    free = desired.store.free_bytes()
    if free is None:
        raise GizziError(f"The free space under {desired.store.path} cannot be read. Nothing was pulled.")
    if missing + desired.reserved_disk > free:
        raise GizziError(
            f"Not enough disk for {desired.name} under {desired.store.path}: {human_bytes(missing)} are still to be "
            f"pulled and {human_bytes(desired.reserved_disk)} must stay free, but {human_bytes(free)} are free. "
            "Nothing was pulled."
        )


def predict(desired: Desired, look: Look, server: Ollama, before: str | None, manifest: Manifest) -> Outcome:
    """What a pull would bring."""
    version = server.version()
    facts = found(desired, look)
    missing = desired.store.missing_bytes(manifest, look.damaged) if desired.store else None
    if parse_version(version) >= VERBATIM_MANIFESTS:
        return Outcome(before, manifest.digest, bytes_missing=missing, **facts)
    if before is not None and look.held is None:
        facts["warnings"].append(
            f"Ollama {version} re-serialises manifests, so that {desired.name} may be current although its digest "
            "differs from the registry's. A real run finds out by pulling."
        )
    return Outcome(before, manifest.rewritten_digest, bytes_missing=missing, **facts)


def replace_model(desired: Desired, look: Look, server: Ollama, before: str | None, manifest: Manifest) -> Outcome:
    """Pull, and give the model its usual name."""
    name = desired.name
    facts = found(desired, look)
    fetched = Fetch(desired, look, server, before, manifest, beside=False).run()
    facts["warnings"] += fetched.warnings
    if fetched.name != name:
        adopt(server, fetched.name, name, before)
    installed = server.find(name)
    after = installed.digest if installed else None
    if desired.digest and after != desired.digest and after not in manifest.digests:
        raise GizziError(
            f"{name} has the digest {after} after the pull, not {desired.digest} as asked: "
            "the tag moved at the registry during the pull."
        )
    if facts["blobs"] == "not checked" and installed and not look.unreadable and look.holds(installed):
        # What was there before the pull is hashed, and what came with it the server has verified.
        facts["blobs"] = "ok"
    if facts["repaired"] and before == after:
        facts["warnings"] += unload(server, name)
    return Outcome(before, after, True, fetched.moved, **facts)


def unload(server: Ollama, name: ModelName) -> list[str]:
    """Let go of the damaged weights, which are in memory still; return a warning where that fails."""
    try:
        if server.loaded():
            server.unload(name)
    except GizziError as error:
        return [f"{name} was repaired, but its damaged weights may be in memory still: {error}"]
    return []


def adopt(server: Ollama, pulled: ModelName, name: ModelName, before: str | None) -> None:
    """Give the model its usual name, and drop the one with the registry in it."""
    replaced = name.with_tag(REPLACED_TAG)
    if before:
        server.copy(name, replaced)
    server.copy(pulled, name)
    server.delete(pulled)
    if before:
        server.delete(replaced)
