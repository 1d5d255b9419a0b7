# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rules let everybody reach a port, and are for that port alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._guard import ufw
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.open_rules import OpenRule, open_rules, wider_rules
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import BARE, recorded, seen_of

PORTS = (11434, 8080)
OPENED = "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT"
ORACLE = Path(__file__).parents[5] / "molecule/firewall/files/oracle-rules.v4"
V4, V6 = "/etc/iptables/rules.v4", "/etc/iptables/rules.v6"


def of_listing(rule: str) -> list[OpenRule]:
    return open_rules(seen_of(v4=f"{BARE}{rule}\n"), PORTS)


def of_ufw(*tuples: str) -> tuple[list[str], list[str]]:
    seen = seen_of()
    for version in (4, 6):
        lines = (f"### tuple ### {line}" for line in tuples if ("::/0" in line) == (version == 6))
        seen.ufw[version] = ufw.parse("\n".join(lines))
    return [one.rule for one in open_rules(seen, PORTS)], [one.rule for one in wider_rules(seen, PORTS)]


def test_live_rules_of_both_ip_versions_each_as_often_as_it_stands() -> None:
    seen = seen_of(v4=recorded("opened.v4"), v6=f"{BARE}{OPENED}\n")
    found = open_rules(seen, PORTS)
    assert [(rule.tool, rule.port) for rule in found] == [
        ("iptables", 8080),
        *[("iptables", 11434)] * 3,
        ("ip6tables", 11434),
    ]
    assert found[0].rule.endswith('--state NEW,ESTABLISHED -m comment --comment "open ollama api" -j ACCEPT')
    assert found[1] == found[2] == OpenRule("iptables", 11434, OPENED)
    assert [rule.rule.split("--dport")[1] for rule in wider_rules(seen, PORTS)] == [
        "s 80,11434 -j ACCEPT",
        " 11000:12000 -j ACCEPT",
    ]


def test_only_the_given_ports() -> None:
    assert [rule.port for rule in open_rules(seen_of(v4=recorded("opened.v4")), [8080])] == [8080]
    assert open_rules(seen_of(v4=recorded("opened.v4")), [9090]) == []


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT ! -s 10.0.0.1/32 -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -d 10.0.0.1/32 -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -i eth0 -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m tcp ! --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --sport 11434 -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 11434 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA",
        "-A INPUT -p tcp -m tcp --dport 11434 -g other",
        "-A FORWARD -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A OUTPUT -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m limit --limit 3/min -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m conntrack ! --ctstate NEW -m tcp --dport 11434 -j ACCEPT",
        '-A INPUT -p tcp -m tcp --dport 11434 -m comment --comment "gizzi ollama" -j ACCEPT',
        "-A INPUT -p tcp -m tcp --dport 11434 -m comment --comment gizzi -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 11434",
        "-A INPUT -p tcp -m tcp --dport ollama -j ACCEPT",
        "-A INPUT -p tcp -j ACCEPT",
        "-A INPUT -j ACCEPT",
        '-A INPUT -p tcp --dport 11434 -m comment --comment "unclosed -j ACCEPT',
        "-N INPUT-11434",
        "-A INPUT",
    ],
)
def test_all_others_are_left_alone(rule: str) -> None:
    assert of_listing(rule) == []
    assert wider_rules(seen_of(v4=f"{BARE}{rule}\n"), PORTS) == []


@pytest.mark.parametrize(
    "rule",
    [
        OPENED,
        "-A INPUT -s 0.0.0.0/0 -p tcp -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p 6 --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m state --state NEW -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m conntrack --ctstate NEW,RELATED,ESTABLISHED -m tcp --dport 11434 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 11434 -m comment --comment gizzi-by-hand -j ACCEPT",
    ],
)
def test_ways_to_write_the_rule(rule: str) -> None:
    assert of_listing(rule) == [OpenRule("iptables", 11434, rule)]


def test_saved_files() -> None:
    rule = "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT"
    seen = seen_of()
    seen.saved = {
        V4: ORACLE.read_text(encoding="utf-8").replace("-A INPUT -m state", f"{rule}\n-A INPUT -m state"),
        V6: f"# It's saved\n*mangle\n{rule}\nCOMMIT\n*filter\n[3:180] {rule}\n"
        "-I INPUT -p tcp --dport 8080 -j ACCEPT\r\nCOMMIT\n",
    }
    assert open_rules(seen, PORTS) == [
        OpenRule(V4, 11434, rule),
        OpenRule(V6, 11434, f"[3:180] {rule}"),
        OpenRule(V6, 8080, "-I INPUT -p tcp --dport 8080 -j ACCEPT"),
    ]


def test_oracles_own_rules_are_none() -> None:
    seen = seen_of(v4=recorded("oracle.v4"))
    seen.saved = {V4: ORACLE.read_text(encoding="utf-8")}
    assert open_rules(seen, [*PORTS, 3260, 80]) == []
    assert wider_rules(seen, [*PORTS, 3260, 80]) == []


def test_ufw_has_one_for_both_ip_versions() -> None:
    seen = seen_of(ufw=True)
    assert open_rules(seen, PORTS) == [OpenRule("ufw", 11434, "allow 11434/tcp")]
    del seen.ufw[4]
    assert open_rules(seen, PORTS) == [OpenRule("ufw", 11434, "allow 11434/tcp")]


def test_ways_of_ufw() -> None:
    assert of_ufw(
        "allow any 11434 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow tcp 8080 ::/0 any ::/0 in comment=6f6c6c616d61",
    ) == (["allow 11434", "allow 8080/tcp"], [])


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("allow tcp 80,11434 0.0.0.0/0 any 0.0.0.0/0 in", "allow 80,11434/tcp"),
        ("allow tcp 11434:11435 ::/0 any ::/0 in", "allow 11434:11435/tcp"),
        ("limit tcp 11434 0.0.0.0/0 any 0.0.0.0/0 in", "limit 11434/tcp"),
        ("allow_log tcp 11434 0.0.0.0/0 any 0.0.0.0/0 in", "allow log 11434/tcp"),
        ("allow tcp 11434 0.0.0.0/0 any 0.0.0.0/0 Ollama - in", "allow 11434/tcp"),
    ],
)
def test_what_ufw_opens_in_another_way_is_for_a_person(rule: str, shown: str) -> None:
    assert of_ufw(rule) == ([], [shown])


@pytest.mark.parametrize(
    "rule",
    [
        "allow tcp 11434 0.0.0.0/0 any 10.0.0.0/8 in",
        "allow tcp 11434 10.0.0.1 any 0.0.0.0/0 in",
        "allow tcp 11434 0.0.0.0/0 5000 0.0.0.0/0 in",
        "allow tcp 11434 0.0.0.0/0 any 0.0.0.0/0 in_eth0",
        "allow tcp 11434 0.0.0.0/0 any 0.0.0.0/0 out",
        "route:allow tcp 11434 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow udp 11434 0.0.0.0/0 any 0.0.0.0/0 in",
        "deny tcp 11434 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow any any 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow tcp 11434 0.0.0.0/0 any 0.0.0.0/0 in comment=67697a7a69206f6c6c616d61",
    ],
)
def test_other_rules_of_ufw_are_left_alone(rule: str) -> None:
    assert of_ufw(rule) == ([], [])
