# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of what a change has replaced, kept until the new files are known to work."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _disk
from ansible_collections.etrid.gizzi.plugins.module_utils._files._disk import ABSENT, Seen
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._files._plan import Step

# Only root can read this folder, because the copies may be secrets.
FOLDER = Path("/var/lib/gizzi-undo")
# Written last: without this file nothing can be restored.
_INDEX = "index.json"


@dataclass
class Kept:
    """The state before the change, by path, in the order of the change, and the caller's note."""

    note: dict[str, Any] = field(default_factory=dict)
    was: dict[str, Seen] = field(default_factory=dict)


def read(name: str) -> Kept | None:
    """Return the copies of a change that is neither settled nor restored, None where there are none."""
    folder = FOLDER / name
    index = _disk.look(str(folder / _INDEX))
    if index == ABSENT:
        return None
    try:
        told = from_json(index.content)
        was = {one["path"]: _seen(folder, one) for one in told["was"]}
        return Kept(dict(told["note"]), was)
    except (ValueError, KeyError, TypeError) as error:
        raise GizziError(f"{folder} does not say what was there before the last change: remove it.") from error


def keep(name: str, previous: Kept | None, steps: Iterable[Step], note: dict[str, Any]) -> Kept:
    """Keep what these steps will replace. Copies of an earlier interrupted change are older, and stay."""
    kept = previous or Kept(note)
    new = {step.path: step.before for step in steps if step.path not in kept.was}
    folder, uid, gid = FOLDER / name, os.geteuid(), os.getegid()
    for one in (FOLDER, folder):
        _disk.put_folder(str(one), uid, gid, 0o700)
    whole = {**kept.was, **new}
    for number, (path, seen) in enumerate(whole.items()):
        if path in new and seen.kind == "file":
            _disk.put_file(str(folder / str(number)), seen.content, uid, gid, 0o600)
    index = {"note": kept.note, "was": [_told(path, seen, at) for at, (path, seen) in enumerate(whole.items())]}
    _disk.put_file(str(folder / _INDEX), json.dumps(index).encode(), uid, gid, 0o600)
    return Kept(kept.note, whole)


def forget(name: str) -> None:
    """Delete the copies, the index first."""
    _disk.remove(str(FOLDER / name / _INDEX))
    _disk.remove_tree(str(FOLDER / name))
    _disk.remove(str(FOLDER))


def _told(path: str, seen: Seen, number: int) -> dict[str, Any]:
    told = {"path": path, "kind": seen.kind, "mode": seen.mode, "uid": seen.uid, "gid": seen.gid, "target": seen.target}
    return {**told, "copy": str(number) if seen.kind == "file" else ""}


def _seen(folder: Path, told: dict[str, Any]) -> Seen:
    content = b""
    if told["copy"]:
        copy = _disk.look(str(folder / told["copy"]))
        if copy.kind != "file":
            raise ValueError(told["copy"])
        content = copy.content
    return Seen(told["kind"], told["mode"], told["uid"], told["gid"], content, told["target"])
