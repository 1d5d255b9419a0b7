# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lines of Ollama's journal say: what may be shown of them, and whether a llama-server died."""

from __future__ import annotations

import re
import typing as t

SECRET = re.compile(
    r"\b([\w-]*(?:authorization|token|password|secret|api[_-]?key)\s*[=:]\s*)(?:bearer\s+)?\S+", re.IGNORECASE
)
# systemd says so of a stop that somebody asked for, a reboot's too, and not of a restart of its own.
STOPPED = re.compile(r"\S+ systemd\[1\]: Stopping ollama\.service")
OOM = re.compile(r"\S+ systemd\[1\]: ollama\.service: A process of this unit has been killed by the OOM killer")
# Ollama's llm/llama_server.go; before 0.30 the process was called a runner. One that Ollama unloads is killed too, but
# not missed.
DEAD = re.compile(r"llama(?:-server| runner) process no longer running")
KILLED = "signal: killed"


class Death(t.NamedTuple):
    """The last process that computed and died: the line that says so, and whether it was killed."""

    line: str
    killed: bool


def redact(line: str) -> str:
    """Return a journal line without what may be secret: Ollama logs its whole environment when it starts."""
    line = re.sub(r'env="?map\[.*', "env=(not shown)", line)
    line = re.sub(r"//[^/@\s]+@", "//(not shown)@", line)
    return SECRET.sub(r"\1(not shown)", line)


def last_death(lines: t.Sequence[str]) -> Death | None:
    """Return the last death of a llama-server since Ollama was started by hand or at boot, or None.

    lines: of journalctl --output=short-iso --no-hostname, the oldest first.
    """
    for line in reversed(lines):
        if STOPPED.match(line):
            return None
        if OOM.match(line):
            return Death(line, True)
        if DEAD.search(line):
            return Death(line, KILLED in line)
    return None
