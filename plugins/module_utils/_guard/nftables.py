# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nftables: a guard's table, and the effect of other chains, from the output of ``nft -j list ruleset``."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._errors import GizziError
from .values import Guard, parse_source, plain
from .walk import (
    ACCEPT,
    GO_ON,
    GOTO,
    JUMP,
    REFUSE,
    RETURN,
    UNSURE,
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
    from collections.abc import Mapping, Sequence

TABLE_PREFIX = "gizzi-"
# Before conntrack (-200), raw (-300) and every filter (0). A later chain cannot accept what this chain drops.
PRIORITY = -310
# Tables that iptables uses: ``iptables -S`` shows more of them than nft, which shows many of their rules as "xt".
_FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}
_IPTABLES = {4: ("ip", "filter"), 6: ("ip6", "filter")}
_VERDICTS = {"accept": ACCEPT, "drop": REFUSE, "reject": REFUSE, "queue": REFUSE, "return": RETURN}
_HARMLESS = ("counter", "log", "comment", "mangle", "notrack", "meta", "continue")


@dataclass(frozen=True)
class Chain:
    """A chain of the live rules."""

    name: str
    rules: tuple[Any, ...]
    hook: str = ""
    kind: str = ""
    priority: int = 0
    policy: str = "accept"


# (family, table) -> its chains
Tables = dict[tuple[str, str], dict[str, Chain]]


def parse(text: str) -> Tables:
    """Parse the output of ``nft -j list ruleset``; GizziError for any other text."""
    try:
        objects = json.loads(text)["nftables"]
        tables: Tables = {}
        for item in _of(objects, "table"):
            tables[item["family"], item["name"]] = {}
        for item in _of(objects, "chain"):
            where = item["family"], item["table"], item["name"]
            rules = [r for r in _of(objects, "rule") if (r["family"], r["table"], r["chain"]) == where]
            tables[where[:2]][where[2]] = Chain(
                where[2],
                tuple(rule.get("expr", []) for rule in rules),
                str(item.get("hook", "")),
                str(item.get("type", "")),
                int(item.get("prio", 0)),
                str(item.get("policy", "accept")),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise GizziError(f"what nft lists is not understood: {error!r}") from error
    return tables


def _of(objects: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item[kind] for item in objects if kind in item]


# --- the guard's table


def table_of(name: str) -> str:
    """Return the name of a guard's table."""
    return TABLE_PREFIX + name


def script(wanted: Guard) -> str:
    """Return input for ``nft -f`` that makes or replaces a guard's table in one transaction."""
    table = f"table inet {table_of(wanted.name)}"
    return f"{table}\ndelete {table}\n{shown(wanted)}"


def removal(name: str) -> str:
    """Return input for ``nft -f`` that removes a guard's table."""
    return f"delete table inet {table_of(name)}\n"


def shown(wanted: Guard) -> str:
    """Return a guard's table in the form of ``nft list``."""
    families = {4: "ip", 6: "ip6"}
    allowed = [f"\t\t{families[source.version]} saddr {plain(source)} accept\n" for source in wanted.sources]
    return (
        f"table inet {table_of(wanted.name)} {{\n"
        "\tchain input {\n"
        f"\t\ttype filter hook input priority {PRIORITY}; policy accept;\n"
        f"\t\ttcp dport {wanted.port} jump guard\n"
        "\t}\n"
        "\tchain guard {\n"
        '\t\tiifname "lo" accept\n'
        f"{''.join(allowed)}"
        "\t\tdrop\n"
        "\t}\n"
        "}\n"
    )


def names(tables: Tables) -> set[str]:
    """Return the names of the guards that have a table."""
    return {table[len(TABLE_PREFIX) :] for family, table in tables if _is_ours(family, table)}


def _is_ours(family: str, table: str) -> bool:
    return family == "inet" and table.startswith(TABLE_PREFIX)


def live(tables: Tables, name: str) -> Guard | None:
    """Return the guard of a table; None where there is no table or it differs from the form that ``script`` makes."""
    chains = tables.get(("inet", table_of(name)), {})
    try:
        port = chains["input"].rules[0][0]["match"]["right"]
        sources = [_source(expressions[0]["match"]["right"]) for expressions in chains["guard"].rules[1:-1]]
        found = Guard(name, int(port), tuple(map(parse_source, sources)))
    except (GizziError, KeyError, IndexError, TypeError, ValueError):
        return None
    return found if chains == _chains(found) else None


def _source(value: Any) -> str:
    return value if isinstance(value, str) else f"{value['prefix']['addr']}/{value['prefix']['len']}"


def _chains(wanted: Guard) -> dict[str, Chain]:
    """Return a guard's table as ``parse`` returns it."""
    jump = [_match({"payload": {"protocol": "tcp", "field": "dport"}}, wanted.port), {"jump": {"target": "guard"}}]
    rules = [[_match({"meta": {"key": "iifname"}}, "lo"), {"accept": None}]]
    for source in wanted.sources:
        address: Any = str(source.network_address)
        if source.prefixlen < source.max_prefixlen:
            address = {"prefix": {"addr": address, "len": source.prefixlen}}
        protocol = "ip" if source.version == 4 else "ip6"
        rules.append([_match({"payload": {"protocol": protocol, "field": "saddr"}}, address), {"accept": None}])
    return {
        "input": Chain("input", (jump,), "input", "filter", PRIORITY),
        "guard": Chain("guard", (*rules, [{"drop": None}])),
    }


def _match(left: dict[str, Any], right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def has_chain(tables: Tables, version: int, chain: str) -> bool:
    """Return whether the table that iptables uses for an IP version has this chain."""
    return chain in tables.get(_IPTABLES[version], {})


def has_filter(tables: Tables, version: int) -> bool:
    """Return whether nft shows the table that iptables uses for an IP version."""
    return _IPTABLES[version] in tables


# --- chains of others


def others(tables: Tables, packet: Packet, by_iptables: bool) -> dict[str, str]:
    """Return the results of other base chains for an incoming packet, by chain, without those that accept it.

    ``by_iptables``: skip the tables that iptables uses, because its own listing shows more.
    """
    found = {}
    for (family, table), chains in tables.items():
        listed = by_iptables and (family, table) == _IPTABLES[packet.version]
        if family not in _FAMILIES[packet.version] or _is_ours(family, table) or listed:
            continue
        rules = {chain.name: [_rule(expressions) for expressions in chain.rules] for chain in chains.values()}
        for chain in chains.values():
            if (chain.hook, chain.kind) != ("input", "filter"):
                continue
            outcome = walk(rules, chain.name, packet)
            if outcome == GO_ON:
                outcome = ACCEPT if chain.policy == "accept" else REFUSE
            if outcome != ACCEPT:
                found[f"table {family} {table}, chain {chain.name}"] = outcome
    return found


def _rule(expressions: Sequence[Mapping[str, Any]]) -> Rule:
    checks: list[Check] = []
    for expression in expressions:
        for key, value in expression.items():
            if key == "match":
                checks.append(_check(value))
            elif key in _VERDICTS:
                return Rule(tuple(checks), _VERDICTS[key])
            elif key in ("jump", "goto"):
                return Rule(tuple(checks), JUMP if key == "jump" else GOTO, value["target"])
            elif key in ("vmap", "xt"):
                return Rule((*checks, always(None)), UNSURE)
            elif key not in _HARMLESS:
                checks.append(always(None))
    return Rule(tuple(checks), GO_ON)


def _check(match: Mapping[str, Any]) -> Check:
    left, operator = match["left"], match["op"]
    right = match["right"]
    values = right["set"] if isinstance(right, dict) and "set" in right else right
    values = values if isinstance(values, list) else [values]
    try:
        check = _reader(left, values)
    except (AttributeError, KeyError, TypeError, ValueError):
        return always(None)
    if operator == "!=":
        return negated(check)
    return check if operator in ("==", "in") else always(None)


def _reader(left: Mapping[str, Any], values: Sequence[Any]) -> Check:
    payload = left.get("payload", {})
    asked = payload.get("protocol"), payload.get("field")
    key = left.get("meta", {}).get("key")
    if asked == ("tcp", "dport"):
        return to_ports([_range(value) for value in values])
    if asked in (("udp", "dport"), ("udp", "sport")):
        return always(False)
    if asked in (("ip", "saddr"), ("ip6", "saddr")):
        return from_networks([ipaddress.ip_network(_source(value)) for value in values])
    if key in ("iif", "iifname"):
        return by_interface(str(values[0])) if len(values) == 1 else always(None)
    if key == "l4proto":
        return always(any(value in ("tcp", 6) for value in values))
    if key == "nfproto":
        return lambda packet: f"ipv{packet.version}" in values
    if left.get("ct", {}).get("key") == "state":
        return always("new" in values)
    return always(None)


def _range(value: Any) -> tuple[int, int]:
    if isinstance(value, dict):
        first, last = value["range"]
        return int(first), int(last)
    return int(value), int(value)
