# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guards that are defined for a host, one file each, and their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._errors import GizziError
from .values import NAME_PATTERN, Guard, read_guard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .host import Host

FOLDER = "/etc/gizzi-guard"
UNITS = "/etc/systemd/system"
WATCH = "gizzi-guards.service"


def definition_path(name: str) -> str:
    """Return the path of the file that defines a guard."""
    return f"{FOLDER}/{name}.json"


def unit_of(name: str) -> str:
    """Return the unit that restores a guard at boot."""
    return f"gizzi-guard-{name}.service"


def unit_path(unit: str) -> str:
    """Return the path of a unit's file."""
    return f"{UNITS}/{unit}"


def definitions(host: Host) -> tuple[dict[str, Guard], dict[str, str]]:
    """Return the defined guards by name, and the reasons why others cannot be read, by name."""
    found: dict[str, Guard] = {}
    unreadable: dict[str, str] = {}
    for path in sorted(host.path(FOLDER).glob("*.json")):
        name = path.stem
        if not NAME_PATTERN.fullmatch(name):
            continue
        try:
            guard = read_guard(host.read(definition_path(name)))
            if guard.name != name:
                raise GizziError(f"it names the guard {guard.name!r}")
            found[name] = guard
        except (GizziError, OSError) as error:
            unreadable[name] = f"{definition_path(name)}: {error}"
    return found, unreadable


def states(host: Host, units: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return systemd's ActiveState and UnitFileState of units, by name; GizziError when it does not report them."""
    out = host.run(["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *units])
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in out.split("\n\n")]
    return {block["Id"]: (block["ActiveState"], block["UnitFileState"]) for block in blocks if "UnitFileState" in block}
