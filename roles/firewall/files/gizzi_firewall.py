# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open one TCP port to named sources and to nobody else, or take that guard away.

    gizzi-firewall present NAME PORT [SOURCE]... [--check]
    gizzi-firewall absent NAME [--check]

The state that is there is read, the state that is wanted is computed, and only the
difference is carried out; a second run finds none. Everything this program makes bears
its NAME, and nothing without that name is ever touched:

* where ufw is active, ufw rules with the comment "gizzi NAME", before all others;
* elsewhere, a chain GIZZI-NAME in iptables and ip6tables, jumped to at the top of INPUT.

A host that went from one to the other is moved, and nothing of the old is left.
The answer is one JSON object on standard output; the exit status is 3 when it holds "error".
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
LOCK_SECONDS = "30"
IPTABLES = {4: "iptables", 6: "ip6tables"}
UFW_FILES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
SAVED_FILES = ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6")
CHAIN_PREFIX = "GIZZI-"
COMMENT_PREFIX = "gizzi "
NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?")

# 10.0.0.0/8 and fc00::/7 are the widest private networks; anything wider is the internet.
WIDEST_PREFIX = {4: 8, 6: 7}

# ufw keeps one rule per match: a deny for "anywhere" would silently replace somebody's
# "allow 11434/tcp". The two halves of the address space mean the same and collide with nothing.
EVERYBODY = {
    4: [ipaddress.ip_network("0.0.0.0/1"), ipaddress.ip_network("128.0.0.0/1")],
    6: [ipaddress.ip_network("::/1"), ipaddress.ip_network("8000::/1")],
}


class FirewallError(Exception):
    """Something an operator has to mend; the text says what and how."""


@dataclass(frozen=True)
class Guard:
    """What is wanted: this port, these sources, nobody else."""

    name: str
    port: int
    sources: tuple[Network, ...]

    def of_version(self, version: int) -> list[Network]:
        return [source for source in self.sources if source.version == version]


@dataclass(frozen=True)
class Step:
    """One change: a command to run, or a file to replace."""

    summary: str
    argv: tuple[str, ...] = ()
    stdin: str = ""
    path: str = ""
    content: str = ""


@dataclass
class Plan:
    """The way from what is to what is wanted."""

    backend: str
    steps: list[Step] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


# --- what was asked for ---------------------------------------------------------------


def parse_source(value: str) -> Network:
    """Turn one source into a network; IPv4-mapped IPv6 becomes plain IPv4."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise FirewallError(
            f"source {value!r} is not an IP address or CIDR network: "
            "a firewall rule cannot hold a host name, write its addresses"
        ) from None
    if "%" in value:
        raise FirewallError(f"source {value!r} has a zone: write the address without it")
    network: Network = interface.network
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return parse_source(f"{mapped}/{network.prefixlen - 96}")
    if network.prefixlen < WIDEST_PREFIX[network.version] or network.network_address.is_unspecified:
        raise FirewallError(
            f"source {value!r} would open the port to everybody: list the addresses "
            f"that need it, or networks of /{WIDEST_PREFIX[network.version]} and smaller"
        )
    if interface.ip != network.network_address:
        raise FirewallError(
            f"source {value!r} is neither a network nor a host: "
            f"write {network} for the network or {interface.ip} for the host"
        )
    return network


def problems_of(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except FirewallError as error:
        return [str(error)]
    return []


def parse_guard(name: str, port: int, sources: Sequence[str]) -> Guard:
    """Check every value and report all that is wrong at once."""
    problems = problems_of(partial(check_name, name))
    if not 1 <= port <= 65535:
        problems.append(f"port {port} does not exist: write one from 1 to 65535")
    for source in sources:
        problems += problems_of(partial(parse_source, source))
    if problems:
        raise FirewallError("; ".join(problems))
    networks = {parse_source(source) for source in sources}
    return Guard(name, port, tuple(sorted(networks, key=lambda n: (n.version, n.network_address, n.prefixlen))))


def check_name(name: str) -> None:
    if not NAME_PATTERN.fullmatch(name):
        raise FirewallError(
            f"name {name!r} is not usable in a chain and a unit: write 1 to 16 of a-z, 0-9 and -, "
            "with no - at either end"
        )


# --- iptables ---------------------------------------------------------------------------


def chain_of(name: str) -> str:
    return CHAIN_PREFIX + name.upper()


def target_of(rule: Sequence[str]) -> str:
    """The chain or verdict that a rule of `iptables -S` leads to."""
    for position, word in enumerate(rule):
        if word in ("-j", "-g"):
            return rule[position + 1]
    return ""


def canonical(rule: Sequence[str]) -> list[str]:
    """The rule with its source address spelled in one way only."""
    words = list(rule)
    if "-s" in words:
        position = words.index("-s") + 1
        words[position] = str(ipaddress.ip_network(words[position]))
    return words


def iptables_script(listing: str, name: str, wanted: Guard | None, version: int) -> str:
    """Input for `iptables-restore --noflush` that leads from `iptables -S` to what is wanted.

    Empty when nothing differs. Restore commits it as one transaction, so there is no
    moment in which the port is open or an allowed source shut out.
    """
    chain = chain_of(name)
    lines = [line for line in listing.splitlines() if line.startswith("-")]
    rules = [(line, shlex.split(line)) for line in lines]
    exists = any(rule[:2] == ["-N", chain] for line, rule in rules)
    own = [rule for line, rule in rules if rule[:2] == ["-A", chain]]
    jumps = [line for line, rule in rules if rule[0] == "-A" and target_of(rule) == chain]
    script = ["*filter", f":{chain} - [0:0]"]
    script += [line.replace("-A", "-D", 1) for line in jumps]

    if wanted is None:
        if not exists:
            return ""
        return "\n".join([*script, f"-X {chain}", "COMMIT", ""])

    jump = f"INPUT -p tcp -m tcp --dport {wanted.port} -j {chain}"
    # "-i lo" is the host itself, to whichever of its addresses it talks.
    body = [f"-A {chain} -i lo -j ACCEPT"]
    body += [f"-A {chain} -s {source} -j ACCEPT" for source in wanted.of_version(version)]
    body += [f"-A {chain} -j DROP"]

    in_front: list[str] = []
    for line, rule in rules:
        if rule[:2] == ["-A", "INPUT"]:
            if not target_of(rule).startswith(CHAIN_PREFIX):
                break
            in_front.append(line)
    in_place = jumps == [f"-A {jump}"] and f"-A {jump}" in in_front
    if in_place and [canonical(rule) for rule in own] == [line.split() for line in body]:
        return ""
    return "\n".join([*script, f"-I {jump}", *body, "COMMIT", ""])


def without_chain(saved: str, name: str) -> str:
    """A saved rule set without the lines that name our chain."""
    chain = chain_of(name)

    def is_ours(line: str) -> bool:
        return line.startswith(f":{chain} ") or (
            line.lstrip("[0123456789:] ").startswith("-A ")
            and re.search(rf"(-A|-j|-g) {re.escape(chain)}(\s|$)", line) is not None
        )

    return "".join(line for line in saved.splitlines(keepends=True) if not is_ours(line))


# --- ufw --------------------------------------------------------------------------------


@dataclass(frozen=True)
class UfwRule:
    """One incoming rule as ufw stores it; `ours` are of the only form that we write."""

    action: str
    match: tuple[str, ...]
    comment: str

    @property
    def source(self) -> str:
        return self.match[4]

    def is_ours(self, name: str) -> bool:
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

    def command(self, *verb: str) -> Step:
        argv = (
            *("ufw", *verb, self.action, "proto", "tcp", "from", self.source),
            *("to", "any", "port", self.match[1], "comment", self.comment),
        )
        return Step(shlex.join(argv), argv)


def plain(network: Network) -> str:
    """A network as ufw stores it: a single host has no prefix length."""
    host = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if host else str(network)


def parse_ufw(rules: str) -> list[UfwRule]:
    """The incoming rules of ufw's user.rules or user6.rules, in their order."""
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


def ufw_rules(wanted: Guard, version: int) -> list[UfwRule]:
    """Our rules from top to bottom: who may, then everybody else may not."""
    anywhere = {4: "0.0.0.0/0", 6: "::/0"}[version]

    def rule(action: str, source: Network) -> UfwRule:
        match = ("tcp", str(wanted.port), anywhere, "any", plain(source), "in")
        return UfwRule(action, match, COMMENT_PREFIX + wanted.name)

    allowed = [rule("allow", source) for source in wanted.of_version(version)]
    return allowed + [rule("deny", half) for half in EVERYBODY[version]]


def ufw_steps(present: Sequence[UfwRule], name: str, wanted: Guard | None, version: int) -> list[Step]:
    """The ufw commands that lead from the rules of one address family to what is wanted."""
    ours = [rule for rule in present if rule.is_ours(name)]
    rules = ufw_rules(wanted, version) if wanted else []
    matches = {rule.match for rule in rules}
    for rule in present:
        if rule not in ours and rule.match in matches:
            raise FirewallError(
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
    denies = [rule for rule in rules if rule.action == "deny"]
    kept: set[UfwRule] = set()
    if denies and all(deny in in_front for deny in denies):
        first_deny = min(in_front.index(deny) for deny in denies)
        kept = set(denies) | set(in_front[:first_deny]) & set(rules)

    steps = []
    # Each goes to the very top, so the last of the list comes first. A rule that is in the
    # wrong place has to be deleted before: ufw skips what it already has.
    for rule in reversed([rule for rule in rules if rule not in kept]):
        if rule in ours:
            steps.append(rule.command("delete"))
        steps.append(rule.command("prepend"))
    steps += [rule.command("delete") for rule in ours if rule not in rules]
    return steps


def ufw_is_reached(listing: str) -> bool:
    """Whether INPUT gets as far as ufw's chains.

    Enabling ufw appends them. Behind the final REJECT of Oracle's images they are never
    asked, whatever `ufw status` says.
    """
    for line in listing.splitlines():
        rule = shlex.split(line)
        if rule[:2] != ["-A", "INPUT"]:
            continue
        if target_of(rule) == "ufw-before-input":
            return True
        if rule[2] == "-j" and rule[3] in ("ACCEPT", "DROP", "REJECT"):
            return False
    return False


# --- this host --------------------------------------------------------------------------


class Host:
    """The machine; `root` is another directory in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def has(self, tool: str) -> bool:
        return shutil.which(tool, path=SEARCH_PATH) is not None

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        environment = {"PATH": SEARCH_PATH, "LC_ALL": "C"}
        try:
            result = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, env=environment)
        except OSError as error:
            raise FirewallError(f"{argv[0]} does not run: {error}") from error
        if result.returncode != 0:
            problem = (result.stderr or result.stdout).strip()
            raise FirewallError(f"{shlex.join(argv)} failed: {problem}")
        return result.stdout

    def read(self, path: str) -> str:
        """The file as text, empty when there is none; surrogates keep every byte."""
        try:
            return (self.root / path.lstrip("/")).read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""

    def replace(self, path: str, content: str) -> None:
        """Swap the file in one rename, with the owner and mode it had."""
        target = (self.root / path.lstrip("/")).resolve()
        status = target.stat()
        draft = target.with_name(f".{target.name}.gizzi")
        draft.touch(mode=0o600)
        draft.write_text(content, "utf-8", "surrogateescape")
        os.chown(draft, status.st_uid, status.st_gid)
        draft.chmod(status.st_mode & 0o7777)
        draft.replace(target)

    def listing(self, version: int) -> str | None:
        """`iptables -S` of the filter table; None where the kernel does without IPv6."""
        try:
            return self.run([IPTABLES[version], "-S"])
        except FirewallError:
            if version == 6 and not self.read("/proc/net/if_inet6"):
                return None
            raise

    def ufw_status(self) -> str:
        """absent, inactive or active."""
        if not self.has("ufw"):
            return "absent"
        return "active" if "Status: active" in self.run(["ufw", "status"]) else "inactive"

    def ufw_has_ipv6(self) -> bool:
        setting = re.findall(r"^\s*IPV6=\W*(\w+)", self.read("/etc/default/ufw"), re.MULTILINE)
        return bool(setting) and setting[-1].lower() == "yes"


def make_plan(host: Host, name: str, wanted: Guard | None) -> Plan:
    """Compare the host with what is wanted."""
    listings: dict[int, str] = {}
    if host.has("iptables"):
        found = {version: host.listing(version) for version in (4, 6)}
        listings = {version: text for version, text in found.items() if text is not None}
    ufw = host.ufw_status()
    plan = Plan("ufw" if ufw == "active" and ufw_is_reached(listings.get(4, "")) else "iptables")

    by_chain = wanted if plan.backend == "iptables" else None
    chains: list[Step] = []
    for version, listing in listings.items():
        script = iptables_script(listing, name, by_chain, version)
        if script:
            argv = (f"{IPTABLES[version]}-restore", "--noflush", "-w", LOCK_SECONDS)
            chains.append(Step(f"{shlex.join(argv)}\n{script}", argv, script))
    if by_chain and not listings:
        plan.missing.append("iptables")

    by_ufw = wanted if plan.backend == "ufw" else None
    rules: list[Step] = []
    if ufw != "absent":
        # With IPV6=no ufw shuts IPv6 out altogether and takes no rules for it.
        for version in (4, 6) if host.ufw_has_ipv6() else (4,):
            present = parse_ufw(host.read(UFW_FILES[version]))
            rules += ufw_steps(present, name, by_ufw, version)

    # The new guard stands before the old one goes.
    plan.steps = chains + rules if by_chain else rules + chains
    if not by_chain:
        for path in SAVED_FILES:
            saved = host.read(path)
            kept = without_chain(saved, name)
            if kept != saved:
                summary = f"{path}: drop the lines of {chain_of(name)}"
                plan.steps.append(Step(summary, path=path, content=kept))
    return plan


def carry_out(host: Host, plan: Plan) -> None:
    for step in plan.steps:
        if step.path:
            host.replace(step.path, step.content)
        else:
            host.run(step.argv, step.stdin)


def answer(host: Host, arguments: argparse.Namespace) -> dict[str, object]:
    """Plan, carry out unless only asked, and make sure that nothing is left to do."""
    name: str = arguments.name
    wanted = None
    if arguments.state == "present":
        wanted = parse_guard(name, arguments.port, arguments.sources)
    else:
        check_name(name)
    plan = make_plan(host, name, wanted)
    if plan.missing and not arguments.check:
        raise FirewallError(f"not installed: {', '.join(plan.missing)}")
    if plan.steps and not arguments.check:
        carry_out(host, plan)
        left = [step.summary for step in make_plan(host, name, wanted).steps]
        if left:
            raise FirewallError(f"the rules did not take, still to do: {', '.join(left)}")
    return {
        "backend": plan.backend,
        "changed": bool(plan.steps or plan.missing),
        "changes": [step.summary for step in plan.steps],
        "missing": plan.missing,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gizzi-firewall", description=__doc__.split("\n", maxsplit=1)[0])
    states = parser.add_subparsers(dest="state", required=True)
    present = states.add_parser("present", help="open the port to the sources and nobody else")
    absent = states.add_parser("absent", help="take the guard away")
    for command in (present, absent):
        command.add_argument("name")
        command.add_argument("--check", action="store_true", help="only say what would change")
    present.add_argument("port", type=int)
    present.add_argument("sources", nargs="*", metavar="source", help="an address or a network")
    arguments = parser.parse_args(argv)
    try:
        result = answer(Host(), arguments)
    except FirewallError as error:
        result = {"error": str(error)}
    print(json.dumps(result))
    return 3 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main())
