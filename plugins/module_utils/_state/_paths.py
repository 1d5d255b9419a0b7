# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files at paths of the host, without following links, and the installed releases of a program."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._release_parts import missing_parts
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

CURRENT = "current"
# The last file that is written into a release of a Python program. A release of Ollama is complete when it has
# its programs.
FINISHED = ".finished"
MAX_RELEASES = 100
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


def paths(names: list[str]) -> dict[str, Any]:
    """Return the properties of each path, None where it does not exist."""
    return {name: _seen.seen_or_why(_path, name) for name in names}


def releases(roots: list[str]) -> dict[str, Any]:
    """Return the releases below each root; none where the folder does not exist."""
    return {root: _seen.seen_or_why(_releases, root) for root in roots}


def _path(name: str) -> dict[str, Any] | None:
    if not name.startswith("/"):
        raise _seen.UnseenError("it is no absolute path")
    try:
        status = os.lstat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "other")
    return {
        "kind": kind,
        "owner": _name(pwd.getpwuid, status.st_uid),
        "group": _name(grp.getgrgid, status.st_gid),
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "size": status.st_size,
        "target": str(Path(name).readlink())[: _seen.MAX_TEXT] if kind == "link" else "",
    }


def _name(look_up: Any, number: int) -> str:
    """Return the name of a user or group, or its number where it has none."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def _releases(path: str) -> dict[str, Any]:
    root = Path(path)
    try:
        with os.scandir(root) as entries:
            folders = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))[:MAX_RELEASES]
        link = root / CURRENT
        current = link.readlink().name if link.is_symlink() else ""
    except FileNotFoundError:
        return {"current": "", "finished": [], "unfinished": []}
    finished = [name for name in folders if not name.startswith(".") and _is_whole(root / name)]
    return {
        "current": current[: _seen.MAX_TEXT],
        "finished": finished,
        "unfinished": [name for name in folders if name not in finished],
    }


def _is_whole(release: Path) -> bool:
    if (release / FINISHED).is_file():
        return True
    try:
        return missing_parts(release, release.name) == []
    except GizziError:
        return False
