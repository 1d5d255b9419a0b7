# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes that compute for Ollama, as they stand in the cgroup of its unit.

Ollama goes on listing a model whose process was killed, so its own list does not tell whether one is there. Role ollama
installs this file beside the program for its metrics, so it imports nothing of the collection.
"""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNIT = "ollama.service"
# Where systemd keeps its own tree: cgroup v2; v1 with v2 beside it; v1. A unit may have been given a slice.
_TREES = ("", "unified", "systemd")
_SLICES = ("*.slice", "*.slice/*.slice")
_BLOB = re.compile(r"sha256[-:]([0-9a-f]{64})")


@dataclass(frozen=True)
class Runner:
    """A process with weights in it; ``blobs`` are the digests (hex) of the files that its command line names."""

    pid: int
    blobs: frozenset[str]


@dataclass(frozen=True)
class Unit:
    """The unit of an Ollama on this host, seen through ``proc`` and the mounts of the cgroups."""

    name: str = UNIT
    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def runners(self) -> list[Runner] | None:
        """Return the processes of the unit that hold weights; None where its processes cannot be seen.

        That is so without such a unit, and where /proc does not show the processes of others.
        """
        commands = [self._command(pid) for pid in self._pids()]
        if not any(commands):
            return None
        return [runner for command in commands if command for runner in [runner_of(*command)] if runner]

    def cpu_seconds(self) -> dict[int, float] | None:
        """Return the processor time that each runner has taken so far, by its pid; None where it cannot be seen."""
        runners = self.runners()
        if runners is None:
            return None
        taken = {runner.pid: self._cpu(runner.pid) for runner in runners}
        return {pid: seconds for pid, seconds in taken.items() if seconds is not None}

    def oom_kills(self) -> int | None:
        """Return how many of the unit's processes the kernel has killed for want of memory; None where unseen."""
        # The memory's own tree is of cgroup v1.
        for tree, name in (("", "memory.events"), ("memory", "memory.oom_control")):
            for folder in self._folders(tree):
                with suppress(OSError, ValueError):
                    pairs = [line.split() for line in (folder / name).read_text("ascii").splitlines()]
                    yes = [int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == "oom_kill"]
                    if yes:
                        return yes[0]
        return None

    def _cpu(self, pid: int) -> float | None:
        """In user and kernel mode, in seconds (proc(5), /proc/PID/stat); None for one that has ended."""
        try:
            # The name stands in brackets and may hold any sign.
            fields = (self.proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return None

    def _pids(self) -> list[int]:
        """The unit's processes, of the first tree that tells; empty where none does."""
        return next(filter(None, map(_listed, self._folders(*_TREES))), [])

    def _folders(self, *trees: str) -> Iterator[Path]:
        for tree in trees:
            for where in _SLICES:
                yield from sorted((self.cgroup / tree).glob(f"{where}/{self.name}"))

    def _command(self, pid: int) -> tuple[int, list[str]] | None:
        """Return a process and its command line; None for one that has ended (a zombie has none) or is hidden."""
        try:
            words = (self.proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0")
        except OSError:
            return None
        return (pid, words.split("\0")) if words else None


def _listed(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def runner_of(pid: int, words: Sequence[str]) -> Runner | None:
    """Return the runner that a command line stands for, None for another process.

    Since 0.30 that is ``llama-server --model FILE``; without a model it only looks for devices. Before, ``ollama
    runner`` (llm/llama_server.go and llm/server.go of Ollama).
    """
    program = words[0].rpartition("/")[2]
    computes = program == "llama-server" and "--model" in words
    if not computes and not (program.startswith("ollama") and words[1:2] == ["runner"]):
        return None
    return Runner(pid, frozenset(_BLOB.findall(" ".join(words[1:]))))


def runners_behind(url: str, unit: Unit | None = None) -> list[Runner] | None:
    """Return the runners of the server at a URL; None where this host cannot see them, as with a server elsewhere."""
    return (unit or Unit()).runners() if is_loopback(url) else None


def cpu_behind(url: str, unit: Unit | None = None) -> dict[int, float] | None:
    """Return Unit.cpu_seconds() of the server at a URL; None where this host cannot see it."""
    return (unit or Unit()).cpu_seconds() if is_loopback(url) else None


def is_loopback(url: str) -> bool:
    """Tell whether a URL leads to this host itself, by its name or address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
