# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host of files under a folder and of answers to commands, with real outputs of nft, iptables and ufw."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard import host as guard_host
from ansible_collections.etrid.gizzi.plugins.module_utils._guard import nftables
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import Guard, parse_guard

RECORDED = Path(__file__).parent / "recorded"
BARE = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
NO_TABLES = '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}'
SOURCES = ("10.0.0.1", "10.1.0.0/16", "fd42::1", "fd43::/64")
UNITS = "/etc/systemd/system"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def guard(
    sources: Sequence[str] = SOURCES, port: int = 11434, name: str = "ollama", units: Sequence[str] = ()
) -> Guard:
    return parse_guard(name, port, sources, units)


def guarded() -> str:
    """What nft lists with the table of ``guard()`` and nothing else."""
    objects = [item for item in json.loads(recorded("native.json"))["nftables"] if is_ours(item)]
    return json.dumps({"nftables": objects})


def is_ours(item: dict[str, Any]) -> bool:
    return any("gizzi-ollama" in (value.get("table"), value.get("name")) for value in item.values())


class FakeHost(guard_host.Host):
    """Runs nothing. nft and iptables-restore take effect, since the module looks again afterwards."""

    def __init__(self, root: Path, tools: Sequence[str] = ("nft", "iptables", "ip6tables")) -> None:
        super().__init__(root)
        self.tools = set(tools)
        self.tables = NO_TABLES
        self.listings = {"iptables": BARE, "ip6tables": BARE}
        self.refusals: dict[str, str] = {}
        self.units: dict[str, tuple[str, str]] = {}
        self.ran: list[str] = []
        self.write("/proc/net/if_inet6", "lo\n")
        self.write("/proc/net/tcp", "  sl\n")
        self.write("/etc/default/ufw", "IPV6=yes\n")
        (root / "proc/77").mkdir()
        (root / "proc/self").symlink_to("77")

    def has(self, tool: str) -> bool:
        return tool in self.tools

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        words = list(argv)
        if words[0] in self.refusals:
            raise GizziError(f"{shlex.join(words)} failed: {self.refusals[words[0]]}")
        if words == ["nft", "-j", "list", "ruleset"]:
            return self.tables
        if words[1:] == ["-S"]:
            return self.listings[words[0]]
        if words[:2] == ["systemctl", "show"]:
            return self._shown(words[3:])
        self.ran.append(shlex.join(words))
        if words[0] == "nft":
            self.tables = guarded() if "{" in stdin else NO_TABLES
        elif words[0].endswith("-restore"):
            tool = words[0].replace("-restore", "")
            self.listings[tool] = restored(self.listings[tool], stdin)
        elif words[0] == "systemctl":
            self._systemctl(words[1:])
        return ""

    def _shown(self, units: Sequence[str]) -> str:
        blocks = []
        for unit in units:
            active, enabled = self.units.get(unit, ("inactive", ""))
            blocks.append(f"Id={unit}\nActiveState={active}\nUnitFileState={enabled}\n")
        return "\n".join(blocks)

    def _systemctl(self, words: Sequence[str]) -> None:
        unit = words[-1]
        active, enabled = self.units.get(unit, ("inactive", ""))
        if words[0] in ("reenable", "enable"):
            enabled = "enabled"
            self.link(unit)
        elif words[0] in ("start", "restart"):
            active = "active"
        elif words[0] in ("stop", "disable"):
            active, enabled = "inactive", ""
        if unit != "daemon-reload":
            self.units[unit] = (active, enabled)

    def link(self, unit: str) -> None:
        """Make the links of section Install, as systemctl does."""
        for line in self.read(f"{UNITS}/{unit}").splitlines():
            key, _equals, target = line.partition("=")
            if key in ("WantedBy", "RequiredBy"):
                folder = self.path(f"{UNITS}/{target}.{'wants' if key == 'WantedBy' else 'requires'}")
                folder.mkdir(parents=True, exist_ok=True)
                if not (folder / unit).is_symlink():
                    (folder / unit).symlink_to(f"../{unit}")

    def files(self) -> set[str]:
        """Return the files of guards that the host has."""
        found = [*self.root.rglob("*gizzi*"), *self.root.glob("etc/gizzi-guard/*")]
        return {f"/{path.relative_to(self.root)}" for path in found if not path.is_dir()} - {guard_host.LOCK}


def restored(listing: str, script: str) -> str:
    """Return what ``iptables -S`` prints after ``iptables-restore --noflush``."""
    lines = listing.splitlines()
    for line in script.splitlines():
        if line.startswith(":"):
            chain = line[1:].split()[0]
            if f"-N {chain}" not in lines:
                lines.insert(_first_rule(lines), f"-N {chain}")
            lines = [old for old in lines if not old.startswith(f"-A {chain} ")]
        elif line.startswith("-D "):
            lines.remove(line.replace("-D", "-A", 1))
        elif line.startswith("-I INPUT"):
            lines.insert(_first_rule(lines), line.replace("-I", "-A", 1))
        elif line.startswith("-A "):
            lines.append(line)
        elif line.startswith("-X "):
            lines.remove(line.replace("-X", "-N", 1))
    return "\n".join([*lines, ""])


def _first_rule(lines: Sequence[str]) -> int:
    return next((place for place, line in enumerate(lines) if line.startswith("-A ")), len(lines))


def seen_of(
    tables: str = NO_TABLES, v4: str | None = BARE, v6: str | None = BARE, ufw: bool = False
) -> guard_host.Seen:
    """What a look has found."""
    listings = {version: listing for version, listing in ((4, v4), (6, v6)) if listing is not None}
    seen = guard_host.Seen(nftables.parse(tables), listings)
    if ufw:
        parse = guard_host.ufw.parse
        seen.ufw = {4: parse(recorded("user.rules")), 6: parse(recorded("user6.rules"))}
    return seen
