# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who controls a run: the process ansible-playbook on the control host, and whether such a process still lives."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import socket
import typing as t
from pathlib import Path

PROC = Path("/proc")


def myself(proc: Path = PROC) -> dict[str, t.Any]:
    """The controlling process, also when asked in one of its workers."""
    parent = multiprocessing.parent_process()
    pid = os.getpid() if parent is None or parent.pid is None else parent.pid
    return {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "boot_id": boot_id(proc),
        "pid": pid,
        "start": start_of(pid, proc) or 0,
    }


def has_ended(holder: t.Mapping[str, t.Any], me: t.Mapping[str, t.Any], proc: Path = PROC) -> bool:
    """Whether the holder is a process of this host that is no more. Of other hosts nothing is known."""
    if holder["host"] != me["host"]:
        return False
    return bool(holder["boot_id"] != me["boot_id"] or start_of(holder["pid"], proc) != holder["start"])


def boot_id(proc: Path = PROC) -> str:
    return (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_of(pid: int, proc: Path = PROC) -> int | None:
    """When a process started, in clock ticks after boot; None when there is none that still runs."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may have spaces and parentheses in it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
