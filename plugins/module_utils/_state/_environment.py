# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of Ollama's unit and of its process: names and files, but never values."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen
from ansible_collections.etrid.gizzi.plugins.module_utils._unit import (
    API_KEY,
    UNIT,
    Host,
    changes_answers,
    conflicts,
    foreign_variables,
    holds_password,
    names_set_by,
    shown_names,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path("/")


def environment(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ollama_environment of module host_state.

    options: names that role ollama will set (None: those that its files set), and its overrides.
    """
    host = Host(ROOT)
    in_files = host.own_names()
    names = options.get("names")
    own = in_files if names is None else names_set_by(host, names, options.get("overrides") or {})
    shown = _seen.answer_of(["systemctl", "show", "--property=MainPID", "--property=DropInPaths", UNIT])
    properties = dict(line.partition("=")[::2] for line in shown.splitlines())
    settings = host.foreign_settings(properties.get("DropInPaths", "").split())
    manager = shown_names(_seen.answer_of(["systemctl", "show-environment"]))
    foreign = foreign_variables(host, settings, manager, own)
    return {
        "foreign": [asdict(variable) for variable in foreign],
        "unset": sorted({API_KEY, *(variable.name for variable in foreign)} - own),
        "problems": conflicts(host, settings, own),
        "server": asdict(host.listen()),
        "process": _seen.seen_or_why(_process, properties.get("MainPID", ""), in_files),
    }


def _process(number: str, own: set[str]) -> dict[str, list[str]]:
    """Return a process' variables that the role's files do not set, and proxies with a password."""
    environ = _environ(number)
    secrets = [name for name, value in environ.items() if name.upper().endswith("_PROXY") and holds_password(value)]
    unexpected = [name for name in environ if changes_answers(name) and name not in own]
    return {"unexpected": sorted(unexpected), "secrets": sorted(secrets)}


def _environ(number: str) -> dict[str, str]:
    """Return the environment of a process; its number is "0" when none runs."""
    if number in ("", "0"):
        raise GizziError("The server does not run.")
    try:
        text = (ROOT / "proc" / number / "environ").read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise GizziError(f"The environment of process {number} cannot be read: {error}.") from error
    return {name: value for name, found, value in (item.partition("=") for item in text.split("\0")) if found}
