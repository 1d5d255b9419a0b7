# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports that are used to administer this host: a guard must not close them."""

from __future__ import annotations

from pathlib import Path

_ESTABLISHED, _LISTEN = "01", "0A"
_DAEMONS = ("sshd", "dropbear")


def own_ports(proc: Path = Path("/proc")) -> set[int]:
    """Return the local ports of this process' own connection, and the ports on which an SSH server listens.

    The connection belongs to an ancestor of this process, which may be any server.
    """
    sockets = _sockets(proc)
    ancestors = {port for pid in _ancestors(proc) for port in _ports(proc, pid, sockets[_ESTABLISHED])}
    processes = [entry.name for entry in proc.iterdir() if entry.name.isdigit()]
    daemons = [pid for pid in processes if _status(proc, pid).get("Name") in _DAEMONS]
    return ancestors | {port for pid in daemons for port in _ports(proc, pid, sockets[_LISTEN])}


def _sockets(proc: Path) -> dict[str, dict[str, int]]:
    """Return the local ports of TCP sockets by state and inode (see the kernel's proc_net_tcp.rst)."""
    found: dict[str, dict[str, int]] = {_ESTABLISHED: {}, _LISTEN: {}}
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] in found:
                found[words[3]][words[9]] = int(words[1].rpartition(":")[2], 16)
    return found


def _ancestors(proc: Path) -> list[str]:
    found: list[str] = []
    pid = (proc / "self").readlink().name
    while pid not in ("", "0", "1") and pid not in found:
        found.append(pid)
        pid = _status(proc, pid).get("PPid", "")
    return found


def _status(proc: Path, pid: str) -> dict[str, str]:
    try:
        lines = (proc / pid / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


def _ports(proc: Path, pid: str, sockets: dict[str, int]) -> set[int]:
    found = set()
    try:
        for entry in (proc / pid / "fd").iterdir():
            inode = str(entry.readlink())[len("socket:[") : -1]
            if inode in sockets:
                found.add(sockets[inode])
    except OSError:
        # The process has ended, or this user may not read it.
        pass
    return found
