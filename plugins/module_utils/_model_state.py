# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing one model of a server to its state: present, latest or absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import look_at, shown
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._progress import PullError
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import REPLACED_TAG
from ansible_collections.etrid.gizzi.plugins.module_utils._version import parse_version

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class Outcome:
    """What was found and done, or would be in check mode. Each is the module's result of that name.

    Attributes:
        repaired: whether blobs were taken away, or missing ones fetched, although the model was there.
    """

    digest_before: str | None
    digest_after: str | None
    pulled: bool = False
    bytes_pulled: int = 0
    bytes_missing: int | None = None
    blobs: str | None = None
    damaged_blobs: list[str] = field(default_factory=list)
    repaired: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything in the store is another now."""
        return self.repaired or self.digest_before != self.digest_after


def sync(desired: Desired, server: Ollama, check_mode: bool) -> Outcome:
    """Bring the model to its state; raise GizziError with what is there now where that fails."""
    installed = server.find(desired.name)
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
    """Ask the registry; raise GizziError where it does not have what is wanted."""
    name = desired.name
    try:
        manifest = desired.registry.manifest(name, desired.request_timeout)
    except GizziError as error:
        if not look.broken:
            raise
        raise GizziError(
            f"{name} has damaged or missing blobs ({shown(look.broken)}) and must be pulled anew, but {error} "
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


def pull_as(
    pull_name: ModelName, desired: Desired, look: Look, server: Ollama, before: str | None, manifest: Manifest
) -> tuple[int, list[str]]:
    """Pull under a name, and return the bytes that moved and warnings; raise GizziError with what is there then.

    before is the digest of the model that the server has under the usual name.
    """
    look.note(manifest)
    warnings = []
    try:
        moved = server.pull(
            f"http://{pull_name.full}" if desired.registry.insecure else str(pull_name),
            desired.registry.insecure,
            desired.stall_timeout,
            desired.timeout,
        )
    except GizziError as error:
        warnings.append(arrived_all_the_same(look, server, pull_name, before, manifest, error))
        moved = 0
    if server.find(pull_name) is None:
        # Whatever it is that the server cannot read: the next run hashes all that is left of it.
        look.note_all(manifest)
        server.delete(pull_name)
        raise GizziError(
            f"The pull of {desired.name} ended with 'success', but the server cannot read the model: a layer in its "
            "store is damaged. The pull was undone, and another run fetches the layers anew."
        )
    look.forget()
    return moved, warnings


def replace_model(desired: Desired, look: Look, server: Ollama, before: str | None, manifest: Manifest) -> Outcome:
    """Pull, and give the model its usual name."""
    name = desired.name
    facts = found(desired, look)
    # The server knows no registry but its own, except as part of a name.
    elsewhere = desired.registry.host != name.host
    pull_name = name.at_host(desired.registry.host) if elsewhere else name
    moved, warnings = pull_as(pull_name, desired, look, server, before, manifest)
    facts["warnings"] += warnings
    if elsewhere:
        adopt(server, pull_name, name, before)
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
    return Outcome(before, after, True, moved, **facts)


def unload(server: Ollama, name: ModelName) -> list[str]:
    """Let go of the damaged weights, which are in memory still; return a warning where that fails."""
    try:
        if server.loaded():
            server.unload(name)
    except GizziError as error:
        return [f"{name} was repaired, but its damaged weights may be in memory still: {error}"]
    return []


def arrived_all_the_same(
    look: Look, server: Ollama, pull_name: ModelName, before: str | None, manifest: Manifest, error: GizziError
) -> str:
    """Look at what is there after a pull that failed, and return a warning where the model is there and good.

    Otherwise raises GizziError with the pull's error and what is there: a server goes on where this side gave up.
    """
    failed = f"Pulling {look.name} failed: {error}."
    try:
        models = server.models()
    except GizziError as unseen:
        reason = str(unseen).rstrip(".")
        raise GizziError(
            f"{failed} What is installed now could not be seen: {reason}. Another run finds out."
        ) from error
    arrived = find_model(models, pull_name)
    if arrived is None or arrived.digest not in manifest.digests:
        state = state_now(look, find_model(models, look.name), before)
        late = "" if isinstance(error, PullError) else " The server may still go on and install it."
        raise GizziError(f"{failed} {state}, and another run resumes the pull.{late}") from error
    bad = look.hash_arrived(arrived)
    new = f"{pull_name} has the wanted digest {arrived.digest[:12]} all the same"
    if bad is None:
        raise GizziError(f"{failed} {new}, but its blobs could not be checked. Another run settles it.") from error
    if bad:
        look.take_away_damaged()
        reasons = "; ".join(blob.reason for blob in bad)
        raise GizziError(f"{failed} {new}, but not all of its blobs: {reasons}. Another run pulls them.") from error
    return f"{failed} {new}: the server went on. Its blobs were hashed and are good."


def state_now(look: Look, current: Model | None, before: str | None) -> str:
    """Say what the server has under the usual name after a pull that failed."""
    if current is None:
        return "Nothing was installed" if before is None else f"The model that was there before ({before[:12]}) is gone"
    if current.digest != before:
        return f"Another model ({current.digest[:12]}) is there now"
    if look.broken:
        return f"The model that was there before ({before[:12]}) lacks blobs ({shown(look.broken)}) and cannot answer"
    return f"The model that was there before ({before[:12]}) is untouched"


def adopt(server: Ollama, pulled: ModelName, name: ModelName, before: str | None) -> None:
    """Give the model its usual name, and drop the one with the registry in it."""
    replaced = name.with_tag(REPLACED_TAG)
    if before:
        server.copy(name, replaced)
    server.copy(pulled, name)
    server.delete(pulled)
    if before:
        server.delete(replaced)
