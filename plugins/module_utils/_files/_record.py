# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files and links that a list has brought, so that those go which a later list has no more, or has elsewhere.

A variable may move a file, and another release of the collection may have fewer or other files. The record is a file of
the list, so it is restored and removed with the others.
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


def recorded(name: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a list's record, and entries that remove what the list had and has no more.

    Folders stay, since others may use them, and so does what is to be kept or is made by a service. A folder with stale
    patterns, be it none at present, says itself what goes from it.
    """
    governed = {entry.path for entry in entries if entry.stale is not None}
    listed = {entry.path for entry in entries}
    going = tuple(f"{entry.path}/" for entry in entries if entry.tree and not entry.wanted)
    here = [
        {"path": entry.path, "kind": entry.kind}
        for entry in entries
        if entry.wanted
        and entry.kind != "folder"
        and not (entry.keep or entry.trace or entry.initial)
        and str(Path(entry.path).parent) not in governed
    ]
    # Nothing says any more whether it is a secret.
    was = [
        Entry(one["path"], one["kind"], secret=True, wanted=False)
        for one in _read(name)
        if one["path"] not in listed and not one["path"].startswith(going)
    ]
    content = f"{json.dumps(here, indent=1, sort_keys=True)}\n".encode()
    return [
        Entry(str(FOLDER), "folder", mode=0o700, wanted=bool(here)),
        Entry(str(_file(name)), content=content, mode=0o600, wanted=bool(here)),
        *was,
    ]


def is_of_record(path: str) -> bool:
    """Tell whether a path is a record, or the folder of the records."""
    return path == str(FOLDER) or path.startswith(f"{FOLDER}/")


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
