# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which guards a host has, and whether they really hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.state import guards
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import (
    BARE,
    NO_TABLES,
    SOURCES,
    FakeHost,
    guard,
    guarded,
    recorded,
)

DEFINITION = "/etc/gizzi-guard/ollama.json"
UNIT, WATCH = "gizzi-guard-ollama.service", "gizzi-guards.service"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A host with a guard that holds."""
    found = FakeHost(tmp_path)
    found.tables = guarded()
    found.write(DEFINITION, guard().written)
    found.units = {UNIT: ("active", "enabled"), WATCH: ("active", "enabled")}
    return found


def test_a_guard_that_holds(host: FakeHost) -> None:
    assert guards(host) == [
        {
            "name": "ollama",
            "port": 11434,
            "sources": list(SOURCES),
            "effective": True,
            "unseen": False,
            "reason": "",
        }
    ]


def test_a_host_without_guards_is_not_asked_for_units(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.refusals = {"systemctl": "no systemd"}
    assert guards(host) == []
    # As one whose iptables refuses, or that has nothing at all.
    host.refusals = {"iptables": "table `filter' is incompatible, use 'nft' tool."}
    assert guards(host) == []
    host.tools.clear()
    assert guards(host) == []


def reason(host: FakeHost) -> str:
    (found,) = guards(host)
    assert found["effective"] is False
    return ("unseen: " if found["unseen"] else "") + str(found["reason"])


def test_what_was_flushed_is_not_effective(host: FakeHost) -> None:
    host.tables = NO_TABLES
    assert reason(host) == "other hosts are not kept out: its table is missing or was changed"


def test_what_was_opened_by_hand_is_not_effective(host: FakeHost) -> None:
    host.tables = guarded().replace('"10.0.0.1"', '"10.0.0.9"')
    assert reason(host) == "its rules are not those that it is defined with"


def test_an_accept_of_others_in_front_opens_nothing(host: FakeHost) -> None:
    host.listings["iptables"] = BARE + "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT\n"
    assert guards(host)[0]["effective"] is True


@pytest.mark.parametrize(("tool", "listing"), [("iptables", "oracle.v4"), ("ip6tables", "")])
def test_a_firewall_that_refuses_the_sources(host: FakeHost, tool: str, listing: str) -> None:
    host.listings[tool] = recorded(listing) if listing else BARE.replace("INPUT ACCEPT", "INPUT DROP")
    assert reason(host) == f"{tool} refuses some of the sources"


def test_an_emptied_ufw_refuses_the_sources(host: FakeHost) -> None:
    text = recorded("ufw.v4")
    host.listings["iptables"] = "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("-A ufw-user-input")
    )
    assert reason(host) == "iptables refuses some of the sources"


def test_what_cannot_be_seen_is_not_effective(host: FakeHost) -> None:
    host.refusals = {"ip6tables": "Permission denied"}
    assert (
        reason(host) == "unseen: whether the sources are let in cannot be told: ip6tables -S failed: Permission denied"
    )


def test_rules_that_nft_does_not_list_are_an_error(host: FakeHost) -> None:
    host.refusals = {"nft": "Operation not permitted"}
    with pytest.raises(GizziError, match="Operation not permitted"):
        guards(host)


def test_without_nftables_nothing_is_shut_out(host: FakeHost) -> None:
    host.tools.remove("nft")
    assert reason(host) == "nftables is not installed"


@pytest.mark.parametrize(
    ("unit", "state", "said"),
    [
        (UNIT, ("inactive", "enabled"), f"{UNIT} would not restore it at boot: it is inactive and enabled"),
        (UNIT, ("active", "disabled"), f"{UNIT} would not restore it at boot: it is active and disabled"),
        (WATCH, ("failed", "enabled"), f"{WATCH} would not restore it after a flush: it is failed and enabled"),
    ],
)
def test_what_does_not_stay_is_not_effective(host: FakeHost, unit: str, state: tuple[str, str], said: str) -> None:
    host.units[unit] = state
    assert reason(host) == said


@pytest.mark.parametrize("definition", ["{", guard(name="other").written])
def test_a_definition_that_cannot_be_read(host: FakeHost, definition: str) -> None:
    host.write(DEFINITION, definition)
    assert reason(host).startswith(f"{DEFINITION}: ")


def test_rules_without_a_definition_go_with_the_next_flush(host: FakeHost) -> None:
    host.path(DEFINITION).unlink()
    assert reason(host) == "nothing puts it back: it has no definition"
    host.tables = NO_TABLES
    host.listings["iptables"] = BARE + "-N GIZZI-OLLAMA\n"
    (found,) = guards(host)
    assert (found["port"], found["sources"]) == (None, None)
