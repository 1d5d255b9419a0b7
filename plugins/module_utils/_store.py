# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's model store on disk: what it holds already, and what still fits beside it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_manifest

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest

# Templates, parameters, licences: everything but weights.
SMALL = 16 * 1024 * 1024


@dataclass(frozen=True)
class Store:
    path: Path

    def missing_bytes(self, manifest: Manifest) -> int:
        return sum(layer.size for layer in manifest.layers if not self._has(layer.digest, layer.size))

    def manifest(self, name: ModelName) -> Manifest | None:
        """The manifest of a model that is there with all its layers."""
        path = self.path / "manifests" / name.host / name.namespace / name.model / name.tag
        try:
            manifest = parse_manifest(path.read_bytes())
        except (OSError, ValueError):
            return None
        return manifest if self.missing_bytes(manifest) == 0 else None

    def drop_damaged(self, manifest: Manifest) -> None:
        """Remove small layers whose content is not what their name says.

        A pull that finds one bad layer stops there, and leaves the ones behind it unverified. The next pull takes
        them as they are. The weights come first, and so are never among them.
        """
        for layer in manifest.layers:
            path = self._blob(layer.digest)
            if _size(path) is None or layer.size > SMALL:
                continue
            try:
                if f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" != layer.digest:
                    path.unlink()
            except OSError as error:
                raise GizziError(f"The layer {path} cannot be verified: {error}.") from error

    def orphans(self) -> list[Path]:
        """The layers that no manifest names, and the unfinished ones: what a pull that was given up leaves behind.

        A server removes them only when it starts, and the unfinished ones when they are an hour old.
        """
        named: set[str] = set()
        for path in (self.path / "manifests").rglob("*"):
            if not path.is_file():
                continue
            try:
                named.update(self._blob(layer.digest).name for layer in parse_manifest(path.read_bytes()).layers)
            except (OSError, ValueError) as error:
                raise GizziError(f"Which layers nobody needs is unknown: {path} cannot be read: {error}.") from error
        return sorted(path for path in (self.path / "blobs").glob("sha256-*") if path.name not in named)

    def drop_orphans(self) -> int:
        """Remove them, and return the bytes of disk that this has freed."""
        freed = 0
        for path in self.orphans():
            try:
                # An unfinished layer has its full length from the start, and not its full content.
                size = path.stat().st_blocks * 512
                path.unlink()
            except OSError as error:
                raise GizziError(f"The layer {path}, which nobody needs, cannot be removed: {error}.") from error
            freed += size
        return freed

    def free_bytes(self) -> int | None:
        """Bytes free to a service, without the blocks that the filesystem keeps for root; None when unreadable."""
        try:
            stats = os.statvfs(self.existing_parent())
        except OSError:
            return None
        return stats.f_bavail * stats.f_frsize

    def existing_parent(self) -> Path:
        return next(path for path in (self.path, *self.path.parents) if _size(path) is not None)

    def _has(self, digest: str, size: int) -> bool:
        # A download in progress is called <blob>-partial and has its full length from the start.
        return _size(self._blob(digest)) == size

    def _blob(self, digest: str) -> Path:
        return self.path / "blobs" / digest.replace(":", "-")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
