# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is there to what is wanted: each kind of host, and what others have done to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard import iptables, ufw
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.host import Seen
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.plan import make_plan, refusals, shown, shown_wanted
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.ufw import UfwRule
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import Guard
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.walk import REFUSE, UNSURE
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import (
    BARE,
    guard,
    guarded,
    recorded,
    restored,
    seen_of,
)

WANTED = guard(["10.0.0.1", "fd42::1"])
JUMP = "-A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA"
OPENED = "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT"


def steps(seen: Seen, wanted: Guard | None = WANTED) -> list[str]:
    plan = make_plan(seen, "ollama", wanted)
    assert plan.problems == []
    return [step.summary for step in plan.steps]


def opening(seen: Seen, wanted: Guard | None = WANTED) -> list[str]:
    return [step.summary for step in make_plan(seen, "ollama", wanted).opening]


def with_chain(listing: str, wanted: Guard = WANTED, version: int = 4) -> str:
    """The listing after our chain was made."""
    return restored(listing, iptables.script(listing, "ollama", wanted, version))


class TestClosing:
    def test_a_host_that_refuses_nothing_gets_the_table_and_nothing_else(self) -> None:
        assert steps(seen_of()) == ["nft -f - (make table inet gizzi-ollama)"]
        assert steps(seen_of(v4=None, v6=None)) == ["nft -f - (make table inet gizzi-ollama)"]

    def test_what_is_as_wanted_is_left_alone(self) -> None:
        assert steps(seen_of(guarded()), guard()) == []

    @pytest.mark.parametrize("other", [guard(["10.0.0.1"]), guard(port=8080), guard([])])
    def test_another_port_or_source_makes_it_anew(self, other: Guard) -> None:
        assert steps(seen_of(guarded()), other) == ["nft -f - (make table inet gizzi-ollama)"]

    def test_an_accept_of_others_in_front_does_not_open_the_port(self) -> None:
        seen = seen_of(guarded(), v4=BARE + OPENED, v6=BARE + OPENED)
        assert steps(seen, guard()) == []

    def test_removal(self) -> None:
        (step,) = make_plan(seen_of(guarded()), "ollama", None).steps
        assert step.stdin == "delete table inet gizzi-ollama\n"
        assert make_plan(seen_of(guarded()), "gizzi-api", None).steps == []


class TestOracle:
    ORACLE = recorded("oracle.v4")

    def test_the_sources_get_a_chain_before_the_reject(self) -> None:
        (chain,) = make_plan(seen_of(guarded(), v4=self.ORACLE), "ollama", WANTED).opening
        assert chain.argv == ("iptables-restore", "--noflush", "-w", "30")
        assert chain.stdin == (
            "*filter\n"
            ":GIZZI-OLLAMA - [0:0]\n"
            "-I INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n"
            "-A GIZZI-OLLAMA -i lo -j ACCEPT\n"
            "-A GIZZI-OLLAMA -s 10.0.0.1/32 -j ACCEPT\n"
            "COMMIT\n"
        )

    def test_then_nothing_is_left_to_do_and_nothing_refuses(self) -> None:
        seen = seen_of(guarded(), v4=with_chain(self.ORACLE))
        assert opening(seen) == []
        assert refusals(seen, WANTED) == {}

    def test_each_ip_version_has_its_own(self) -> None:
        seen = seen_of(v6=BARE + "-A INPUT -j REJECT --reject-with icmp6-adm-prohibited\n")
        (chain,) = make_plan(seen, "ollama", WANTED).opening
        assert chain.argv[0] == "ip6tables-restore"
        assert "-A GIZZI-OLLAMA -s fd42::1/128 -j ACCEPT\n" in chain.stdin
        assert "10.0.0.1" not in chain.stdin

    def test_other_guards_may_be_in_front(self) -> None:
        listing = with_chain(self.ORACLE)
        other = with_chain(listing, guard(["10.0.0.9"], 8080, "gizzi-api")).replace("OLLAMA", "GIZZI-API")
        assert other != listing
        assert opening(seen_of(v4=restored(listing, "-I INPUT -p tcp -m tcp --dport 80 -j ACCEPT"))) == []

    @pytest.mark.parametrize("flush", ["-A INPUT", "-A GIZZI-OLLAMA"])
    def test_a_flushed_chain_is_made_anew(self, flush: str) -> None:
        listing = "\n".join(line for line in with_chain(self.ORACLE).splitlines() if not line.startswith(flush))
        listing += "\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n"
        assert opening(seen_of(v4=listing)) == ["iptables-restore --noflush -w 30 (make chain GIZZI-OLLAMA)"]

    def test_after_iptables_f_nothing_refuses_and_nothing_is_missing(self) -> None:
        flushed = "\n".join(line for line in self.ORACLE.splitlines() if not line.startswith("-A"))
        assert steps(seen_of(guarded(), v4=flushed), guard()) == []
        assert refusals(seen_of(guarded(), v4=flushed), guard()) == {}

    @pytest.mark.parametrize(
        "rule", ["-A INPUT -j DROP", "-A INPUT -i eth0 -p tcp -j REJECT", "-A INPUT -m recent --set -j DROP"]
    )
    def test_what_others_put_in_front_is_overtaken(self, rule: str) -> None:
        listing = with_chain(self.ORACLE).replace(JUMP, f"{rule}\n{JUMP}")
        (chain,) = make_plan(seen_of(v4=listing), "ollama", WANTED).opening
        assert f"{JUMP.replace('-A', '-D', 1)}\n{JUMP.replace('-A', '-I', 1)}" in chain.stdin
        assert opening(seen_of(v4=restored(listing, chain.stdin))) == []

    def test_what_others_accept_in_front_stays_there(self) -> None:
        listing = with_chain(self.ORACLE).replace(JUMP, f"{OPENED}\n{JUMP}")
        assert opening(seen_of(v4=listing)) == []

    def test_two_jumps_become_one(self) -> None:
        listing = with_chain(self.ORACLE).replace(JUMP, f"{JUMP}\n{JUMP}")
        script = iptables.script(listing, "ollama", WANTED, 4)
        assert (script.count("-D INPUT"), script.count("-I INPUT")) == (2, 1)

    @pytest.mark.parametrize(
        "other", [guard(["10.0.0.1", "10.0.0.2"]), guard(["10.0.0.2"]), guard(["10.0.0.1"], port=8080), guard([])]
    )
    def test_any_difference_rebuilds_the_chain(self, other: Guard) -> None:
        listing = with_chain(self.ORACLE)
        after = restored(listing, iptables.script(listing, "ollama", other, 4))
        assert [line for line in after.splitlines() if "GIZZI" in line][1:] == iptables.chain_lines(other, 4)

    def test_removal_takes_every_reference_and_the_chain(self) -> None:
        listing = with_chain(self.ORACLE) + "-A FORWARD -p tcp -j GIZZI-OLLAMA\n-N GIZZI-OLLAMA-2\n"
        assert iptables.script(listing, "ollama", None, 4).splitlines() == [
            "*filter",
            ":GIZZI-OLLAMA - [0:0]",
            JUMP.replace("-A", "-D", 1),
            "-D FORWARD -p tcp -j GIZZI-OLLAMA",
            "-X GIZZI-OLLAMA",
            "COMMIT",
        ]

    def test_a_host_that_refuses_no_more_loses_the_chain(self) -> None:
        assert opening(seen_of(v4=with_chain(BARE))) == ["iptables-restore --noflush -w 30 (remove chain GIZZI-OLLAMA)"]

    def test_saved_rules_lose_only_our_lines(self) -> None:
        ours = [
            ":GIZZI-OLLAMA - [0:0]\n",
            "[12:720] -A INPUT -p tcp -m tcp --dport 11434 -j GIZZI-OLLAMA\n",
            "-A GIZZI-OLLAMA -s 10.0.0.1/32 -j ACCEPT\n",
        ]
        theirs = [
            "# GIZZI-OLLAMA is kept by its own unit\n",
            "*filter\n",
            ":GIZZI-OLLAMA-2 - [0:0]\n",
            '-A INPUT -m comment --comment "as GIZZI-OLLAMA" -j ACCEPT\n',
            "COMMIT",
        ]
        mixed = "".join(line for pair in itertools.zip_longest(theirs, ours, fillvalue="") for line in pair)
        assert iptables.without_chain(mixed, "ollama") == "".join(theirs)
        seen = seen_of()
        seen.saved = {"/etc/iptables/rules.v4": mixed}
        (step,) = make_plan(seen, "ollama", None).steps
        assert (step.path, step.content) == ("/etc/iptables/rules.v4", "".join(theirs))

    def test_saved_rules_of_a_chain_that_is_wanted_stay(self) -> None:
        seen = seen_of(guarded(), v4=with_chain(self.ORACLE))
        seen.saved = {"/etc/iptables/rules.v4": ":GIZZI-OLLAMA - [0:0]\n"}
        assert opening(seen) == []


class TestIncompatible:
    """A host whose iptables refuses: its filter table was made by nft."""

    def seen(self) -> Seen:
        seen = seen_of(recorded("native.json"), v4=None)
        seen.unseen = {4: "Table `filter' contains incompatible base-chains, use 'nft' tool to list them."}
        return seen

    def test_one_that_never_had_a_guard_and_should_have_none_does_not_fail(self) -> None:
        assert make_plan(self.seen(), "gizzi-api", None).steps == []
        assert make_plan(self.seen(), "gizzi-api", None).problems == []

    def test_it_gets_a_guard_all_the_same(self) -> None:
        assert steps(self.seen(), guard(["10.0.0.1"], 22, "gizzi-api")) == ["nft -f - (make table inet gizzi-ollama)"]

    def test_its_own_rules_are_judged_by_nft(self) -> None:
        assert refusals(self.seen(), guard(["10.0.0.1", "fd42::1"])) == {}
        assert refusals(self.seen(), guard(["192.0.2.1"])) == {"table ip filter, chain INPUT": UNSURE}

    def test_what_nobody_can_see_is_not_let_in(self) -> None:
        seen = seen_of(guarded(), v4=None)
        seen.unseen = {4: "iptables -S failed"}
        assert refusals(seen, WANTED) == {"iptables -S failed": UNSURE}

    def test_a_chain_of_ours_that_cannot_be_removed_is_a_problem(self) -> None:
        seen = self.seen()
        assert seen.tables is not None
        seen.tables["ip", "filter"]["GIZZI-OLLAMA"] = seen.tables["ip", "filter"]["INPUT"]
        (problem,) = make_plan(seen, "ollama", None).problems
        assert "GIZZI-OLLAMA is there, but its rules cannot be seen: Table `filter'" in problem


UFW4, UFW6 = recorded("ufw.v4"), recorded("ufw.v6")


def ufw_seen(v4: str = UFW4, v6: str = UFW6) -> Seen:
    return seen_of(guarded(), v4, v6, ufw=True)


def without(listing: str, start: str) -> str:
    return "".join(line for line in listing.splitlines(keepends=True) if not line.startswith(start))


class TestUfw:
    def test_what_is_as_wanted_is_left_alone(self) -> None:
        assert opening(ufw_seen()) == []
        assert refusals(ufw_seen(), WANTED) == {}

    def test_the_sources_get_rules_with_our_comment(self) -> None:
        assert opening(ufw_seen(), guard(["10.0.0.1", "10.0.0.2"])) == [
            "ufw prepend allow proto tcp from 10.0.0.2 to any port 11434 comment 'gizzi ollama'",
            "ufw delete allow proto tcp from fd42::1 to any port 11434 comment 'gizzi ollama'",
        ]

    @pytest.mark.parametrize(
        ("v4", "v6"),
        [(without(UFW4, "-A ufw-user-input"), UFW6), (UFW4, without(UFW6, "-A ufw6-user-input -s"))],
    )
    def test_an_emptied_chain_is_seen_and_reloaded(self, v4: str, v6: str) -> None:
        # The rule for everybody, which the user's document tells people to add, would let the sources in as well.
        v6 = v6.replace("-A ufw6-user-input -p tcp -m tcp --dport 11434 -j ACCEPT\n", "")
        assert opening(ufw_seen(v4, v6)) == ["ufw reload"]
        assert REFUSE in refusals(ufw_seen(v4, v6), WANTED).values()

    def test_flushed_ip6tables_get_a_chain_until_ufw_is_back(self) -> None:
        seen = ufw_seen(v6=without(UFW6, "-A "))
        assert refusals(seen, WANTED) == {"ip6tables": REFUSE}
        assert opening(seen) == ["ip6tables-restore --noflush -w 30 (make chain GIZZI-OLLAMA)"]
        seen = ufw_seen(v6=with_chain(without(UFW6, "-A "), version=6))
        assert (opening(seen), refusals(seen, WANTED)) == ([], {})
        assert opening(ufw_seen(v6=with_chain(UFW6, version=6))) == [
            "ip6tables-restore --noflush -w 30 (remove chain GIZZI-OLLAMA)"
        ]

    def test_behind_a_final_verdict_ufw_does_not_count(self) -> None:
        # As on Oracle's images, where enabling ufw appends its chains.
        listing = UFW4.replace("-A INPUT -j ufw-before-logging-input\n", "-A INPUT -j REJECT\n", 1)
        assert opening(ufw_seen(v4=listing)) == ["iptables-restore --noflush -w 30 (make chain GIZZI-OLLAMA)"]

    def test_without_ipv6_in_ufw_the_sources_get_a_chain(self) -> None:
        seen = ufw_seen(v6=BARE.replace("INPUT ACCEPT", "INPUT DROP"))
        del seen.ufw[6]
        assert opening(seen) == ["ip6tables-restore --noflush -w 30 (make chain GIZZI-OLLAMA)"]

    def test_ufw_that_is_not_active_keeps_its_rules_for_when_it_is(self) -> None:
        assert opening(ufw_seen(v4=BARE, v6=BARE)) == []

    def test_removal(self) -> None:
        assert opening(ufw_seen(), None) == [
            "ufw delete allow proto tcp from 10.0.0.1 to any port 11434 comment 'gizzi ollama'",
            "ufw delete allow proto tcp from fd42::1 to any port 11434 comment 'gizzi ollama'",
        ]

    def test_before_and_after_are_shown(self) -> None:
        seen = ufw_seen(v6=BARE)
        assert shown(seen, "ollama").splitlines()[-2:] == [
            "ufw allow proto tcp from 10.0.0.1 to any port 11434 comment 'gizzi ollama'",
            "ufw allow proto tcp from fd42::1 to any port 11434 comment 'gizzi ollama'",
        ]
        wanted = guard(["10.0.0.7"])
        assert "ip saddr 10.0.0.7 accept" in shown_wanted(seen, wanted)
        assert "from 10.0.0.7 to any port 11434" in shown_wanted(seen, wanted)
        assert shown_wanted(seen, None) == ""

    def test_a_rule_of_somebody_else_of_the_same_kind_is_a_problem(self) -> None:
        seen = ufw_seen()
        seen.ufw[4][0] = UfwRule("allow", seen.ufw[4][0].match, "by hand")
        (problem,) = make_plan(seen, "ollama", WANTED).problems
        assert "remove it with `ufw delete allow proto tcp from 10.0.0.1 to any port 11434`" in problem


SSH = UfwRule("allow", ("tcp", "22", "0.0.0.0/0", "any", "0.0.0.0/0", "in"), "")
DENY = UfwRule("deny", ("tcp", "11434", "0.0.0.0/0", "any", "0.0.0.0/0", "in"), "")


def follow(rules: Sequence[UfwRule], commands: Sequence[Sequence[str]]) -> list[UfwRule]:
    """Do what ufw does with the rules of one IP version."""
    result = list(rules)
    for words in commands:
        # ufw prepend allow proto tcp from SOURCE to any port PORT comment COMMENT
        verb, action, protocol, source, port, comment = (words[place] for place in (1, 2, 4, 6, 10, 12))
        rule = UfwRule(action, (protocol, port, "0.0.0.0/0", "any", source, "in"), comment)
        if verb == "delete":
            result.remove(rule)
        else:
            assert verb == "prepend"
            assert rule.match not in {other.match for other in result}, "ufw would skip it"
            result.insert(0, rule)
    return result


class TestUfwFiles:
    def test_from_any_order_to_the_right_one_and_no_further(self) -> None:
        stale = ufw.rules_of(guard(["10.9.9.9"], port=8080), 4)[0]
        rules = [*ufw.rules_of(guard(["10.0.0.1"]), 4), DENY, SSH, stale]
        wanted = guard(["10.0.0.1", "10.0.0.2"])
        for before in itertools.permutations(rules):
            after = follow(before, ufw.commands(before, "ollama", wanted, 4))
            assert {rule.source for rule in after[:2]} == {"10.0.0.1", "10.0.0.2"}
            assert {rule.comment for rule in after[2:]} == {""}
            assert ufw.commands(after, "ollama", wanted, 4) == []

    def test_removal_takes_only_what_is_ours(self) -> None:
        other = ufw.rules_of(guard(name="ollama-2", port=8080), 4)
        before = [*other, *ufw.rules_of(guard(), 4), DENY]
        assert follow(before, ufw.commands(before, "ollama", None, 4)) == [*other, DENY]

    def test_a_rule_that_stands_in_the_way_is_an_error(self) -> None:
        theirs = UfwRule("deny", ("tcp", "11434", "0.0.0.0/0", "any", "10.0.0.1", "in"), "by hand")
        with pytest.raises(GizziError, match="ufw delete deny proto tcp from"):
            ufw.commands([theirs], "ollama", guard(), 4)

    def test_reading_what_ufw_wrote(self) -> None:
        rules = ufw.parse(
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
        assert rules[0] in ufw.rules_of(guard(), 6)
