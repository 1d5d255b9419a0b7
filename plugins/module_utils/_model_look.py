# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store on this host holds of a model, and which of its blobs are not what their names say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import (
    DAMAGED,
    NOT_CHECKED,
    OK,
    blob_digest,
    check_blobs,
    take_away,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._pull_notes import PullNotes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import Blob
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store


@dataclass
class Look:
    """One look at a model in a store on this host. Methods raise GizziError where a blob or a note cannot be read.

    Attributes:
        name: the model.
        store: the store, None where it is not on this host or nobody said where.
        held: the manifest of the model that the server has, None where the store does not have that one.
        blobs: what was hashed, by digest.
    """

    name: ModelName
    store: Store | None
    held: Manifest | None = None
    blobs: dict[str, Blob] = field(default_factory=dict)

    @property
    def damaged(self) -> list[str]:
        """The digests of the blobs whose content is another."""
        return sorted(digest for digest, blob in self.blobs.items() if blob.status == DAMAGED)

    @property
    def broken(self) -> list[str]:
        """The digests of what the model that is there lacks: blobs that are damaged, or gone."""
        if self.store is None or self.held is None:
            return []
        return sorted({*self.store.missing(self.held), *self.damaged} & set(self.held.content))

    @property
    def unreadable(self) -> list[Blob]:
        """The blobs that could not be hashed."""
        return [blob for blob in self.blobs.values() if blob.status == NOT_CHECKED]

    def holds(self, installed: Model) -> Manifest | None:
        """Return the manifest of a model that the server has, None where this is not the store of that server."""
        held = self.store.held(parse_model_name(installed.name)) if self.store else None
        return held if held and held.digest == installed.digest else None

    def hash(self, manifest: Manifest | None, everything: bool) -> None:
        """Hash what a pull has left unchecked that did not end well; with everything, all blobs of the manifest."""
        if self.store is None:
            return
        needed = manifest.content if manifest else ()
        unchecked = PullNotes(self.store.path).unchecked(self.name, needed)
        # Ollama takes a blob of the wrong size too.
        short = self.store.missing(manifest) if manifest else ()
        wanted = {*unchecked, *short, *(needed if everything else ())} - set(self.blobs)
        if wanted:
            self.blobs.update(check_blobs(self.store.path, wanted))
        for blob in self.unreadable:
            if blob.digest in unchecked:
                raise GizziError(f"{self.name}: a pull was interrupted, its blobs cannot be checked: {blob.reason}.")

    def hash_arrived(self, arrived: Model) -> list[Blob] | None:
        """Hash what a failed pull was to bring of a model that is there now.

        Returns the blobs that are not good, or None where the store is not on this host.
        """
        held = self.holds(arrived)
        if self.store is None or held is None:
            return None
        found = check_blobs(self.store.path, PullNotes(self.store.path).unchecked(self.name, held.content))
        self.blobs.update(found)
        return [blob for blob in found.values() if blob.status != OK]

    def hash_orphans(self) -> None:
        """Hash the blobs that no model of the server has: what a pull left that failed, or that is under way."""
        if self.store is None:
            return
        digests = (blob_digest(path.name) for path in self.store.orphans())
        self.blobs.update(check_blobs(self.store.path, filter(None, digests)))

    def note(self, manifest: Manifest) -> None:
        """Take away what is damaged, and write down, before a pull, what it is to bring."""
        if self.store is None:
            return
        self.take_away_damaged()
        missing = self.store.missing(manifest)
        if missing:
            PullNotes(self.store.path).write(self.name, missing)

    def note_all(self, manifest: Manifest) -> None:
        """Write down that nothing of a manifest counts before it is hashed."""
        if self.store is not None:
            PullNotes(self.store.path).write(self.name, manifest.content)

    def take_away_damaged(self) -> None:
        """Remove the damaged blobs, which a pull would take as they are."""
        if self.store is not None:
            for digest in self.damaged:
                take_away(self.store.path, digest)

    def forget(self) -> None:
        """Forget what was noted of the model: its pull ended well, or what that left is hashed."""
        if self.store is not None:
            PullNotes(self.store.path).forget(self.name, self.blobs)


def look_at(name: ModelName, store: Store | None, installed: Model | None, everything: bool) -> Look:
    """Look at a model; installed is the one that the server has, everything asks for all its blobs to be hashed."""
    look = Look(name, store)
    look.held = look.holds(installed) if installed else None
    look.hash(look.held, everything and look.held is not None)
    return look


def shown(digests: Iterable[str]) -> str:
    """Name blobs in a message."""
    return ", ".join(digest[:19] for digest in digests)
