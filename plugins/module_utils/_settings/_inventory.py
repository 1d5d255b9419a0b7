# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control host's inventory as entries of module files: vaulted files stay vaulted, programs stay executable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# The folders next to an inventory file that belong to the inventory.
BESIDE = ("group_vars", "host_vars")
_LEFT_OUT = ("__pycache__", ".git")


def inventory_entries(inventory: Path | None, place: str, owner: str) -> list[dict[str, Any]]:
    """Return the entries that copy an inventory, a file or a folder, to a host; without one, only the folder.

    :param place: the inventory's folder on the host, which is the first entry.
    :param owner: the only user that may read it there.
    """
    head = {"path": place, "kind": "folder", "tree": True, "stale": ["*"]}
    found = [head]
    for source, name in _parts(inventory) if inventory else ():
        if source.is_dir():
            found.append({**head, "path": f"{place}/{name}"})
        else:
            mode = "0700" if os.access(source, os.X_OK) else "0600"
            found.append({"path": f"{place}/{name}", "source": str(source), "mode": mode, "secret": True})
    return [{"mode": "0700", **entry, "owner": owner, "group": owner} for entry in found]


def unreadable_files(inventory: Path) -> list[str]:
    """Return the files of an inventory that are not text or cannot be read."""
    return [str(source) for source, _name in _parts(inventory) if not source.is_dir() and not _is_text(source)]


def _parts(inventory: Path) -> Iterator[tuple[Path, str]]:
    """Yield an inventory's files and folders with their names on the host; follows links, each folder only once."""
    if inventory.is_dir():
        yield from _inside(inventory, "", set())
        return
    yield inventory, inventory.name
    for name in BESIDE:
        folder = inventory.parent / name
        if folder.is_dir():
            yield folder, name
            yield from _inside(folder, f"{name}/", set())


def _inside(folder: Path, above: str, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    seen.add(folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name in _LEFT_OUT or path.suffix == ".pyc" or (path.is_dir() and path.resolve() in seen):
            continue
        yield path, f"{above}{path.name}"
        if path.is_dir():
            yield from _inside(path, f"{above}{path.name}/", seen)


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return True
