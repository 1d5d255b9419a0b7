# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iptables and ip6tables: evaluate their rules, and make the first chain, which accepts a guard's sources."""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .walk import (
    ACCEPT,
    GO_ON,
    GOTO,
    JUMP,
    REFUSE,
    RETURN,
    Check,
    Packet,
    Rule,
    always,
    by_interface,
    from_networks,
    negated,
    to_ports,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .values import Guard

CHAIN_PREFIX = "GIZZI-"
PROGRAMS = {4: "iptables", 6: "ip6tables"}
SAVED_FILES = {4: "/etc/iptables/rules.v4", 6: "/etc/iptables/rules.v6"}
_VERDICTS = {"ACCEPT": ACCEPT, "DROP": REFUSE, "REJECT": REFUSE, "TARPIT": REFUSE, "NFQUEUE": REFUSE, "RETURN": RETURN}
# Modules that match every packet themselves. Their options restrict the rule, and are evaluated.
_PLAIN_MODULES = ("tcp", "udp", "multiport", "state", "conntrack", "comment", "addrtype", "icmp", "icmp6")


@dataclass
class Ruleset:
    """The filter table of one IP version, from the output of ``iptables -S``."""

    policies: dict[str, str] = field(default_factory=dict)
    chains: dict[str, list[Rule]] = field(default_factory=dict)

    def outcome(self, packet: Packet) -> str:
        """Return the result for an incoming packet: ACCEPT, REFUSE or UNSURE."""
        outcome = walk(self.chains, "INPUT", packet)
        if outcome != GO_ON:
            return outcome
        return ACCEPT if self.policies.get("INPUT", "ACCEPT") == "ACCEPT" else REFUSE


def parse(listing: str) -> Ruleset:
    """Parse the output of ``iptables -S``."""
    rules = [shlex.split(line) for line in listing.splitlines() if line.startswith("-")]
    ruleset = Ruleset({words[1]: words[2] for words in rules if words[0] == "-P"})
    ruleset.chains = {words[1]: [] for words in rules if words[0] in ("-P", "-N")}
    for words in rules:
        if words[0] == "-A":
            ruleset.chains[words[1]].append(_rule(words[2:], ruleset.chains))
    return ruleset


def _rule(words: Sequence[str], chains: dict[str, list[Rule]]) -> Rule:
    checks: list[Check] = []
    left = list(words)
    while left:
        word = left.pop(0)
        negate = word == "!" and bool(left)
        if negate:
            word = left.pop(0)
        if word in ("-j", "-g"):
            target = left.pop(0)
            if target in chains:
                return Rule(tuple(checks), GOTO if word == "-g" else JUMP, target)
            return Rule(tuple(checks), _VERDICTS.get(target, GO_ON))
        if word.startswith("-"):
            check = _check(word, left)
            checks.append(negated(check) if negate else check)
    return Rule(tuple(checks), GO_ON)


def _check(option: str, left: list[str]) -> Check:
    """Return the check of one option; its value is removed from the remaining words ``left``."""
    readers: dict[str, Callable[[str], Check]] = {
        "-p": lambda value: always(value in ("tcp", "6", "all")),
        "-s": lambda value: from_networks([ipaddress.ip_network(value)]),
        "-i": by_interface,
        "--dport": lambda value: to_ports(port_ranges(value)),
        "--dports": lambda value: to_ports(port_ranges(value)),
        "--state": lambda value: always("NEW" in value.split(",")),
        "--ctstate": lambda value: always("NEW" in value.split(",")),
        "--dst-type": lambda value: always(value == "LOCAL"),
        "--comment": lambda value: always(True),
        # Module rt matches IPv6 routing headers, which normal connections do not have.
        "-m": lambda value: always(True if value in _PLAIN_MODULES else False if value == "rt" else None),
    }
    return readers[option](left.pop(0)) if option in readers and left else always(None)


def port_ranges(value: str) -> list[tuple[int, int]]:
    """Return the first and last port of each part of ``--dport`` or ``--dports``; ValueError for a service's name."""
    ranges = []
    for part in value.split(","):
        first, _colon, last = part.partition(":")
        ranges.append((int(first or 0), int(last or (65535 if _colon else first))))
    return ranges


# --- the guard's chain


def chain_of(name: str) -> str:
    """Return the name of a guard's chain."""
    return CHAIN_PREFIX + name.upper()


def own_lines(listing: str, name: str) -> list[str]:
    """Return a guard's lines of ``iptables -S``: its chain, its rules and the jumps to the chain."""
    return [line for line in listing.splitlines() if chain_of(name) in shlex.split(line)]


def names(listing: str) -> set[str]:
    """Return the names of the guards that have a chain."""
    prefix = f"-N {CHAIN_PREFIX}"
    return {line[len(prefix) :].lower() for line in listing.splitlines() if line.startswith(prefix)}


def may_refuse(listing: str) -> bool:
    """Return whether the policy or rules of others could refuse an incoming packet."""
    for line in listing.splitlines():
        words = shlex.split(line)
        if words[:2] == ["-P", "INPUT"] and words[2] != "ACCEPT":
            return True
        if words[:2] == ["-A", "INPUT"] and not _target(words).startswith((CHAIN_PREFIX, "ACCEPT")):
            return True
    return False


def chain_lines(wanted: Guard, version: int) -> list[str]:
    """Return the jump to a guard's chain and the chain's rules, as ``iptables -S`` prints them."""
    chain = chain_of(wanted.name)
    return [
        f"-A INPUT -p tcp -m tcp --dport {wanted.port} -j {chain}",
        # "-i lo" is the host itself, for each of its addresses.
        f"-A {chain} -i lo -j ACCEPT",
        *(f"-A {chain} -s {source} -j ACCEPT" for source in wanted.of_version(version)),
    ]


def script(listing: str, name: str, wanted: Guard | None, version: int) -> str:
    """Return input for ``iptables-restore --noflush`` that changes the rules of ``iptables -S`` to what is wanted.

    Empty when nothing differs. It is one transaction, so that every source has access all the time.
    """
    chain = chain_of(name)
    rules = [line for line in own_lines(listing, name) if line.startswith("-A ")]
    jumps = [line for line in rules if not line.startswith(f"-A {chain} ")]
    exists = f"-N {chain}" in listing.splitlines()
    start = ["*filter", f":{chain} - [0:0]", *(line.replace("-A", "-D", 1) for line in jumps)]
    if wanted is None:
        return "\n".join([*start, f"-X {chain}", "COMMIT", ""]) if exists else ""
    lines = chain_lines(wanted, version)
    in_place = [_canonical(line) for line in (*jumps, *(line for line in rules if line not in jumps))] == lines
    if in_place and all(parse(listing).outcome(packet) == ACCEPT for packet in packets(wanted, version)):
        return ""
    return "\n".join([*start, lines[0].replace("-A", "-I", 1), *lines[1:], "COMMIT", ""])


def packets(wanted: Guard, version: int) -> list[Packet]:
    """Return the packets that must be accepted: from the host itself and from every source of one IP version."""
    return [
        Packet(version, wanted.port),
        *(Packet(version, wanted.port, source) for source in wanted.of_version(version)),
    ]


def without_chain(saved: str, name: str) -> str:
    """Return a saved rule set without the lines that contain a guard's chain."""
    chain = chain_of(name)

    def is_ours(line: str) -> bool:
        return line.startswith(f":{chain} ") or (
            line.lstrip("[0123456789:] ").startswith("-A ")
            and re.search(rf"(-A|-j|-g) {re.escape(chain)}(\s|$)", line) is not None
        )

    return "".join(line for line in saved.splitlines(keepends=True) if not is_ours(line))


def _target(words: Sequence[str]) -> str:
    return next((words[place + 1] for place, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")


def _canonical(line: str) -> str:
    """Return a rule with its source in its standard form."""
    words = shlex.split(line)
    if "-s" in words:
        place = words.index("-s") + 1
        words[place] = str(ipaddress.ip_network(words[place]))
    return " ".join(words)
