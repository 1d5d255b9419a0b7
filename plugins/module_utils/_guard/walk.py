# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow the first packet of a TCP connection through chains of rules: is it accepted in every case?

A rule matches a packet, does not match it, or this is unknown (None). An unknown rule may refuse the packet, and
never counts as accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .values import Network

Match = Optional[bool]

ACCEPT = "accept"
REFUSE = "refuse"
RETURN = "return"
# No decision: continue with the next rule. At the end of a base chain its policy decides.
GO_ON = "go on"
JUMP = "jump"
GOTO = "goto"
UNSURE = "unsure"


@dataclass(frozen=True)
class Packet:
    """A packet from ``source`` to a port of this host; None: from one of the host's own addresses on interface lo."""

    version: int
    port: int
    source: Network | None = None

    @property
    def is_local(self) -> bool:
        return self.source is None


Check = Callable[[Packet], Match]


@dataclass(frozen=True)
class Rule:
    """The verdict applies where all checks match; ``chain`` is the target of JUMP and GOTO."""

    checks: tuple[Check, ...]
    verdict: str
    chain: str = ""

    def matches(self, packet: Packet) -> Match:
        results = [check(packet) for check in self.checks]
        if any(result is False for result in results):
            return False
        return None if None in results else True


def walk(chains: Mapping[str, Sequence[Rule]], start: str, packet: Packet) -> str:
    """Return a chain's result for a packet: ACCEPT, REFUSE, UNSURE or GO_ON."""
    for rule in chains.get(start, ()):
        match = rule.matches(packet)
        outcome = GO_ON if match is False else _outcome(chains, rule, packet)
        if outcome == GO_ON:
            continue
        if match:
            return GO_ON if outcome == RETURN else outcome
        # The rule may or may not match. If it would accept the packet, the next rules must accept it too.
        if outcome != ACCEPT:
            return UNSURE
    return GO_ON


def _outcome(chains: Mapping[str, Sequence[Rule]], rule: Rule, packet: Packet) -> str:
    if rule.verdict not in (JUMP, GOTO):
        return rule.verdict
    outcome = walk(chains, rule.chain, packet)
    return RETURN if outcome == GO_ON and rule.verdict == GOTO else outcome


def worst(outcomes: Iterable[str]) -> str:
    """Return REFUSE, UNSURE or ACCEPT, whichever comes first among the outcomes."""
    found = set(outcomes)
    return next((outcome for outcome in (REFUSE, UNSURE) if outcome in found), ACCEPT)


# --- checks for both kinds of rules


def always(result: Match) -> Check:
    """Return a check with the same result for every packet."""
    return lambda packet: result


def negated(check: Check) -> Check:
    """Return the opposite of a check."""

    def opposite(packet: Packet) -> Match:
        result = check(packet)
        return None if result is None else not result

    return opposite


def from_networks(networks: Sequence[Network]) -> Check:
    """Return a check of the source: in one of the networks, in none, or unknown where only a part is."""

    def check(packet: Packet) -> Match:
        same = [network for network in networks if network.version == packet.version]
        if packet.source is None:
            return None if same else False
        if any(packet.source.subnet_of(network) for network in same):  # type: ignore[arg-type]
            return True
        return None if any(packet.source.overlaps(network) for network in same) else False

    return check


def by_interface(name: str) -> Check:
    """Return a check of the interface's name; all interfaces except lo are unknown."""
    if name == "lo":
        return lambda packet: packet.is_local
    return lambda packet: False if packet.is_local and not name.endswith(("+", "*")) else None


def to_ports(ranges: Sequence[tuple[int, int]]) -> Check:
    """Return a check of the port against ranges, each from first to last."""
    return lambda packet: any(first <= packet.port <= last for first, last in ranges)
