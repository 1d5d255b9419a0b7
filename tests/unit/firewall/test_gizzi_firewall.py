"""The program that role firewall installs: what it reads, and the commands that it makes of it."""

from __future__ import annotations

import argparse
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path

import gizzi_firewall as firewall
import pytest

BARE = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
ORACLE = """\
-P INPUT ACCEPT
-P FORWARD ACCEPT
-P OUTPUT ACCEPT
-N InstanceServices
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m tcp --dport 80 -m comment --comment "See the images section" -j ACCEPT
"""
UFW = """\
-P INPUT DROP
-N ufw-before-input
-N ufw-user-input
-A INPUT -j ufw-before-logging-input
-A INPUT -j ufw-before-input
"""
SOURCES = ("10.0.0.2", "10.0.0.1", "10.1.0.0/16", "fd42::1")
GUARDED = """\
-P INPUT ACCEPT
-P FORWARD ACCEPT
-P OUTPUT ACCEPT
-N GIZZI-OLLAMA
-A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA
-A GIZZI-OLLAMA -i lo -j ACCEPT
-A GIZZI-OLLAMA -s 10.0.0.1/32 -j ACCEPT
-A GIZZI-OLLAMA -s 10.0.0.2/32 -j ACCEPT
-A GIZZI-OLLAMA -s 10.1.0.0/16 -j ACCEPT
-A GIZZI-OLLAMA -j DROP
"""


def guard(sources: Sequence[str] = SOURCES, port: int = 11434, name: str = "ollama") -> firewall.Guard:
    return firewall.parse_guard(name, port, sources)


class TestValues:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("FD42:0::1", "fd42::1/128"),
            ("fc00::/7", "fc00::/7"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/120", "10.0.0.0/24"),
        ],
    )
    def test_a_source_is_a_network(self, written: str, meant: str) -> None:
        assert str(firewall.parse_source(written)) == meant

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("validator07", "not an IP address or CIDR"),
            ("", "not an IP address or CIDR"),
            ("10.0.0.1/33", "not an IP address or CIDR"),
            ("10.0.0.1 -j ACCEPT", "not an IP address or CIDR"),
            ("0.0.0.0/0", "to everybody"),
            ("0.0.0.0", "to everybody"),
            ("128.0.0.0/1", "to everybody"),
            ("::/0", "to everybody"),
            ("::ffff:0:0/96", "to everybody"),
            ("2000::/3", "to everybody"),
            ("10.0.0.1/24", "write 10.0.0.0/24 for the network or 10.0.0.1 for the host"),
            ("fe80::1%eth0", "has a zone"),
        ],
    )
    def test_a_wrong_source_is_named_with_its_remedy(self, source: str, reason: str) -> None:
        with pytest.raises(firewall.FirewallError, match=reason) as error:
            firewall.parse_source(source)
        assert repr(source) in str(error.value) or "::ffff" in source

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        with pytest.raises(firewall.FirewallError) as error:
            guard(["one", "two"], port=0, name="Ollama")
        for value in ["'one'", "'two'", "port 0", "'Ollama'"]:
            assert value in str(error.value)

    @pytest.mark.parametrize("name", ["a", "ollama", "gizzi-api", "a234567890123456"])
    def test_names(self, name: str) -> None:
        firewall.check_name(name)

    @pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "A", "a b", "a2345678901234567", "ü", "a\n"])
    def test_wrong_names(self, name: str) -> None:
        with pytest.raises(firewall.FirewallError, match="not usable"):
            firewall.check_name(name)

    def test_a_source_counts_once(self) -> None:
        assert guard(["10.0.0.1", "10.0.0.1/32", "::ffff:10.0.0.1"]).sources == guard(["10.0.0.1"]).sources


class TestIptables:
    def test_a_new_guard_is_one_transaction_at_the_top(self) -> None:
        assert firewall.iptables_script(ORACLE, "ollama", guard(), 4) == (
            "*filter\n"
            ":GIZZI-OLLAMA - [0:0]\n"
            "-I INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n"
            "-A GIZZI-OLLAMA -i lo -j ACCEPT\n"
            "-A GIZZI-OLLAMA -s 10.0.0.1/32 -j ACCEPT\n"
            "-A GIZZI-OLLAMA -s 10.0.0.2/32 -j ACCEPT\n"
            "-A GIZZI-OLLAMA -s 10.1.0.0/16 -j ACCEPT\n"
            "-A GIZZI-OLLAMA -j DROP\n"
            "COMMIT\n"
        )

    def test_each_family_gets_its_own_sources(self) -> None:
        script = firewall.iptables_script(BARE, "ollama", guard(), 6)
        assert [line for line in script.splitlines() if " -s " in line] == ["-A GIZZI-OLLAMA -s fd42::1/128 -j ACCEPT"]

    def test_no_sources_means_nobody(self) -> None:
        script = firewall.iptables_script(BARE, "ollama", guard([]), 4)
        assert script.splitlines()[-3:] == ["-A GIZZI-OLLAMA -i lo -j ACCEPT", "-A GIZZI-OLLAMA -j DROP", "COMMIT"]

    def test_what_is_right_is_left_alone(self) -> None:
        assert firewall.iptables_script(GUARDED, "ollama", guard(), 4) == ""

    def test_other_guards_may_be_in_front_and_nobody_else(self) -> None:
        jump = "-A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n"
        other_guard = "-A INPUT -p tcp -m tcp --dport 8080 -j GIZZI-API\n"
        accept = "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT\n"
        assert firewall.iptables_script(GUARDED.replace(jump, other_guard + jump), "ollama", guard(), 4) == ""
        script = firewall.iptables_script(GUARDED.replace(jump, accept + jump), "ollama", guard(), 4)
        assert jump.replace("-A", "-D", 1) + jump.replace("-A", "-I", 1) in script

    @pytest.mark.parametrize(
        ("wanted", "new"),
        [
            (guard(["10.0.0.1", "10.0.0.2"]), "--dport 11434"),
            (guard([*SOURCES, "10.0.0.3"]), "-s 10.0.0.3/32"),
            (guard(port=8080), "-I INPUT -p tcp -m tcp --dport 8080"),
        ],
    )
    def test_any_difference_rebuilds_our_chain(self, wanted: firewall.Guard, new: str) -> None:
        script = firewall.iptables_script(GUARDED, "ollama", wanted, 4)
        assert script.startswith(
            "*filter\n:GIZZI-OLLAMA - [0:0]\n-D INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n"
        )
        assert new in script

    def test_two_jumps_become_one(self) -> None:
        jump = "-A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n"
        script = firewall.iptables_script(GUARDED.replace(jump, jump * 2), "ollama", guard(), 4)
        assert script.count("-D INPUT") == 2
        assert script.count("-I INPUT") == 1

    def test_removal_takes_every_reference_and_the_chain(self) -> None:
        listing = GUARDED + "-A FORWARD -p tcp -j GIZZI-OLLAMA\n-N GIZZI-OLLAMA-2\n-A INPUT -j GIZZI-OLLAMA-2\n"
        assert firewall.iptables_script(listing, "ollama", None, 4).splitlines() == [
            "*filter",
            ":GIZZI-OLLAMA - [0:0]",
            "-D INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA",
            "-D FORWARD -p tcp -j GIZZI-OLLAMA",
            "-X GIZZI-OLLAMA",
            "COMMIT",
        ]

    def test_nothing_to_remove(self) -> None:
        assert firewall.iptables_script(ORACLE, "ollama", None, 4) == ""

    def test_saved_rules_lose_only_our_lines(self) -> None:
        ours = [
            ":GIZZI-OLLAMA - [0:0]\n",
            "[12:720] -A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n",
            "-A GIZZI-OLLAMA -s 10.0.0.1/32 -j ACCEPT\n",
            "-A GIZZI-OLLAMA -j DROP\n",
        ]
        theirs = [
            "# GIZZI-OLLAMA is kept by its own unit\n",
            "*filter\n",
            ":GIZZI-OLLAMA-2 - [0:0]\n",
            "-A INPUT -j GIZZI-OLLAMA-2\n",
            '-A INPUT -m comment --comment "as GIZZI-OLLAMA" -j ACCEPT\n',
            "COMMIT",
        ]
        mixed = [line for pair in itertools.zip_longest(theirs, ours, fillvalue="") for line in pair]
        assert firewall.without_chain("".join(mixed), "ollama") == "".join(theirs)


OPEN_TO_ALL = firewall.UfwRule("allow", ("tcp", "11434", "0.0.0.0/0", "any", "0.0.0.0/0", "in"), "")
SSH = firewall.UfwRule("allow", ("tcp", "22", "0.0.0.0/0", "any", "0.0.0.0/0", "in"), "")


def follow(rules: Sequence[firewall.UfwRule], steps: Sequence[firewall.Step]) -> list[firewall.UfwRule]:
    """Do what ufw does with one family's rules."""
    result = list(rules)
    for step in steps:
        # ufw prepend allow proto tcp from SOURCE to any port PORT comment COMMENT
        assert step.argv[0] == "ufw"
        verb, action, protocol, source, port, comment = (step.argv[place] for place in (1, 2, 4, 6, 10, 12))
        rule = firewall.UfwRule(action, (protocol, port, "0.0.0.0/0", "any", source, "in"), comment)
        if verb == "delete":
            result.remove(rule)
        else:
            assert verb == "prepend"
            assert rule.match not in {other.match for other in result}, "ufw would skip it"
            result.insert(0, rule)
    return result


class TestUfw:
    def test_the_rules_are_in_front_of_what_was_there(self) -> None:
        after = follow([SSH, OPEN_TO_ALL], firewall.ufw_steps([SSH, OPEN_TO_ALL], "ollama", guard(), 4))
        assert [(rule.action, rule.source) for rule in after] == [
            ("allow", "10.0.0.1"),
            ("allow", "10.0.0.2"),
            ("allow", "10.1.0.0/16"),
            ("deny", "0.0.0.0/1"),
            ("deny", "128.0.0.0/1"),
            ("allow", "0.0.0.0/0"),
            ("allow", "0.0.0.0/0"),
        ]

    def test_nobody_is_let_in_before_everybody_is_kept_out(self) -> None:
        assert [step.argv[2] for step in firewall.ufw_steps([], "ollama", guard(), 4)] == [
            "deny",
            "deny",
            *["allow"] * 3,
        ]

    def test_from_any_order_to_the_right_one_and_no_further(self) -> None:
        stale = firewall.ufw_rules(guard(["10.9.9.9"], port=8080), 4)[0]
        rules = [*firewall.ufw_rules(guard(["10.0.0.1"]), 4), OPEN_TO_ALL, stale]
        wanted = guard(["10.0.0.1", "10.0.0.2"])
        for before in itertools.permutations(rules):
            after = follow(before, firewall.ufw_steps(before, "ollama", wanted, 4))
            assert {rule.source for rule in after[:2]} == {"10.0.0.1", "10.0.0.2"}
            assert [rule.action for rule in after] == ["allow", "allow", "deny", "deny", "allow"]
            assert after[-1] == OPEN_TO_ALL
            assert firewall.ufw_steps(after, "ollama", wanted, 4) == []

    def test_adding_and_removing_a_source_leaves_the_others_where_they_are(self) -> None:
        before = [*firewall.ufw_rules(guard(["10.0.0.1", "10.0.0.2"]), 4), SSH]
        steps = firewall.ufw_steps(before, "ollama", guard(["10.0.0.1", "10.0.0.3"]), 4)
        assert [step.summary for step in steps] == [
            "ufw prepend allow proto tcp from 10.0.0.3 to any port 11434 comment 'gizzi ollama'",
            "ufw delete allow proto tcp from 10.0.0.2 to any port 11434 comment 'gizzi ollama'",
        ]

    def test_removal_takes_only_what_is_ours(self) -> None:
        other = firewall.ufw_rules(guard(name="ollama-2", port=8080), 4)
        before = [*other, *firewall.ufw_rules(guard(), 4), OPEN_TO_ALL]
        assert follow(before, firewall.ufw_steps(before, "ollama", None, 4)) == [*other, OPEN_TO_ALL]

    def test_somebody_elses_rule_of_the_same_kind_is_not_taken_over(self) -> None:
        theirs = firewall.UfwRule("allow", ("tcp", "11434", "0.0.0.0/0", "any", "10.0.0.1", "in"), "by hand")
        with pytest.raises(firewall.FirewallError, match="ufw delete allow proto tcp from"):
            firewall.ufw_steps([theirs], "ollama", guard(), 4)

    def test_reading_what_ufw_wrote(self) -> None:
        rules = firewall.parse_ufw(
            "*filter\n"
            "### tuple ### allow tcp 11434 ::/0 any fd42:0::1 in comment=67697a7a69206f6c6c616d61\n"
            "-A ufw6-user-input -p tcp --dport 11434 -s fd42::1 -j ACCEPT\n"
            "### tuple ### allow tcp 22 ::/0 any ::/0 OpenSSH - in\n"
            "### tuple ### limit_log udp 99 ::/0 any ::/0 in_eth0\n"
            "### tuple ### route:allow tcp 80 ::/0 any ::/0 in_eth0!out_eth1\n"
            "### tuple ### deny tcp 25 ::/0 any ::/0 out\n"
        )
        assert [(rule.action, rule.match[1], rule.source) for rule in rules] == [
            ("allow", "11434", "fd42::1"),
            ("allow", "22", "::/0"),
            ("limit_log", "99", "::/0"),
        ]
        assert [rule.is_ours("ollama") for rule in rules] == [True, False, False]
        assert rules[0] in firewall.ufw_rules(guard(), 6)

    @pytest.mark.parametrize(
        ("listing", "reached"),
        [
            (UFW, True),
            (BARE, False),
            (ORACLE, False),
            (ORACLE + "-A INPUT -j ufw-before-input\n", False),
            ("-A INPUT -p tcp -j REJECT\n-A INPUT -j GIZZI-OLLAMA\n" + UFW, True),
        ],
    )
    def test_behind_a_final_verdict_ufw_is_not_reached(self, listing: str, reached: bool) -> None:
        assert firewall.ufw_is_reached(listing) is reached


class FakeHost(firewall.Host):
    """A host of files under a folder, and of answers to commands."""

    def __init__(self, root: Path, tools: Sequence[str] = ("iptables",), ufw: str = "inactive") -> None:
        super().__init__(root)
        self.tools = set(tools)
        self.ufw = ufw
        self.listings = {"iptables": BARE, "ip6tables": BARE}
        self.ran: list[str] = []
        self.write("/proc/net/if_inet6", "lo\n")
        self.write("/etc/default/ufw", "IPV6=yes\n")

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def has(self, tool: str) -> bool:
        return tool in self.tools

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        if argv[1:] == ["-S"]:
            if argv[0] not in self.listings:
                raise firewall.FirewallError(f"{argv[0]} -S failed")
            return self.listings[argv[0]]
        if list(argv) == ["ufw", "status"]:
            return f"Status: {self.ufw}\n"
        self.ran.append(shlex.join(argv))
        return ""


def programs(plan: firewall.Plan) -> list[str]:
    return [step.argv[0] if step.argv else step.path for step in plan.steps]


class TestPlan:
    def test_without_ufw_it_is_iptables_in_both_families(self, tmp_path: Path) -> None:
        plan = firewall.make_plan(FakeHost(tmp_path), "ollama", guard())
        assert (plan.backend, programs(plan)) == ("iptables", ["iptables-restore", "ip6tables-restore"])

    def test_without_iptables_it_is_missing(self, tmp_path: Path) -> None:
        plan = firewall.make_plan(FakeHost(tmp_path, tools=()), "ollama", guard())
        assert (plan.missing, plan.steps) == (["iptables"], [])

    def test_without_iptables_there_is_nothing_to_remove(self, tmp_path: Path) -> None:
        plan = firewall.make_plan(FakeHost(tmp_path, tools=()), "ollama", None)
        assert (plan.missing, plan.steps) == ([], [])

    def test_a_kernel_without_ipv6_needs_no_guard_there(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path)
        del host.listings["ip6tables"]
        host.write("/proc/net/if_inet6", "")
        assert programs(firewall.make_plan(host, "ollama", guard())) == ["iptables-restore"]

    def test_ipv6_that_cannot_be_guarded_is_an_error(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path)
        del host.listings["ip6tables"]
        with pytest.raises(firewall.FirewallError, match="ip6tables -S failed"):
            firewall.make_plan(host, "ollama", guard())

    def test_active_ufw_takes_over_from_the_chains(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path, tools=("iptables", "ufw"), ufw="active")
        host.listings = {"iptables": GUARDED + UFW, "ip6tables": UFW}
        host.write("/etc/iptables/rules.v4", ":GIZZI-OLLAMA - [0:0]\n:INPUT ACCEPT [0:0]\n")
        plan = firewall.make_plan(host, "ollama", guard())
        assert plan.backend == "ufw"
        assert programs(plan) == [*["ufw"] * 8, "iptables-restore", "/etc/iptables/rules.v4"]
        assert plan.steps[-1].content == ":INPUT ACCEPT [0:0]\n"

    def test_the_chains_take_over_from_inactive_ufw(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path, tools=("iptables", "ufw"))
        host.write(
            "/etc/ufw/user.rules",
            "### tuple ### allow tcp 11434 0.0.0.0/0 any 10.0.0.1 in comment=67697a7a69206f6c6c616d61\n",
        )
        plan = firewall.make_plan(host, "ollama", guard())
        assert programs(plan) == ["iptables-restore", "ip6tables-restore", "ufw"]

    def test_active_ufw_that_is_not_reached_does_not_count(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path, tools=("iptables", "ufw"), ufw="active")
        host.listings["iptables"] = ORACLE + UFW
        assert firewall.make_plan(host, "ollama", guard()).backend == "iptables"

    def test_ufw_without_ipv6_gets_no_rules_for_it(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path, tools=("iptables", "ufw"), ufw="active")
        host.listings["iptables"] = UFW
        host.write("/etc/default/ufw", "# IPV6=yes\nIPV6=no\n")
        plan = firewall.make_plan(host, "ollama", guard())
        assert {step.argv[6] for step in plan.steps} == {
            "10.0.0.1",
            "10.0.0.2",
            "10.1.0.0/16",
            "0.0.0.0/1",
            "128.0.0.0/1",
        }

    def test_a_check_runs_nothing(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path)
        arguments = argparse.Namespace(state="present", name="ollama", port=11434, sources=list(SOURCES), check=True)
        assert firewall.answer(host, arguments)["changed"] is True
        assert host.ran == []

    def test_rules_that_did_not_take_are_an_error(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path)
        arguments = argparse.Namespace(state="present", name="ollama", port=11434, sources=SOURCES, check=False)
        with pytest.raises(firewall.FirewallError, match="did not take"):
            firewall.answer(host, arguments)
        assert host.ran == ["iptables-restore --noflush -w 30", "ip6tables-restore --noflush -w 30"]

    def test_a_file_is_replaced_with_the_mode_it_had(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path)
        host.write("/etc/iptables/rules.v4", "old\n")
        target = tmp_path / "etc/iptables/rules.v4"
        target.chmod(0o640)
        host.replace("/etc/iptables/rules.v4", "new\n")
        assert target.read_text() == "new\n"
        assert target.stat().st_mode & 0o777 == 0o640
        assert [entry.name for entry in target.parent.iterdir()] == ["rules.v4"]
