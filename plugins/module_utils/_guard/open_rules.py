# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of others that let everybody reach a port of ours: find them, and remove those that are for one port alone."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._errors import GizziError
from . import iptables
from .connection import own_ports
from .host import Host, Seen, look
from .plan import LOCK_SECONDS
from .ufw import COMMENT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .ufw import UfwRule

UFW = "ufw"
_EVERYBODY = ("0.0.0.0/0", "::/0")
_MODULES = ("tcp", "comment", "state", "conntrack", "multiport")
_OPTIONS = {"-p", "-s", "-m", "--dport", "--dports", "--comment", "--state", "--ctstate", "-j"}
_STATES = {"NEW", "ESTABLISHED", "RELATED"}
# Written by iptables-save -c.
_COUNTERS = re.compile(r"^\[\d+:\d+\] ")


@dataclass(frozen=True)
class OpenRule:
    """A rule that lets everybody reach a TCP port.

    tool: iptables, ip6tables, ufw, or the path of a file that netfilter-persistent loads at boot.
    rule: the rule as the tool or the file has it; for ufw what follows ``ufw``, once for both IP versions.
    """

    tool: str
    port: int
    rule: str

    def __str__(self) -> str:
        return f"{self.tool}: {self.rule}"


@dataclass
class Result:
    """The rules that were removed, or would be; ``wider`` are those that only a person can remove."""

    rules: list[OpenRule]
    wider: list[OpenRule]


@dataclass(frozen=True)
class _Opened:
    """The ports that a rule opens to everybody; ``alone`` where it is for one port and is written in the plain way."""

    ranges: tuple[tuple[int, int], ...]
    alone: bool

    def port_of(self, ports: Sequence[int]) -> int | None:
        """Return the first of our ports that is open by the rule."""
        return next((port for port in ports if any(first <= port <= last for first, last in self.ranges)), None)


def open_rules(seen: Seen, ports: Sequence[int]) -> list[OpenRule]:
    """Return the rules for one of the TCP ports alone, each as often as it stands: those that remove() removes.

    An IP version whose rules cannot be seen (``seen.unseen``) has none here: the caller has to say so.
    """
    return [rule for rule, alone in _found(seen, ports) if alone]


def wider_rules(seen: Seen, ports: Sequence[int]) -> list[OpenRule]:
    """Return the rules that open more than one port, or are not plain: a person has to tell what else they are for."""
    return [rule for rule, alone in _found(seen, ports) if not alone]


def remove(host: Host, ports: Sequence[int], check: bool) -> Result:
    """Remove the open rules of some TCP ports, or only list them (check); GizziError when this is impossible.

    The saved files come first: after a reboot no rule comes back, and what is still live is found by the next run.
    """
    _check_ports(host, ports)
    with host.locked():
        seen = look(host)
        _check_seen(seen)
        result = Result(open_rules(seen, ports), wider_rules(seen, ports))
        if check or not result.rules:
            return result
        for version in iptables.PROGRAMS:
            _remove_saved(host, seen, version, ports)
        for version in iptables.PROGRAMS:
            _remove_live(host, seen, version, ports)
        for rule in result.rules:
            if rule.tool == UFW:
                host.run(("ufw", "delete", *rule.rule.split()))
        left = open_rules(look(host), ports)
    if left:
        raise GizziError(
            f"these rules are still there: {'; '.join(str(rule) for rule in left)}. Something puts them back, or "
            "holds them: see what does ('systemctl list-units', cron), end it, and run this again"
        )
    return result


def _check_ports(host: Host, ports: Sequence[int]) -> None:
    wrong = [str(port) for port in ports if not 1 <= port <= 65535]
    if wrong:
        raise GizziError(f"no TCP port: {', '.join(wrong)}. Name ports from 1 to 65535")
    own = own_ports(host.path("/proc"))
    for port in ports:
        if port in own:
            raise GizziError(
                f"port {port} is the one by which this host is reached by SSH: without its rule nobody could reach the "
                "host. Name the ports of the services"
            )


def _check_seen(seen: Seen) -> None:
    for version, reason in seen.unseen.items():
        raise GizziError(
            f"the rules of {iptables.PROGRAMS[version]} cannot be seen: {reason}. Nothing was changed. See the rules "
            "by 'nft list ruleset', remove by hand those that open the ports, and leave this task out"
        )


def _found(seen: Seen, ports: Sequence[int]) -> Iterator[tuple[OpenRule, bool]]:
    """Yield each rule, and whether it is for one port alone: of files, then live ones, then ufw's."""
    for version, path in iptables.SAVED_FILES.items():
        for line, in_filter in _saved_lines(seen.saved.get(path, "")):
            if in_filter:
                yield from _judged(path, line.strip(), _opened(line, version), ports)
    for version, program in iptables.PROGRAMS.items():
        for line in seen.listings.get(version, "").split("\n"):
            yield from _judged(program, line, _opened(line, version), ports)
    # ufw's command is for both IP versions.
    of_ufw: dict[tuple[OpenRule, bool], None] = {}
    for rules in seen.ufw.values():
        for rule in rules:
            of_ufw.update(dict.fromkeys(_judged(UFW, _ufw_words(rule), _opened_by_ufw(rule), ports)))
    yield from of_ufw


def _judged(tool: str, rule: str, opened: _Opened | None, ports: Sequence[int]) -> Iterator[tuple[OpenRule, bool]]:
    port = opened.port_of(ports) if opened else None
    if opened and port is not None:
        yield OpenRule(tool, port, rule), opened.alone


def _saved_lines(saved: str) -> Iterator[tuple[str, bool]]:
    """Yield each line of a saved rule set, and whether it is in the table filter."""
    table = ""
    for line in saved.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        yield line, table == "filter"


def _opened(line: str, version: int) -> _Opened | None:
    """Return what a rule of chain INPUT opens to everybody; None for every rule that is not such a one."""
    if "INPUT" not in line:
        return None
    try:
        chain, words = _words(line)
        pairs = list(zip(words[::2], words[1::2]))
        given = dict(pairs)
        if chain != "INPUT" or len(words) % 2 or not given.keys() <= _OPTIONS:
            return None
        if given.get("-p") not in ("tcp", "6") or given.get("-j") != "ACCEPT":
            return None
        if given.get("-s", _anywhere(version)) != _anywhere(version) or not all(map(_is_plain, pairs)):
            return None
        alone = "--dport" in given and "--dports" not in given
        ranges = tuple(iptables.port_ranges(given.get("--dport") or given["--dports"]))
    except (KeyError, ValueError):
        return None
    return _Opened(ranges, alone and len(ranges) == 1 and ranges[0][0] == ranges[0][1])


def _words(line: str) -> tuple[str, list[str]]:
    """Return the chain and the options of a rule; ValueError where the line adds none."""
    verb, chain, *words = shlex.split(_COUNTERS.sub("", line.strip()))
    if verb not in ("-A", "-I"):
        raise ValueError(line)
    return chain, words


def _anywhere(version: int) -> str:
    return _EVERYBODY[version == 6]


def _is_plain(option: tuple[str, str]) -> bool:
    """Return whether an option of a rule lets every new connection pass, and the rule is none of ours."""
    name, value = option
    if name == "-m":
        return value in _MODULES
    if name in ("--state", "--ctstate"):
        return "NEW" in value.split(",") and _STATES.issuperset(value.split(","))
    return name != "--comment" or not f"{value} ".startswith(COMMENT_PREFIX)


def _opened_by_ufw(rule: UfwRule) -> _Opened | None:
    """Return what a rule of ufw opens to everybody; None for every rule that is not such a one."""
    action, _underscore, logged = rule.action.partition("_")
    if action not in ("allow", "limit") or rule.comment.startswith(COMMENT_PREFIX) or len(rule.match) < 6:
        return None
    protocol, ports, to, source_port, source = rule.match[:5]
    everybody = to in _EVERYBODY and source in _EVERYBODY and source_port == "any" and rule.match[-1] == "in"
    if protocol not in ("tcp", "any") or not everybody or ports == "any":
        return None
    # More words name a profile of an application.
    alone = action == "allow" and not logged and len(rule.match) == 6 and ports.isdigit()
    return _Opened(tuple(iptables.port_ranges(ports)), alone)


def _ufw_words(rule: UfwRule) -> str:
    protocol, ports = rule.match[:2]
    return f"{rule.action.replace('_', ' ')} {ports}" + ("" if protocol == "any" else f"/{protocol}")


def _remove_saved(host: Host, seen: Seen, version: int, ports: Sequence[int]) -> None:
    path = iptables.SAVED_FILES[version]
    saved = seen.saved.get(path, "")

    def is_open(line: str, in_filter: bool) -> bool:
        return in_filter and any(alone for _rule, alone in _judged(path, line, _opened(line, version), ports))

    kept = "\n".join(line for line, in_filter in _saved_lines(saved) if not is_open(line, in_filter))
    if kept != saved:
        host.write(path, kept, host.path(path).stat().st_mode & 0o7777)


def _remove_live(host: Host, seen: Seen, version: int, ports: Sequence[int]) -> None:
    """Remove the live rules of one IP version in one transaction: all of them, or none."""
    program = iptables.PROGRAMS[version]
    lines = [rule.rule for rule in open_rules(seen, ports) if rule.tool == program]
    if lines:
        script = "\n".join(["*filter", *(line.replace("-A", "-D", 1) for line in lines), "COMMIT", ""])
        host.run((f"{program}-restore", "--noflush", "-w", LOCK_SECONDS), script)
