# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's memory, processors and disks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen


def memory(host: Host) -> dict[str, Any]:
    """Return bytes of memory, counted as in module host_capacity."""
    total, available = host.memory_total(), host.memory_available()
    if total is None or available is None:
        return _seen.unseen("the kernel's meminfo does not say it")
    return {"total": total, "available": available}


def processors(host: Host) -> dict[str, Any]:
    """Return the number of processors, and the number that may be used."""
    return {"count": os.cpu_count(), "usable": host.cpus()}


def disks(paths: list[str]) -> dict[str, Any]:
    """Return bytes, path and mount point of each path's filesystem; the path need not exist."""
    return {path: _seen.seen_or_why(_disk, path) for path in paths}


def _disk(path: str) -> dict[str, Any]:
    if not path.startswith("/"):
        raise _seen.UnseenError("it is no absolute path")
    there = Path(os.path.normpath(path))
    while not os.path.lexists(there):
        there = there.parent
    status = os.statvfs(there)
    mount = there.resolve()
    while not mount.is_mount():
        mount = mount.parent
    return {
        "free": status.f_bavail * status.f_frsize,
        "total": status.f_blocks * status.f_frsize,
        "path": str(there),
        "mount": str(mount),
    }
