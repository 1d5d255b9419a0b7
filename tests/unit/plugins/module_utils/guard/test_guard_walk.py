# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What live rules do to a packet, out of what iptables and nft print."""

from __future__ import annotations

import ipaddress
import json

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard import iptables, nftables
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.walk import ACCEPT, REFUSE, UNSURE, Packet
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import BARE, guard, guarded, recorded

FLEET = Packet(4, 11434, ipaddress.ip_network("10.0.0.1"))
FLEET6 = Packet(6, 11434, ipaddress.ip_network("fd42::1"))


def outcome(rules: str, packet: Packet = FLEET) -> str:
    return iptables.parse(BARE + rules).outcome(packet)


class TestIptables:
    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            ("", ACCEPT),
            ("-A INPUT -j DROP", REFUSE),
            ("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 11434 -j ACCEPT\n-A INPUT -j DROP", ACCEPT),
            ("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j DROP", REFUSE),
            ("-A INPUT -p tcp -m tcp --dport 11000:12000 -j ACCEPT\n-A INPUT -j DROP", ACCEPT),
            ("-A INPUT -p tcp -m tcp --dport 12000: -j DROP", ACCEPT),
            ("-A INPUT -p tcp -m multiport --dports 22,11434 -j DROP", REFUSE),
            ("-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -j REJECT", REFUSE),
            ("-A INPUT -p udp -j DROP", ACCEPT),
            ("-A INPUT ! -s 10.0.0.0/24 -j DROP", ACCEPT),
            ("-A INPUT ! -s 10.2.0.0/24 -j DROP", REFUSE),
            ("-A INPUT ! -i lo -j DROP", REFUSE),
            # What cannot be told may refuse, and does not count as accepted.
            ("-A INPUT -i eth0 -j DROP", UNSURE),
            ("-A INPUT -m recent --update --seconds 60 -j DROP", UNSURE),
            ("-A INPUT -m limit --limit 3/min -j ACCEPT\n-A INPUT -j DROP", REFUSE),
            ('-A INPUT -m comment --comment "drop -j DROP" -j ACCEPT\n-A INPUT -j DROP', ACCEPT),
            ("-N a\n-A a -j RETURN\n-A a -j DROP\n-A INPUT -j a", ACCEPT),
            ("-N a\n-A a -j DROP\n-A INPUT -d 10.9.9.9/32 -j a", UNSURE),
            ("-N a\n-A a -p udp -j ACCEPT\n-A INPUT -g a\n-A INPUT -j DROP", ACCEPT),
            ("-A INPUT -j LOG --log-prefix x", ACCEPT),
        ],
    )
    def test_the_first_packet_of_a_source(self, rules: str, expected: str) -> None:
        assert outcome(rules) == expected

    def test_a_source_that_is_let_in_only_in_part_is_not_in(self) -> None:
        rules = "-A INPUT -s 10.0.0.1/32 -j ACCEPT\n-A INPUT -j DROP"
        assert outcome(rules, Packet(4, 11434, ipaddress.ip_network("10.0.0.0/24"))) == REFUSE

    def test_oracle_refuses_and_lets_the_host_itself_in(self) -> None:
        ruleset = iptables.parse(recorded("oracle.v4"))
        assert ruleset.outcome(FLEET) == REFUSE
        assert ruleset.outcome(Packet(4, 11434)) == ACCEPT
        assert ruleset.outcome(Packet(4, 22, FLEET.source)) == ACCEPT

    @pytest.mark.parametrize(("listing", "packet"), [("ufw.v4", FLEET), ("ufw.v6", FLEET6)])
    def test_ufw_lets_in_what_its_user_chain_does(self, listing: str, packet: Packet) -> None:
        text = recorded(listing)
        assert iptables.parse(text).outcome(packet) == ACCEPT
        assert iptables.parse(text).outcome(Packet(packet.version, packet.port)) == ACCEPT
        emptied = "".join(line for line in text.splitlines(keepends=True) if "-user-input -" not in line)
        assert iptables.parse(emptied).outcome(packet) == REFUSE


class TestNft:
    def test_a_live_table_is_read_back_as_the_guard(self) -> None:
        assert nftables.live(nftables.parse(guarded()), "ollama") == guard()
        assert nftables.live(nftables.parse(guarded()), "gizzi-api") is None

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"policy": "accept"', '"policy": "drop"'),
            ('"prio": -310', '"prio": 10'),
            ('"hook": "input"', '"hook": "forward"'),
            ('{"drop": null}', '{"accept": null}'),
            ('"10.0.0.1"', '"10.0.0.0/1"'),
            ('"right": "lo"', '"right": "eth0"'),
            ('{"jump": {"target": "guard"}}', '{"accept": null}'),
        ],
    )
    def test_a_table_that_was_changed_is_no_guard(self, old: str, new: str) -> None:
        assert old in guarded()
        assert nftables.live(nftables.parse(guarded().replace(old, new)), "ollama") is None

    def test_a_table_that_somebody_added_to_is_no_guard(self) -> None:
        listed = json.loads(guarded())
        rule = {"family": "inet", "table": "gizzi-ollama", "chain": "input", "expr": [{"accept": None}]}
        listed["nftables"].append({"rule": rule})
        assert nftables.live(nftables.parse(json.dumps(listed)), "ollama") is None

    def test_the_script_makes_it_anew_in_one_transaction(self) -> None:
        assert nftables.script(guard(["10.0.0.1", "fd43::/64"])) == (
            "table inet gizzi-ollama\n"
            "delete table inet gizzi-ollama\n"
            "table inet gizzi-ollama {\n"
            "\tchain input {\n"
            "\t\ttype filter hook input priority -310; policy accept;\n"
            "\t\ttcp dport 11434 jump guard\n"
            "\t}\n"
            "\tchain guard {\n"
            '\t\tiifname "lo" accept\n'
            "\t\tip saddr 10.0.0.1 accept\n"
            "\t\tip6 saddr fd43::/64 accept\n"
            "\t\tdrop\n"
            "\t}\n"
            "}\n"
        )

    @pytest.mark.parametrize("text", ["", "{}", '{"nftables": [{"chain": {}}]}', "[]"])
    def test_what_is_not_understood_is_an_error(self, text: str) -> None:
        with pytest.raises(GizziError, match="not understood"):
            nftables.parse(text)

    @pytest.mark.parametrize(
        ("packet", "expected"),
        [
            (FLEET, {}),
            (Packet(4, 11434), {}),
            (FLEET6, {}),
            (Packet(4, 11434, ipaddress.ip_network("192.0.2.1")), {"table ip filter, chain INPUT": UNSURE}),
            (Packet(4, 22, ipaddress.ip_network("192.0.2.1")), {}),
        ],
    )
    def test_a_filter_of_others(self, packet: Packet, expected: dict[str, str]) -> None:
        assert nftables.others(nftables.parse(recorded("native.json")), packet, by_iptables=False) == expected

    def test_what_iptables_lists_is_left_to_it(self) -> None:
        stranger = Packet(4, 11434, ipaddress.ip_network("192.0.2.1"))
        assert nftables.others(nftables.parse(recorded("native.json")), stranger, by_iptables=True) == {}

    @pytest.mark.parametrize(
        ("expressions", "expected"),
        [
            ([{"drop": None}], REFUSE),
            ([{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}, {"drop": None}], ACCEPT),
            ([{"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv6"}}, {"drop": None}], ACCEPT),
            ([{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "invalid"}}, {"drop": None}], ACCEPT),
            ([{"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"drop": None}], REFUSE),
            (
                [
                    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@bad"}},
                    {"drop": None},
                ],
                UNSURE,
            ),
            ([{"limit": {"rate": 1}}, {"drop": None}], UNSURE),
            ([{"counter": {"packets": 1}}, {"log": None}], ACCEPT),
            ([{"xt": {"type": "match", "name": "set"}}], UNSURE),
        ],
    )
    def test_rules_of_others(self, expressions: list[object], expected: str) -> None:
        base = {"family": "inet", "table": "host"}
        objects = [
            {"table": {"family": "inet", "name": "host"}},
            {"chain": {**base, "name": "in", "hook": "input", "type": "filter", "prio": 0, "policy": "accept"}},
            {"rule": {**base, "chain": "in", "expr": expressions}},
        ]
        found = nftables.others(nftables.parse(json.dumps({"nftables": objects})), FLEET, by_iptables=True)
        assert found == ({} if expected == ACCEPT else {"table inet host, chain in": expected})
