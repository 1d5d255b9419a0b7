# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of units and calendar expressions, from systemd's output for programs."""

from __future__ import annotations

from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen

# The names in systemctl and in module host_state.
TEXTS = {
    "LoadState": "load",
    "ActiveState": "active",
    "SubState": "sub",
    "UnitFileState": "enabled",
    "Result": "result",
    "User": "user",
    "FragmentPath": "path",
    "Documentation": "documentation",
}
NUMBERS = {
    "MainPID": "main_pid",
    "NRestarts": "restarts",
    "ExecMainStatus": "exit_status",
    "MemoryCurrent": "memory",
    "MemoryMax": "memory_max",
}
LISTS = {"DropInPaths": "drop_ins", "UnsetEnvironment": "unset_environment"}
# The number for "no limit" and "unknown".
_UNLIMITED = 2**64 - 1
JSON_SINCE = 250


def units(names: list[str], exposure: bool = False) -> dict[str, Any]:
    """Return the state of each unit; a unit that does not exist has load "not-found"."""
    if not names:
        return {}
    properties = ",".join(["Id", "ExecStart", *TEXTS, *NUMBERS, *LISTS])
    try:
        answer = _seen.answer_of(["systemctl", "show", f"--property={properties}", "--", *names])
        blocks = [block for block in answer.split("\n\n") if block.strip()]
        if len(blocks) != len(names):
            raise _seen.UnseenError(f"systemctl tells of {len(blocks)} units, not of {len(names)}")
    except _seen.UnseenError as error:
        return {name: _seen.unseen(error) for name in names}
    found = {name: parse_unit(block) for name, block in zip(names, blocks)}
    if exposure:
        levels = _seen.seen_or_why(exposures)
        for name, unit in found.items():
            unit["exposure"] = levels if "unseen" in levels else levels.get(name, _seen.unseen("systemd gives none"))
    return found


def parse_unit(block: str) -> dict[str, Any]:
    """Return one block of ``systemctl show`` with the names of module host_state."""
    told = {name: value for name, equals, value in (line.partition("=") for line in block.splitlines()) if equals}
    unit: dict[str, Any] = {ours: _seen.short(told.get(name, "")) for name, ours in TEXTS.items()}
    unit.update({ours: _number(told.get(name, "")) for name, ours in NUMBERS.items()})
    unit.update({ours: _seen.short(told.get(name, "")).split() for name, ours in LISTS.items()})
    unit["exec"] = _program(told.get("ExecStart", ""))
    return unit


def exposures() -> dict[str, float]:
    """Return the exposure level of each loaded unit, from 0 (safe) to 10; raise UnseenError where it is unknown."""
    answer = _seen.answer_of(["systemd-analyze", "security", "--json=short", "--no-pager"])
    try:
        return {str(row["unit"]): float(row["exposure"]) for row in from_json(answer)}
    except (ValueError, TypeError, KeyError) as error:
        raise _seen.UnseenError("systemd-analyze does not answer in JSON, which it does since 250") from error


def calendars(expressions: list[str]) -> dict[str, Any]:
    """Return whether systemd accepts each timer expression, and its error message if not."""
    return {text: _seen.seen_or_why(_calendar, text) for text in expressions}


def _calendar(text: str) -> dict[str, Any]:
    code, _output, errors = _seen.ask(["systemd-analyze", "calendar", "--", text])
    return {"valid": code == 0, "message": "" if code == 0 else _seen.short(errors)}


def _number(text: str) -> int | None:
    number = int(text) if text.isdigit() else None
    return None if number == _UNLIMITED else number


def _program(command: str) -> str:
    """Return the program of ``{ path=/usr/bin/x ; argv[]=… }``, "" where the unit starts none."""
    _before, is_there, rest = command.partition("path=")
    return _seen.short(rest.partition(" ; argv[]=")[0]) if is_there else ""
