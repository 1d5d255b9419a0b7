# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ufw: the rules that accept a guard's sources. They have the comment "gizzi NAME" and come first."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._errors import GizziError
from .values import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .values import Guard, Network

COMMENT_PREFIX = "gizzi "
RULES_FILES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
# The live chain that ufw makes from the file of each IP version.
USER_CHAINS = {4: "ufw-user-input", 6: "ufw6-user-input"}
_ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class UfwRule:
    """One incoming rule as ufw stores it: protocol, port, to, source port, source, direction."""

    action: str
    match: tuple[str, ...]
    comment: str

    @property
    def source(self) -> str:
        return self.match[4]

    def is_ours(self, name: str) -> bool:
        """Return whether the rule belongs to this guard: its comment and its form must match."""
        return (
            self.comment == COMMENT_PREFIX + name
            and self.action in ("allow", "deny")
            and len(self.match) == 6
            and self.match[0] == "tcp"
            and self.match[1].isdigit()
            and self.match[3] == "any"
            and self.match[5] == "in"
            and not self.source.endswith("/0")
        )

    def command(self, *verb: str) -> tuple[str, ...]:
        """Return the ufw command that adds (``prepend``) or removes (``delete``) the rule."""
        return (
            *("ufw", *verb, self.action, "proto", "tcp", "from", self.source),
            *("to", "any", "port", self.match[1], "comment", self.comment),
        )


def parse(rules: str) -> list[UfwRule]:
    """Return the incoming rules of ufw's user.rules or user6.rules in their order."""
    found = []
    for line in rules.splitlines():
        if not line.startswith("### tuple ### "):
            continue
        action, *words = line.split()[3:]
        comment = ""
        if words[-1].startswith("comment="):
            comment = bytes.fromhex(words.pop().split("=", 1)[1]).decode("utf-8", "replace")
        if action.startswith("route:") or not words[-1].startswith("in"):
            continue
        if words[4] not in ("any", ""):
            words[4] = plain(ipaddress.ip_network(words[4], strict=False))
        found.append(UfwRule(action, tuple(words), comment))
    return found


def rules_of(wanted: Guard, version: int) -> list[UfwRule]:
    """Return a guard's rules from top to bottom."""

    def rule(source: Network) -> UfwRule:
        match = ("tcp", str(wanted.port), _ANYWHERE[version], "any", plain(source), "in")
        return UfwRule("allow", match, COMMENT_PREFIX + wanted.name)

    return [rule(source) for source in wanted.of_version(version)]


def commands(present: Sequence[UfwRule], name: str, wanted: Guard | None, version: int) -> list[tuple[str, ...]]:
    """Return the ufw commands that change one IP version's rules to what is wanted; GizziError if this is impossible.

    ufw stores equal rules only once, so an equal rule of somebody else blocks the guard's rule.
    """
    ours = [rule for rule in present if rule.is_ours(name)]
    rules = rules_of(wanted, version) if wanted else []
    matches = {rule.match for rule in rules}
    for rule in present:
        if rule not in ours and rule.match in matches:
            raise GizziError(
                f"ufw has a rule of somebody else for port {rule.match[1]} from {rule.source} "
                f"({rule.action}, comment {rule.comment!r}) and keeps only one of a kind: "
                f"remove it with `ufw delete {rule.action} proto tcp from {rule.source} "
                f"to any port {rule.match[1]}` and run again"
            )
    in_front: list[UfwRule] = []
    for rule in present:
        if not rule.comment.startswith(COMMENT_PREFIX):
            break
        in_front.append(rule)
    steps = []
    # "prepend" puts each rule at the top, so start with the last one. Delete a rule in a wrong
    # place before: ufw does not add a rule that exists.
    for rule in reversed([rule for rule in rules if rule not in in_front]):
        if rule in ours:
            steps.append(rule.command("delete"))
        steps.append(rule.command("prepend"))
    return steps + [rule.command("delete") for rule in ours if rule not in rules]


def has_ipv6(settings: str) -> bool:
    """Return whether ufw has rules for IPv6, from /etc/default/ufw; without them it refuses all IPv6."""
    values = re.findall(r"^\s*IPV6=\W*(\w+)", settings, re.MULTILINE)
    return bool(values) and values[-1].lower() == "yes"
