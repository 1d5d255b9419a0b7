# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models of an earlier Ollama's store on this host, brought into the role's store without a download."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import OK, blob_name, check_blobs
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _disk
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_file, opened_folder
from ansible_collections.etrid.gizzi.plugins.module_utils._store_parts import FOLDER_MODE, Incoming
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest
    from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store


@dataclass
class Moving:
    """What comes from the old store.

    Attributes:
        models: the manifests of models that come, by name.
        linked: digests of blobs that get a second name in the new store.
        copied: digests of blobs that are copied, as a second name cannot be.
        copied_bytes: what the copies need.
        left: why a model of the old store does not come, by name.
    """

    models: dict[ModelName, Manifest] = field(default_factory=dict)
    linked: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    copied_bytes: int = 0
    left: dict[ModelName, str] = field(default_factory=dict)


def moving(old: Store, new: Store, names: Iterable[ModelName], uid: int, reserved: int) -> Moving:
    """Return what is to come of the named models that the old store has whole and the new store lacks.

    All blobs are hashed, as Ollama never looks at the content of a blob that is there. One that is damaged, or that
    would have to be copied to a disk without room for it, does not come; its model is pulled as usual.

    :param uid: who is to own the new store.
    :param reserved: bytes that must stay free on its disk.
    """
    found = Moving()
    for name in names:
        stored = old.stored_name(name)
        manifest = old.manifest(stored) if stored else None
        if stored and manifest and not new.stored_name(name):
            _add(found, old, new, stored, manifest, uid, reserved)
    return found


def _can_be_linked(old: Store, new: Store, digest: str, uid: int) -> bool:
    """Return whether a blob of the old store can get a second name in the new one: same disk, same owner."""
    try:
        with opened_folder(old.path / "blobs") as folder, opened_file(folder, blob_name(digest)) as file:
            return old.shares_disk(new) and os.fstat(file).st_uid == uid
    except OSError:
        return False


def bring(old: Store, new: Store, what: Moving, uid: int, gid: int) -> None:
    """Bring the blobs, then name the models; raise GizziError where that fails. What is there stays as it is."""
    try:
        _disk.put_folder(str(new.path), uid, gid, FOLDER_MODE)
    except OSError as error:
        raise GizziError(f"The store {new.path} cannot be made: {error.strerror}. Run this as root.") from error
    incoming = Incoming(new.path)
    incoming.clean()
    for digest in what.linked:
        incoming.bring(old.path, digest, copy=False)
    for digest in what.copied:
        incoming.bring(old.path, digest, copy=True)
    incoming.take([*what.linked, *what.copied])
    for name, manifest in what.models.items():
        incoming.name(name, manifest.text.encode())
    incoming.clean()


def _add(found: Moving, old: Store, new: Store, name: ModelName, manifest: Manifest, uid: int, reserved: int) -> None:
    known = {*found.linked, *found.copied}
    lacking = [digest for digest in new.missing(manifest) if digest not in known]
    bad = [blob.reason for blob in check_blobs(old.path, lacking).values() if blob.status != OK]
    if bad:
        found.left[name] = f"{'; '.join(bad)}. It is pulled instead"
        return
    linked = [digest for digest in lacking if _can_be_linked(old, new, digest, uid)]
    copied = [digest for digest in lacking if digest not in linked]
    size = found.copied_bytes + sum(layer.size for layer in manifest.layers if layer.digest in copied)
    free = new.free_bytes()
    if copied and (free is None or size + reserved > free):
        found.left[name] = (
            f"it has to be copied, and {human_bytes(size)} besides {human_bytes(reserved)} do not fit under {new.path}"
        )
        return
    found.models[name] = manifest
    found.linked += linked
    found.copied += copied
    found.copied_bytes = size
