# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process ansible-playbook that controls a run on the control host, and whether it still runs."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import socket
import typing as t
from pathlib import Path

PROC = Path("/proc")


def myself(proc: Path = PROC) -> dict[str, t.Any]:
    """Return the controlling process, also in one of its workers."""
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
    """Return whether the holder was a process of this host and has ended. False for other hosts: this is unknown."""
    if holder["host"] != me["host"]:
        return False
    return bool(holder["boot_id"] != me["boot_id"] or start_of(holder["pid"], proc) != holder["start"])


def boot_id(proc: Path = PROC) -> str:
    return (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_of(pid: int, proc: Path = PROC) -> int | None:
    """Return a process' start in clock ticks after boot; None when it does not run."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name is in parentheses, and may contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
