# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's model store on disk: what it holds already, and what still fits beside it."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import named_blobs, parse_manifest
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_folder, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest

MAX_MANIFEST = 1024 * 1024


@dataclass(frozen=True)
class Store:
    path: Path

    def missing_bytes(self, manifest: Manifest, without: Iterable[str] = ()) -> int:
        """The bytes that a pull would have to move; what stands in without is about to go."""
        gone = {*self.missing(manifest), *without}
        return sum(layer.size for layer in manifest.layers if layer.digest in gone)

    def manifest(self, name: ModelName) -> Manifest | None:
        """The manifest of a model that is there with all its layers."""
        manifest = self.held(name)
        return manifest if manifest and self.missing_bytes(manifest) == 0 else None

    def held(self, name: ModelName) -> Manifest | None:
        """The manifest of a model, whether its layers are there or not; None where this store has none."""
        try:
            with opened_folder(self.path / "manifests" / name.host / name.namespace / name.model) as folder:
                return parse_manifest(read_file(folder, name.tag, MAX_MANIFEST))
        except (OSError, ValueError):
            return None

    def names(self) -> list[ModelName]:
        """The models of which this store has a manifest, in order; raises OSError where it cannot be read."""
        depth = len(("host", "namespace", "model", "tag"))
        paths = [path.split("/") for path, _file, _folder in self._manifests()]
        return sorted((ModelName(*parts) for parts in paths if len(parts) == depth), key=str)

    def stored_name(self, name: ModelName) -> ModelName | None:
        """The name under which a model is here, as Ollama ignores case; None where it is not, or cannot be read."""
        try:
            return next((other for other in self.names() if other.same_as(name)), None)
        except OSError:
            return None

    def _manifests(self) -> Iterator[tuple[str, str, int]]:
        """Every file below the manifests: its path, its name, and the descriptor of its folder."""
        with opened_folder(self.path / "manifests") as top:
            for path, folders, files, folder in os.fwalk(dir_fd=top, onerror=_fail):
                for name in folders:
                    if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                        raise OSError(errno.ELOOP, "a link, which is not followed", f"{path}/{name}")
                for name in files:
                    yield f"{path}/{name}"[2:], name, folder

    def missing(self, manifest: Manifest) -> list[str]:
        """The digests of the blobs that are not there, or not with all their bytes."""
        return [layer.digest for layer in manifest.layers if not self._has(layer.digest, layer.size)]

    def orphans(self) -> list[Path]:
        """The layers that no manifest names, and the unfinished ones: what a pull that was given up leaves behind.

        A server removes them only when it starts, and the unfinished ones when they are an hour old.
        """
        named: set[str] = set()
        manifests = self.path / "manifests"
        where = manifests
        try:
            # A store without manifests needs no layer.
            for path, name, folder in self._manifests() if os.path.lexists(manifests) else ():
                where = manifests / path
                digests = named_blobs(read_file(folder, name, MAX_MANIFEST))
                named.update(self._blob(digest).name for digest in digests)
        except (OSError, ValueError) as error:
            raise GizziError(f"Which layers nobody needs is unknown: {where} cannot be read: {error}.") from error
        return sorted(self.path / "blobs" / blob for blob in self._blobs() if blob not in named)

    def drop_orphans(self) -> int:
        """Remove them, and return the bytes of disk that this has freed."""
        freed = 0
        for path in self.orphans():
            try:
                with opened_folder(path.parent) as folder:
                    # An unfinished layer has its full length from the start, and not its full content.
                    size = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_blocks * 512
                    os.unlink(path.name, dir_fd=folder)
            except OSError as error:
                raise GizziError(f"The layer {path}, which nobody needs, cannot be removed: {error}.") from error
            freed += size
        return freed

    def _blobs(self) -> list[str]:
        try:
            with opened_folder(self.path / "blobs") as folder:
                return [entry.name for entry in os.scandir(folder) if entry.name.startswith("sha256-")]
        except OSError:
            return []

    def partial_downloads(self) -> int | None:
        """How many parts of unfinished downloads there are; None when the store cannot be read."""
        try:
            with opened_folder(self.path / "blobs") as folder:
                return sum("-partial" in entry.name for entry in os.scandir(folder))
        except FileNotFoundError:
            return 0
        except OSError:
            return None

    def free_bytes(self) -> int | None:
        """Bytes free to a service, without the blocks that the filesystem keeps for root; None when unreadable."""
        try:
            stats = os.statvfs(self.existing_parent())
        except OSError:
            return None
        return stats.f_bavail * stats.f_frsize

    def shares_disk(self, other: Store) -> bool:
        """Whether a file of this store can get a second name in another one."""
        try:
            return self.existing_parent().stat().st_dev == other.existing_parent().stat().st_dev
        except OSError:
            return False

    def existing_parent(self) -> Path:
        return next(path for path in (self.path, *self.path.parents) if _size(path) is not None)

    def _has(self, digest: str, size: int) -> bool:
        # A download in progress is called <blob>-partial and has its full length from the start.
        return _size(self._blob(digest)) == size

    def _blob(self, digest: str) -> Path:
        return self.path / "blobs" / digest.replace(":", "-")


def _fail(error: OSError) -> None:
    raise error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
