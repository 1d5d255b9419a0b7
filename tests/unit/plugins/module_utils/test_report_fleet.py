# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._report._fleet import Fleet, diagnosed, verified
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import parse_wanted
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen


def fleet(hosts: dict[str, dict[str, Any]], lost: tuple[str, ...] = (), expected: int = 2, **wanted: Any) -> Fleet:
    """Return hosts of the same wants, by what was seen of each."""
    wants = {name: parse_wanted(seen.wanted(host=name, **wanted)) for name in [*hosts, *lost]}
    return Fleet(topology="centralized", expected=expected, wanted=wants, seen=hosts, lost=list(lost))


def test_the_table_says_who_passes_and_why_others_do_not() -> None:
    broken = seen.server(units=seen.units(active="failed"))
    report = verified(fleet({"validator01": seen.server(), "validator02": broken, "validator03": broken}, expected=2))
    lines = report.table.splitlines()
    assert lines[0] == "Topology centralized: 59 passed, 2 failed, 9 skipped"
    assert lines[2] == "RESULT  HOSTS  ITEM"
    assert lines[3] == "PASS      1/1  All validators of the network are in the inventory"
    position = lines.index("FAIL      1/3  The service runs and starts at boot")
    assert lines[position + 1 : position + 3] == [
        "               FAIL validator02, validator03: failed, enabled",
        "               validator01: active, enabled",
    ]
    assert report.summary == {"passed": 59, "failed": 2, "skipped": 9}
    assert len(report.rows) == sum(report.summary.values())


def test_many_different_reasons_of_what_is_well_are_not_shown() -> None:
    hosts = {f"validator0{number}": seen.server() for number in (1, 2, 3)}
    for number, host in enumerate(hosts.values()):
        host["health"] = seen.health() | {"version": f"0.34.{number}"}
    lines = verified(fleet(hosts)).table.splitlines()
    position = lines.index("PASS      3/3  Every validator can reach its servers")
    assert lines[position + 1].startswith("PASS")


def test_validators_that_are_missing_in_the_inventory_fail() -> None:
    rows = verified(fleet({"validator01": seen.server()}, expected=21)).rows
    assert rows[0]["status"] == "FAIL"
    assert rows[0]["reason"] == "2 of 21 are"


def test_a_host_at_which_the_run_broke_off_fails() -> None:
    report = verified(fleet({"validator01": seen.server()}, lost=("validator02",)))
    broken = next(row for row in report.rows if row["check"] == "run")
    assert (broken["status"], broken["host"]) == ("FAIL", "validator02")
    assert {row["status"] for row in report.rows if row["host"] == "validator02"} == {"FAIL", "SKIP"}


def test_a_diagnosis_is_read_host_by_host() -> None:
    hosts = {"validator01": seen.server(units=seen.units(active="inactive")), "validator02": seen.UNREACHABLE}
    report = diagnosed(fleet(hosts))
    assert report.summary == {"problems": 2}
    assert report.table.startswith("Topology centralized: 2 problems\n\nvalidator01\n  ok       login: reached")
    assert "  PROBLEM  service: inactive: it was stopped\n           do: sudo systemctl start ollama\n" in report.table
    assert "\n\nvalidator02\n  PROBLEM  login: cannot be reached: ssh: connect" in report.table


def test_a_finding_of_several_lines_is_set_in() -> None:
    host = seen.server(journals=seen.journal("line 1", "line 2"))
    assert "  ok       journal: line 1\n           line 2" in diagnosed(fleet({"validator01": host})).table


def test_what_a_host_says_steers_no_terminal() -> None:
    odd = seen.listener("127.0.0.1", "\x1b[2Jnginx\r\u202e")
    host = seen.server(
        ports=seen.ports(odd), journals=seen.journal("\x1b]0;title\x07"), units=seen.units(active="\x1b[1A")
    )
    host["health"] = seen.health() | {"version": "0.34.2\x1b[2J"}
    hosts = {"validator01": host, "validator02": {"state": {"unreachable": True, "msg": "\x1b[2Jsound"}}}
    for report in (verified(fleet(hosts)), diagnosed(fleet(hosts))):
        assert all(letter.isprintable() or letter == "\n" for letter in report.table)
        assert r"\x1b[2J" in report.table


def test_what_a_host_says_has_an_end() -> None:
    many = seen.ports(*(seen.listener(f"10.0.{number // 250}.{number % 250}", "x" * 99) for number in range(9000)))
    host = seen.server(ports=many, guards=seen.guards(effective=False, reason="x" * 10**6))
    for report in (verified(fleet({"validator01": host})), diagnosed(fleet({"validator01": host}))):
        assert 20_000 < len(report.table) < 100_000
