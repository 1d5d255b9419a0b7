# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners on TCP ports, from the kernel's tables, and the process that has the socket."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

PROC = Path("/proc")
TABLES = ("net/tcp", "net/tcp6")
_LISTEN = "0A"
# Maximum number of listeners per port in the result.
MAX_LISTENERS = 64


def ports(numbers: list[int], proc: Path = PROC) -> dict[str, Any]:
    """Return the listeners of each port, [] for none; the keys are texts, because JSON has no other keys."""
    sockets = _seen.seen_or_why(_sockets, set(numbers), proc)
    if isinstance(sockets, dict):
        return {str(number): sockets for number in numbers}
    holders = _holders({inode for _address, _port, inode in sockets}, proc)
    found: dict[str, list[dict[str, Any]]] = {str(number): [] for number in numbers}
    for address, port, inode in sockets:
        nobody = {"pid": None, "process": "", "unit": ""}
        listener = {"address": address, **holders.get(inode, nobody)}
        if listener not in found[str(port)]:
            found[str(port)] = [*found[str(port)], listener][:MAX_LISTENERS]
    return found


def parse_address(text: str) -> str:
    """Return an address that the kernel writes in hex, as 32-bit words in the host's byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def _sockets(numbers: set[int], proc: Path) -> list[tuple[str, int, str]]:
    """Return address, port and inode of each listener; a kernel without IPv6 has no second table.

    The table is read line by line, because a busy host has many connections.
    """
    found = []
    for table in TABLES:
        path = proc / table
        if table != TABLES[0] and not path.exists():
            continue
        with path.open(encoding="ascii", errors="replace") as lines:
            next(lines, "")
            for columns in map(str.split, lines):
                if len(columns) < 10 or columns[3] != _LISTEN:
                    continue
                address, _colon, port = columns[1].rpartition(":")
                if int(port, 16) in numbers:
                    found.append((parse_address(address), int(port, 16), columns[9]))
    return found


def _holders(inodes: set[str], proc: Path) -> dict[str, dict[str, Any]]:
    """Return process and unit of each socket; only root can see those of other users."""
    found: dict[str, dict[str, Any]] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    if not wanted:
        return found
    for process in (path for path in _entries(proc) if path.name.isdigit()):
        for descriptor in _entries(process / "fd"):
            inode = wanted.get(_target(descriptor))
            if inode and inode not in found:
                found[inode] = {"pid": int(process.name), "process": _line(process / "comm"), "unit": unit_of(process)}
    return found


def unit_of(process: Path) -> str:
    """Return the unit whose cgroup has this process, "" for none; process is its folder in /proc."""
    for line in _line(process / "cgroup").splitlines():
        units = [part for part in line.split("/") if part.endswith((".service", ".scope", ".socket"))]
        if units:
            return units[-1]
    return ""


def _line(path: Path) -> str:
    try:
        return _seen.short(_seen.read_text(path))
    except _seen.UnseenError:
        return ""


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _target(link: Path) -> str:
    """Return a link's target, "" where it no longer exists: a process may end and close descriptors at any time."""
    try:
        return str(link.readlink())
    except OSError:
        return ""
