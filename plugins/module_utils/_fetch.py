# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a model into a server's store under some name: from the registry, or from a mirror that nobody trusts.

A server knows no registry but its own, except as part of a name. So what a mirror gives is pulled under a long name
that begins with the mirror's address, and gets its usual name only when its manifest is the one that the registry names
and its blobs are hashed.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import shown
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._progress import PullError
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import (
    BusyRegistryError,
    parse_manifest,
    registry_at,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import pulled_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_look import Look
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_state import Desired
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model, Ollama
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest, Registry

# Seconds until a mirror that is full is asked again.
BUSY_PAUSE = 5.0
# What a server says of a mirror that is full, as "pull model manifest: 429: ".
_FULL = re.compile(r"\b429\b")


@dataclass(frozen=True)
class Mirror:
    """A registry within the fleet, and what it may give.

    Attributes:
        at: where it is.
        manifest: what the real registry names, None where nobody has said.
        fallback: whether the registry is asked where the mirror does not help.
    """

    at: Registry
    manifest: Manifest | None
    fallback: bool

    def pinned(self, name: ModelName, digest: str | None, timeout: float) -> Manifest:
        """Return what may come from the mirror; raise GizziError where nothing says what that is.

        A digest alone says it too, of a mirror that has the manifest byte for byte. timeout is in seconds.
        """
        if self.manifest:
            return self.manifest
        if digest is None:
            raise GizziError(
                f"{name} is to come from the mirror {self.at.url}, and nothing says what the registry names. Give "
                "manifest, of what etrid.gizzi.ollama_registry_info returns, or digest. Nothing was pulled."
            )
        manifest = self.at.manifest(name, timeout)
        if manifest.digest != digest:
            raise GizziError(
                f"The mirror {self.at.url} offers {name} with the digest {manifest.digest}, not {digest} as asked. "
                "Nothing was pulled."
            )
        return manifest


@dataclass(frozen=True)
class Fetched:
    """What came: the name under which the server has it, the bytes that moved, and warnings."""

    name: ModelName
    moved: int
    warnings: list[str]


@dataclass(frozen=True)
class Fetch:
    """A model that is to be pulled.

    Attributes:
        before: the digest of the model that the server has under the usual name.
        manifest: what is to come.
        beside: whether it must not replace the model that is there.
    """

    desired: Desired
    look: Look
    server: Ollama
    before: str | None
    manifest: Manifest
    beside: bool

    def run(self) -> Fetched:
        """Pull; raise GizziError with what is there then where nothing gave the model."""
        desired, registry = self.desired, self.desired.registry
        if desired.mirror is None:
            elsewhere = self.beside or registry.host != desired.name.host
            name = pulled_name(desired.name, registry.host) if elsewhere else desired.name
            fetched = self._pull(registry, name, desired.timeout)
            self.look.forget()
            return fetched
        try:
            return self._from_mirror(desired.mirror.at)
        except GizziError as error:
            if not desired.mirror.fallback:
                raise
            return self._instead(registry, str(error))

    def _from_mirror(self, mirror: Registry) -> Fetched:
        """Pull from a mirror; where that fails, neither a name nor a damaged blob is left of it."""
        until = time.monotonic() + self.desired.timeout
        self._await_offer(mirror, until)
        name = pulled_name(self.desired.name, mirror.host)
        # What a run before this one may have left that was cut off.
        self.look.hash_orphans()
        self.look.take_away_damaged()
        try:
            fetched = self._in_turn(mirror, name, until)
            arrived = self._require_pinned(mirror, name)
            bad = self.look.hash_arrived(arrived)
            if bad is None:
                raise GizziError(
                    f"What the mirror {mirror.url} gave for {self.desired.name} cannot be hashed, as models_dir is not "
                    f"the store of {self.server.url}. It was removed again."
                )
            if bad:
                raise GizziError(
                    f"What the mirror {mirror.url} gave for {self.desired.name} is damaged: "
                    f"{'; '.join(blob.reason for blob in bad)}. It was removed again."
                )
        except GizziError as error:
            raise GizziError(f"{error}{self._removed(name)}") from error
        self.look.forget()
        return fetched

    def _instead(self, registry: Registry, why: str) -> Fetched:
        """Pull from the registry, and take from it too what was looked up and nothing else."""
        name = pulled_name(self.desired.name, registry.host)
        try:
            offered = registry.manifest(self.desired.name, self.desired.request_timeout)
            if offered.digest not in self.manifest.digests:
                raise GizziError(
                    f"{self.desired.name} has moved at the registry {registry.url} since it was looked up: it is "
                    f"{offered.digest} now, and not {self.manifest.digest}. Look it up once more."
                )
            fetched = self._pull(registry, name, self.desired.timeout)
            self._require_pinned(registry, name)
        except GizziError as error:
            raise GizziError(f"{why} And from the registry: {error}{self._removed(name)}") from error
        self.look.forget()
        return Fetched(name, fetched.moved, [f"{why} It was pulled from {registry.url} instead.", *fetched.warnings])

    def _in_turn(self, mirror: Registry, name: ModelName, until: float) -> Fetched:
        """Pull; where others have all answers of a mirror meanwhile, that is no failure: the pull goes on later."""
        while True:
            try:
                return self._pull(mirror, name, max(until - time.monotonic(), 0))
            except GizziError as error:
                # Where it was full a moment ago, there may be room by now.
                if time.monotonic() > until or not (_FULL.search(str(error)) or self._is_full(mirror)):
                    raise
            time.sleep(BUSY_PAUSE)
            self._await_offer(mirror, until)

    def _is_full(self, mirror: Registry) -> bool:
        try:
            mirror.manifest(self.desired.name, self.desired.request_timeout)
        except BusyRegistryError:
            return True
        except GizziError:
            pass
        return False

    def _await_offer(self, mirror: Registry, until: float) -> None:
        """See that a mirror has what the registry names, once it has room for one more."""
        while True:
            try:
                offered = mirror.manifest(self.desired.name, self.desired.request_timeout)
                break
            except BusyRegistryError:
                if time.monotonic() > until:
                    raise
            time.sleep(BUSY_PAUSE)
        if offered.digest not in self.manifest.digests:
            raise GizziError(
                f"The mirror {mirror.url} has another model under {self.desired.name} than the registry names: "
                f"{offered.digest}, and not {self.manifest.digest}. Nothing was pulled from it. "
                "Update its host first: the playbook etrid.gizzi.model_update begins with it."
            )

    def _require_pinned(self, source: Registry, name: ModelName) -> Model:
        """Return the model that came, if it is what was looked up."""
        arrived = self.server.find(name)
        if arrived is None or arrived.digest not in self.manifest.digests:
            raise GizziError(
                f"What {source.url} gave for {self.desired.name} has the digest {arrived.digest if arrived else None}, "
                f"and not {self.manifest.digest}, which was looked up. It was removed again."
            )
        return arrived

    def _removed(self, name: ModelName) -> str:
        """Remove what a pull has left that failed; return what to add to its error, "" when that went well."""
        with suppress(GizziError):
            self.server.delete(name)
        try:
            # A server that finds one blob damaged has the others in its store, and never looks at them again.
            self.look.hash_orphans()
            self.look.take_away_damaged()
        except GizziError as error:
            return f" What it left could not be looked at: {error}"
        return ""

    def _pull(self, source: Registry, name: ModelName, timeout: float) -> Fetched:
        """Pull under a name; what came is noted as unchecked still."""
        desired, look, server = self.desired, self.look, self.server
        look.note(self.manifest)
        warnings = []
        try:
            moved = server.pull(
                f"http://{name.full}" if source.insecure else str(name),
                source.insecure,
                desired.stall_timeout,
                timeout,
            )
        except GizziError as error:
            warnings.append(self._arrived_all_the_same(source, name, error))
            moved = 0
        if server.find(name) is None:
            # Whatever it is that the server cannot read: the next run hashes all that is left of it.
            look.note_all(self.manifest)
            server.delete(name)
            raise GizziError(
                f"The pull of {desired.name} ended with 'success', but the server cannot read the model: a layer in "
                "its store is damaged. The pull was undone, and another run fetches the layers again."
            )
        return Fetched(name, moved, warnings)

    def _arrived_all_the_same(self, source: Registry, name: ModelName, error: GizziError) -> str:
        """Look at what is there after a pull that failed; return a warning where the model is there and good.

        Otherwise raises GizziError with the pull's error and what is there: a server goes on where this side gave up.
        """
        look = self.look
        where = f" from {source.url}" if self.desired.mirror else ""
        failed = f"Pulling {look.name}{where} failed: {error}."
        try:
            models = self.server.models()
        except GizziError as unseen:
            reason = str(unseen).rstrip(".")
            raise GizziError(
                f"{failed} What is installed now could not be seen: {reason}. Run it again to find out."
            ) from error
        arrived = find_model(models, name)
        if arrived is None or arrived.digest not in self.manifest.digests:
            state = state_now(look, find_model(models, look.name), self.before)
            late = "" if isinstance(error, PullError) else " The server may still go on and install it."
            raise GizziError(f"{failed} {state}, and another run resumes the pull.{late}") from error
        bad = look.hash_arrived(arrived)
        new = f"{name} has the wanted digest {arrived.digest[:12]} all the same"
        if bad is None:
            raise GizziError(f"{failed} {new}, but its blobs could not be checked. Run it again for that.") from error
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


def read_mirror(params: Mapping[str, Any], pulls: bool) -> Mirror | None:
    """Read the options about a mirror; raise GizziError with the value that is wrong. pulls: whether one may come."""
    if not params["mirror"]:
        if params["manifest"]:
            raise GizziError("manifest: it pins a pull from a mirror, and no mirror is given. Use digest.")
        return None
    at = registry_at(params["mirror"], "mirror")
    if not pulls:
        return Mirror(at, None, False)
    if not params["models_dir"]:
        raise GizziError(f"mirror: what {at.url} gives must be hashed. Give models_dir, the store of the server.")
    if not params["manifest"]:
        return Mirror(at, None, params["mirror_fallback"])
    try:
        manifest = parse_manifest(params["manifest"].encode())
    except ValueError as error:
        raise GizziError(f"manifest: this is no model's manifest: {error}.") from error
    return Mirror(at, manifest, params["mirror_fallback"])
