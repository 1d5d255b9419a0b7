# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a guard as wanted, and checks whether it really works."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._errors import GizziError
from . import iptables, nftables, ufw
from .host import Host, Seen, look
from .walk import ACCEPT, UNSURE, Packet, Rule, worst

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values import Guard

LOCK_SECONDS = "30"
IPTABLES = "iptables"
UFW = "ufw"


@dataclass(frozen=True)
class Step:
    """One change: a command with its input, or a file to replace."""

    argv: tuple[str, ...] = ()
    stdin: str = ""
    path: str = ""
    content: str = ""
    about: str = ""

    @property
    def summary(self) -> str:
        if not self.argv:
            return f"write {self.path} without lines of ours"
        return shlex.join(self.argv) + (f" ({self.about})" if self.about else "")


@dataclass
class Plan:
    """The steps, those that drop strangers first; ``problems`` are reasons why the sources cannot be accepted."""

    closing: list[Step] = field(default_factory=list)
    opening: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        return self.closing + self.opening


def make_plan(seen: Seen, name: str, wanted: Guard | None) -> Plan:
    """Return the steps from the rules ``seen`` to what is wanted; None: no guard of this name."""
    plan = Plan(_closing(seen, name, wanted))
    for version in (4, 6):
        way = way_in(seen, wanted, version)
        try:
            plan.opening += _chain_steps(seen, name, wanted if way == IPTABLES else None, version)
            plan.opening += _ufw_steps(seen, name, wanted, way, version)
        except GizziError as error:
            plan.problems.append(str(error))
    # Remove equal steps: one reload reads the rules of both IP versions.
    plan.opening = [step for place, step in enumerate(plan.opening) if step not in plan.opening[:place]]
    return plan


def _closing(seen: Seen, name: str, wanted: Guard | None) -> list[Step]:
    tables = seen.tables or {}
    table = f"inet {nftables.table_of(name)}"
    if wanted and not _same(nftables.live(tables, name), wanted):
        return [Step(("nft", "-f", "-"), nftables.script(wanted), about=f"make table {table}")]
    if wanted is None and name in nftables.names(tables):
        return [Step(("nft", "-f", "-"), nftables.removal(name), about=f"remove table {table}")]
    return []


def _same(found: Guard | None, wanted: Guard) -> bool:
    return found is not None and (found.port, found.sources) == (wanted.port, wanted.sources)


def way_in(seen: Seen, wanted: Guard | None, version: int) -> str:
    """Return the way to accept an IP version's sources: UFW, IPTABLES, or "" where nothing refuses them."""
    listing = seen.listings.get(version)
    if wanted is None or listing is None:
        return ""
    if seen.ufw_is_active(version) and _ufw_suffices(listing, wanted, version):
        return UFW
    return IPTABLES if iptables.may_refuse(listing) else ""


def _ufw_suffices(listing: str, wanted: Guard, version: int) -> bool:
    """Return whether a rule in ufw's own chain can accept the sources.

    ufw appends its chains when it is enabled: after the final REJECT of Oracle's images they have no effect.
    """
    ruleset = iptables.parse(listing)
    # Ignore the guard's own chain, which accepts the sources.
    ruleset.chains[iptables.chain_of(wanted.name)] = []
    ruleset.chains[ufw.USER_CHAINS[version]] = [Rule((), ACCEPT)]
    return all(ruleset.outcome(packet) == ACCEPT for packet in iptables.packets(wanted, version))


def _chain_steps(seen: Seen, name: str, wanted: Guard | None, version: int) -> list[Step]:
    steps = []
    program = iptables.PROGRAMS[version]
    chain, verb = iptables.chain_of(name), "make" if wanted else "remove"
    listing = seen.listings.get(version)
    if listing is not None:
        script = iptables.script(listing, name, wanted, version)
        if script:
            steps.append(
                Step((f"{program}-restore", "--noflush", "-w", LOCK_SECONDS), script, about=f"{verb} chain {chain}")
            )
    elif nftables.has_chain(seen.tables or {}, version, chain):
        # The guard's chain exists, but iptables cannot list it, and only iptables can remove it.
        raise GizziError(
            f"the chain {chain} is there, but its rules cannot be seen: "
            f"{seen.unseen.get(version, f'{program} is not installed')}"
        )
    path = iptables.SAVED_FILES[version]
    saved = seen.saved.get(path, "")
    kept = iptables.without_chain(saved, name)
    if wanted is None and kept != saved:
        steps.append(Step(path=path, content=kept))
    return steps


def _ufw_steps(seen: Seen, name: str, wanted: Guard | None, way: str, version: int) -> list[Step]:
    if wanted and way != UFW:
        # The rules in ufw's files stay for the case that ufw is used again; they do not open the port.
        return []
    by_ufw = wanted if way == UFW else None
    steps = [Step(argv) for argv in ufw.commands(seen.ufw.get(version, []), name, by_ufw, version)]
    if by_ufw and not steps and not _is_in(seen, by_ufw, version):
        return [Step(("ufw", "reload"))]
    return steps


def _is_in(seen: Seen, wanted: Guard, version: int) -> bool:
    ruleset = iptables.parse(seen.listings[version])
    return all(ruleset.outcome(packet) == ACCEPT for packet in iptables.packets(wanted, version))


def refusals(seen: Seen, wanted: Guard) -> dict[str, str]:
    """Return what may refuse the host itself or a source: REFUSE or UNSURE, by chain or program."""
    found: dict[str, list[str]] = {}
    for version in (4, 6):
        listing = seen.listings.get(version)
        ruleset = iptables.parse(listing) if listing is not None else None
        for packet in _packets(wanted, version):
            outcomes = nftables.others(seen.tables or {}, packet, ruleset is not None)
            if ruleset is not None:
                outcomes[iptables.PROGRAMS[version]] = ruleset.outcome(packet)
            elif version in seen.unseen and not nftables.has_filter(seen.tables or {}, version):
                outcomes[seen.unseen[version]] = UNSURE
            for what, outcome in outcomes.items():
                found.setdefault(what, []).append(outcome)
    return {what: worst(outcomes) for what, outcomes in found.items() if worst(outcomes) != ACCEPT}


def _packets(wanted: Guard, version: int) -> list[Packet]:
    packets = iptables.packets(wanted, version)
    return packets if len(packets) > 1 or version == 4 else []


def shown(seen: Seen, name: str) -> str:
    """Return a guard's present rules as text for people: its table, its chains and its ufw rules."""
    tables = seen.tables or {}
    found = nftables.live(tables, name)
    text = nftables.shown(found) if found else ""
    if not found and name in nftables.names(tables):
        text = f"table inet {nftables.table_of(name)} is not as this module makes it\n"
    for version, listing in sorted(seen.listings.items()):
        lines = [line for line in iptables.own_lines(listing, name) if line.startswith("-A ")]
        text += "".join(f"{iptables.PROGRAMS[version]} {line}\n" for line in lines)
    for _version, rules in sorted(seen.ufw.items()):
        text += "".join(f"{shlex.join(rule.command())}\n" for rule in rules if rule.is_ours(name))
    return text


def shown_wanted(seen: Seen, wanted: Guard | None) -> str:
    """Return the wanted rules in the form of ``shown``."""
    if wanted is None:
        return ""
    text = nftables.shown(wanted)
    ways = {version: way_in(seen, wanted, version) for version in (4, 6)}
    for version, way in ways.items():
        if way == IPTABLES:
            lines = iptables.chain_lines(wanted, version)
            text += "".join(f"{iptables.PROGRAMS[version]} {line}\n" for line in lines)
    for version, rules in sorted(seen.ufw.items()):
        kept = [rule for rule in rules if rule.is_ours(wanted.name)]
        kept = ufw.rules_of(wanted, version) if ways[version] == UFW else kept
        text += "".join(f"{shlex.join(rule.command())}\n" for rule in kept)
    return text


def carry_out(
    host: Host, name: str, wanted: Guard | None, seen: Seen, between: Callable[[], None] | None = None
) -> Seen:
    """Run the steps and return the new rules; GizziError when the rules are still not as wanted.

    The effect of a ufw command is visible only afterwards, so a second plan may have one more step. ufw commands are
    slow: ``between`` is called before each step.
    """
    for _round in range(2):
        plan = make_plan(seen, name, wanted)
        if not plan.steps:
            return seen
        for step in plan.steps:
            if between:
                between()
            _do(host, step)
        seen = look(host)
    left = [step.summary for step in make_plan(seen, name, wanted).steps]
    if left:
        raise GizziError(f"the rules are not in place, still to do: {', '.join(left)}")
    return seen


def close(host: Host, wanted: Guard, seen: Seen) -> None:
    """Make the table that drops strangers where it is missing or wrong; change nothing else."""
    for step in _closing(seen, wanted.name, wanted):
        _do(host, step)


def _do(host: Host, step: Step) -> None:
    if step.argv:
        host.run(step.argv, step.stdin)
    else:
        host.write(step.path, step.content, host.path(step.path).stat().st_mode & 0o7777)
