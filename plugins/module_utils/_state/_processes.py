# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes of the host that run a program, their units, and the libraries that they have loaded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen
from ansible_collections.etrid.gizzi.plugins.module_utils._state._ports import unit_of

PROC = Path("/proc")
# What the kernel adds to the path of a program that was replaced while it runs.
_REPLACED = " (deleted)"
# Maximum number of processes per program, and of libraries per process, in the result.
MAX_PROCESSES = 64
MAX_LIBRARIES = 200


def processes(programs: list[str], proc: Path = PROC) -> dict[str, Any]:
    """Return the processes of each program, by its path; those of containers with files of their own do not count."""
    root = (proc / "self/root").stat()
    found: dict[str, list[dict[str, Any]]] = {path: [] for path in programs}
    for folder in sorted((path for path in proc.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)):
        # A process may end at any time, and the kernel's have no program.
        with suppress(OSError):
            target = str((folder / "exe").readlink())
            path = target[: -len(_REPLACED)] if target.endswith(_REPLACED) else target
            seen = (folder / "root").stat()
            if path in found and (seen.st_dev, seen.st_ino) == (root.st_dev, root.st_ino):
                one = {"pid": int(folder.name), "unit": unit_of(folder), "replaced": target != path}
                found[path] = [*found[path], {**one, "libraries": _libraries(folder)}][:MAX_PROCESSES]
    return found


def _libraries(process: Path) -> list[str]:
    """Return the shared objects that a process has loaded; none where it has ended."""
    try:
        lines = _seen.read_text(process / "maps").splitlines()
    except _seen.UnseenError:
        return []
    paths = {line.partition("/")[2] for line in lines if line.endswith(".so") or ".so." in line}
    return sorted(f"/{path}" for path in paths)[:MAX_LIBRARIES]
