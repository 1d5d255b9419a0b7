# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The present paths of entries whose path depends on a variable: the list itself has only their wanted paths.

The record is a file of the list, so it is restored and removed with the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _disk
from ansible_collections.etrid.gizzi.plugins.module_utils._files._disk import ABSENT
from ansible_collections.etrid.gizzi.plugins.module_utils._files._entry import Entry, check_path
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

# Only root can write here, because the paths in these records are removed.
FOLDER = Path("/var/lib/gizzi-files")


def moved(name: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a list's record, and entries that remove the old paths of entries that have moved."""
    moving = [entry for entry in entries if entry.moving]
    if not moving:
        return []
    listed = {entry.path for entry in entries}
    here = [{"path": entry.path, "kind": entry.kind} for entry in moving if entry.wanted]
    was = [Entry(one["path"], one["kind"], wanted=False) for one in _read(name) if one["path"] not in listed]
    content = f"{json.dumps(here, indent=1, sort_keys=True)}\n".encode()
    return [
        Entry(str(FOLDER), "folder", mode=0o700, wanted=bool(here)),
        Entry(str(_file(name)), content=content, mode=0o600, wanted=bool(here)),
        *was,
    ]


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"


def _read(name: str) -> list[dict[str, str]]:
    there = _disk.look(str(_file(name)))
    if there == ABSENT:
        return []
    try:
        told = [{"path": check_path(one["path"]), "kind": str(one["kind"])} for one in from_json(there.content)]
    except (ValueError, KeyError, TypeError, GizziError) as error:
        raise GizziError(f"{_file(name)} does not say where the list's files are: remove it.") from error
    return told
