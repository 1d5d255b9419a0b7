# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal says of a unit: its last lines without what may be secret, and whether a process has died."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._masking import mask
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

# An answer of Ollama writes some 30 lines. So many are looked at, and so many are returned.
LOOKED_AT = 2000
SHOWN = 15
# Characters of a line before its secrets are masked; what is shown of it is less (_seen.MAX_TEXT).
LONGEST = 16_000

# systemd's own numbers for its messages (sd-messages.h). It says that it is stopping a unit when somebody asked for
# that, or at a reboot, and not at a restart of its own.
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
# Ollama's llm/llama_server.go; before 0.30 the process was called a runner. One that Ollama unloads is killed too, but
# not missed.
DEAD = re.compile(r"llama(?:-server| runner) process no longer running")
KILLED = "signal: killed"

_FIELDS = "MESSAGE,MESSAGE_ID,SYSLOG_IDENTIFIER,UNIT,_PID"


class Line(NamedTuple):
    """A line of the journal; message_id is "" unless it is systemd's own about the unit, which nobody can forge."""

    text: str
    message_id: str


def journals(names: list[str]) -> dict[str, Any]:
    """Return the last lines of each unit, and the last death since it was started by hand or at boot."""
    return {name: _seen.seen_or_why(_journal, name) for name in names}


def redact(text: str) -> str:
    """Return a line without what may be secret: Ollama logs its whole environment when it starts."""
    # What is shown is a small part of a long line, and its start: no more is worth the look.
    return mask(re.sub(r'env="?map\[.*', "env=[masked]", text[:LONGEST]))


def last_death(lines: list[Line]) -> dict[str, Any] | None:
    """Return the line that tells of the last death, and whether the process was killed; the oldest line is first."""
    for line in reversed(lines):
        if line.message_id == STOPPING:
            return None
        if line.message_id == OUT_OF_MEMORY:
            return {"line": line.text, "killed": True}
        if DEAD.search(line.text):
            return {"line": line.text, "killed": KILLED in line.text}
    return None


def parse_line(entry: str, unit: str) -> Line:
    """Return one line of ``journalctl --output=json``; raise ValueError where it is none."""
    fields = from_json(entry)
    # One of more than 4 kB comes as null.
    message = fields.get("MESSAGE") or ""
    if isinstance(message, list):
        # Bytes that are no text.
        message = bytes(message).decode("utf-8", "replace")
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(fields.get("__REALTIME_TIMESTAMP", 0)) / 1e6))
    who = f"{fields.get('SYSLOG_IDENTIFIER', '-')}[{fields.get('_PID', '-')}]"
    of_systemd = str(fields.get("_PID")) == "1" and fields.get("UNIT") == unit
    message_id = str(fields.get("MESSAGE_ID", "")) if of_systemd else ""
    return Line(_seen.short(redact(f"{when} {who}: {message}")), message_id)


def _journal(unit: str) -> dict[str, Any]:
    argv = ["journalctl", "--namespace=+ollama", f"--unit={unit}", f"--lines={LOOKED_AT}", "--no-pager"]
    answer = _seen.answer_of([*argv, "--output=json", f"--output-fields={_FIELDS}"])
    try:
        lines = [parse_line(entry, unit) for entry in answer.splitlines() if entry.startswith("{")]
    except (ValueError, AttributeError, TypeError) as error:
        raise _seen.UnseenError("journalctl does not answer in JSON") from error
    return {"lines": [line.text for line in lines[-SHOWN:]], "death": last_death(lines)}
