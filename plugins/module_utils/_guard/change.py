# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make or remove a guard: its definition, its rules and its units; or list the changes in check mode."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._errors import GizziError
from . import installed, nftables, plan
from .connection import own_ports
from .definitions import FOLDER, WATCH, definition_path, definitions, states, unit_of, unit_path
from .host import PACKAGE, Host, Seen, look
from .values import plain

if TYPE_CHECKING:
    from .values import Guard


@dataclass
class Result:
    """The module's result; ``steps`` is empty when nothing changes."""

    previous: dict[str, Any]
    before: str
    after: str
    steps: list[str] = field(default_factory=list)
    missing_package: str = ""
    warnings: list[str] = field(default_factory=list)


def previous(found: Guard | None) -> dict[str, Any]:
    """Return the module's options that restore the previous guard; ``found`` is None where there was none."""
    if found is None:
        return {"state": "absent", "port": None, "sources": [], "units": []}
    sources = [plain(source) for source in found.sources]
    return {"state": "present", "port": found.port, "sources": sources, "units": list(found.units)}


def change(host: Host, name: str, wanted: Guard | None, python: str, check: bool) -> Result:
    """Make the guard as wanted (None: remove it), or only list the steps; GizziError when this is impossible."""
    if wanted and wanted.port in own_ports(host.path("/proc")):
        raise GizziError(
            f"port {wanted.port} is the one by which this host is reached by SSH: a guard could shut its own "
            "administration out. Name the port of the service"
        )
    with host.locked():
        seen = look(host)
        there = definitions(host)[0].get(name)
        found = there or nftables.live(seen.tables or {}, name)
        to_do = plan.make_plan(seen, name, wanted)
        if to_do.problems:
            raise GizziError("; ".join(to_do.problems))
        result = Result(previous(found), plan.shown(seen, name), plan.shown_wanted(seen, wanted))
        result.steps = [step.summary for step in to_do.steps]
        result.missing_package = PACKAGE if wanted and seen.tables is None else ""
        if result.missing_package and not check:
            return result
        keeper = Keeper(host, name, wanted, python)
        if check:
            result.steps += keeper.steps()
        else:
            result.steps += keeper.before_rules()
            seen = plan.carry_out(host, name, wanted, seen)
    # After the lock is released: the program that the units run needs the lock.
    if not check:
        result.steps += keeper.after_rules()
        result.after = plan.shown(seen, name)
        result.warnings = _warnings(seen, wanted)
    return result


def _warnings(seen: Seen, wanted: Guard | None) -> list[str]:
    if wanted is None:
        return []
    return [
        f"{what} may refuse the sources of TCP port {wanted.port}, where no rule of ours can let them in: do so there"
        for what in plan.refusals(seen, wanted)
    ]


class Keeper:
    """The changes to a guard's files and units, without its rules."""

    def __init__(self, host: Host, name: str, wanted: Guard | None, python: str) -> None:
        self._host = host
        self._wanted = wanted
        self._unit = unit_of(name)
        self._is_last = set(definitions(host)[0]) <= {name}
        self._own_files = [unit_path(self._unit), definition_path(name)]
        self._shared_files = [unit_path(WATCH), installed.PROGRAM] if self._is_last else []
        if wanted:
            self._files = installed.files(wanted, python)
            self._changed = installed.differing(host, self._files)
            self._unlinked = [link for link in installed.links(wanted) if not host.path(link).is_symlink()]
        else:
            there = [*self._own_files, *self._shared_files]
            self._changed = [path for path in there if host.path(path).exists()]

    def steps(self) -> list[str]:
        """Return the steps that are necessary."""
        verb = "write" if self._wanted else "remove"
        return [f"{verb} {path}" for path in self._changed] + [
            shlex.join(["systemctl", *words]) for words in self._commands()
        ]

    def before_rules(self) -> list[str]:
        """Write the definition before the rules change, so that the watching service restores the new rules."""
        if self._wanted:
            for path in self._changed:
                self._host.write_bytes(path, *self._files[path])
            return [f"write {path}" for path in self._changed]
        steps = []
        if unit_path(self._unit) in self._changed:
            # Disable first: while the service still requires the unit, a stop of the unit stops the service too.
            steps = self._systemctl(["disable", self._unit], ["daemon-reload"], ["stop", self._unit])
        if unit_path(WATCH) in self._changed:
            steps += self._systemctl(["disable", "--now", WATCH])
        for path in self._changed:
            self._host.path(path).unlink()
        if self._is_last and self._host.path(FOLDER).is_dir():
            self._host.path(FOLDER).rmdir()
        return steps + [f"remove {path}" for path in self._changed]

    def after_rules(self) -> list[str]:
        """Enable and start the units after the rules have changed."""
        return self._systemctl(*self._commands())

    def _commands(self) -> list[list[str]]:
        changed_units = [path for path in self._changed if path.endswith(".service")]
        commands = [["daemon-reload"]] if changed_units else []
        if self._wanted is None:
            return commands
        found = states(self._host, [self._unit, WATCH])
        active, enabled = found.get(self._unit, ("", ""))
        # When systemd enables the guard, it makes the links of the units that require it.
        if self._unlinked or enabled != "enabled" or unit_path(self._unit) in self._changed:
            commands.append(["reenable", self._unit])
        if active != "active":
            commands.append(["start", self._unit])
        active, enabled = found.get(WATCH, ("", ""))
        if enabled != "enabled":
            commands.append(["enable", WATCH])
        if {unit_path(WATCH), installed.PROGRAM} & set(self._changed) or active != "active":
            commands.append(["restart", WATCH])
        return commands

    def _systemctl(self, *commands: list[str]) -> list[str]:
        for words in commands:
            self._host.run(["systemctl", *words])
        return [shlex.join(["systemctl", *words]) for words in commands]
