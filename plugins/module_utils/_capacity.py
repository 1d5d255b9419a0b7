# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux host has: memory, CPUs, listeners, and the cgroup limits that apply to this process.

Every reader returns None for what it cannot see, so that a caller never takes the unseen for plenty.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# cgroup v1 says "no limit" with the largest number of whole pages.
_V1_UNLIMITED = 1 << 62
_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """Who holds a port: a process, or nobody that could be identified."""

    pid: int | None
    name: str
    is_ollama: bool

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else "a process that could not be identified"


@dataclass(frozen=True)
class Host:
    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def memory_total(self) -> int | None:
        """MemTotal, or the smallest memory limit above this process."""
        total = self._meminfo("MemTotal")
        if total is None:
            return None
        return min([total, *(limit for limit, used in self._memory_limits())])

    def memory_available(self) -> int | None:
        """What a new Ollama could use: free and reclaimable memory, and what a running Ollama would give back."""
        total, available = self.memory_total(), self._meminfo("MemAvailable")
        if total is None or available is None:
            return None
        rooms = [max(0, limit - used) for limit, used in self._memory_limits()]
        return min(total, min([available, *rooms]) + self.held_by_ollama())

    def cpus(self) -> int:
        """The CPUs that nproc counts, or the whole ones that a CPU quota leaves."""
        return int(min([len(os.sched_getaffinity(0)), *self._cpu_quotas()]))

    def held_by_ollama(self) -> int:
        """Anonymous and shared memory. Mapped files are page cache, which MemAvailable counts already."""
        return sum(
            _status_bytes(process / "status", ("RssAnon:", "RssShmem:"))
            for process in self._processes()
            if _is_ollama(process)
        )

    def listener(self, port: int) -> Listener | None:
        """Who listens on the TCP port; None when nobody does. Raises OSError when that cannot be seen."""
        inodes = self._listening_inodes(port)
        if not inodes:
            return None
        sockets = {f"socket:[{inode}]" for inode in inodes}
        for process in self._processes():
            if any(_target(descriptor) in sockets for descriptor in _entries(process / "fd")):
                return Listener(int(process.name), _comm(process) or "unnamed", _is_ollama(process))
        return Listener(None, "", False)

    def _listening_inodes(self, port: int) -> set[str]:
        inodes = set()
        tables = [self.proc / "net" / "tcp"]
        tables += [path for path in [self.proc / "net" / "tcp6"] if path.exists()]
        for table in tables:
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(columns[9])
        return inodes

    def _processes(self) -> list[Path]:
        return [path for path in _entries(self.proc) if path.name.isdigit()]

    def _meminfo(self, key: str) -> int | None:
        return _status_bytes(self.proc / "meminfo", (f"{key}:",)) or None

    def _memory_limits(self) -> list[tuple[int, int]]:
        """Pairs of limit and use, from this process's cgroup up to the root."""
        pairs = []
        for level in self._levels("memory"):
            limit = _number(level / "memory.max") or _number(level / "memory.limit_in_bytes")
            if limit is None or limit >= _V1_UNLIMITED:
                continue
            used = _number(level / "memory.current") or _number(level / "memory.usage_in_bytes") or 0
            pairs.append((limit, max(0, used - _reclaimable(level / "memory.stat"))))
        return pairs

    def _cpu_quotas(self) -> list[int]:
        quotas = []
        for level in self._levels("cpu"):
            quota, period = _cpu_max(level / "cpu.max")
            if quota is None:
                quota, period = _number(level / "cpu.cfs_quota_us"), _number(level / "cpu.cfs_period_us")
            if quota and period and quota > 0:
                quotas.append(quota // period)
        return quotas

    def _levels(self, controller: str) -> list[Path]:
        """The directories of this process's cgroup and of all above it, for a controller."""
        unified = (self.cgroup / "cgroup.controllers").exists()
        root = self.cgroup if unified else self.cgroup / controller
        try:
            memberships = (self.proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
        except OSError:
            return [root]
        for line in memberships:
            _id, controllers, path = line.split(":", 2)
            if controllers == "" if unified else controller in controllers.split(","):
                # A path out of our own namespace ("/../x") is not mounted here: only the root is.
                inside = [] if ".." in path else [part for part in path.split("/") if part]
                return [root.joinpath(*inside[:depth]) for depth in range(len(inside), -1, -1)]
        return [root]


def _status_bytes(path: Path, keys: tuple[str, ...]) -> int:
    """Sum of the named lines of a file like /proc/meminfo, which counts in kB."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(keys))
    except (OSError, ValueError, IndexError):
        return 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _cpu_max(path: Path) -> tuple[int | None, int | None]:
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return int(quota), int(period)
    except (OSError, ValueError):
        return None, None


def _reclaimable(path: Path) -> int:
    """The page cache that the kernel drops before it refuses memory; v1 has a total with the groups below."""
    try:
        stats = dict(line.split() for line in path.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return 0
    return int(stats.get("total_inactive_file", stats.get("inactive_file", 0)))


def _comm(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _is_ollama(process: Path) -> bool:
    """Ollama's server and its runners, which are programs of other names in a directory of Ollama's."""
    if _comm(process) == "ollama":
        return True
    return "ollama" in PurePosixPath(_target(process / "exe").replace(" (deleted)", "")).parts


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _target(link: Path) -> str:
    """Where a link points; processes and their descriptors may be gone by the time one looks."""
    try:
        return str(link.readlink())
    except OSError:
        return ""
