# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that puts guards back, on a host of files and answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard import program
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import (
    NO_TABLES,
    FakeHost,
    guard,
    guarded,
    recorded,
)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A host with one guard, whose rules are not there."""
    found = FakeHost(tmp_path)
    found.write("/etc/gizzi-guard/ollama.json", guard().written)
    return found


class StoppedError(Exception):
    """The end of what was prepared."""


class FakeEvents(program.Events):
    """Each wait runs the next of the things that happen, and tells what that returns."""

    def __init__(self, *happenings: Callable[[], bool]) -> None:
        self.left = list(happenings)
        # What happens while guards are being restored.
        self.at_once: list[Callable[[], bool]] = []

    def wait(self, seconds: float) -> bool:
        if seconds in (0, program.QUIET):
            return bool(seconds == 0 and self.at_once and self.at_once.pop(0)())
        if not self.left:
            raise StoppedError
        return self.left.pop(0)()


def watch(host: FakeHost, *happenings: Callable[[], bool]) -> None:
    with pytest.raises(StoppedError):
        program.watch(host, FakeEvents(*happenings))


def test_it_starts_with_what_is_missing(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    watch(host)
    assert host.ran == ["nft -f -"]
    assert capsys.readouterr().err == "all guards hold\n"


@pytest.mark.parametrize("told", [True, False])
def test_a_flush_is_undone_whether_the_kernel_tells_of_it_or_not(host: FakeHost, told: bool) -> None:
    def flush() -> bool:
        host.tables = NO_TABLES
        host.listings["iptables"] = recorded("oracle.v4")
        host.ran.clear()
        return told

    watch(host, flush)
    assert host.ran == ["nft -f -", "iptables-restore --noflush -w 30"]


def test_a_change_of_others_that_touches_nothing_of_ours_is_left_alone(host: FakeHost) -> None:
    host.tables = guarded()
    watch(host, lambda: True, lambda: True)
    assert host.ran == []


def test_a_guard_that_was_taken_away_is_not_put_back(host: FakeHost) -> None:
    def remove() -> bool:
        host.path("/etc/gizzi-guard/ollama.json").unlink()
        host.tables = NO_TABLES
        host.ran.clear()
        return True

    watch(host, remove)
    assert host.ran == []


def test_what_goes_wrong_is_said_once_and_tried_again(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.refusals = {"nft": "Operation not permitted"}

    def mend() -> bool:
        host.refusals = {}
        return False

    watch(host, lambda: True, lambda: False, mend)
    said = capsys.readouterr().err.splitlines()
    assert said == ["ollama: nft -j list ruleset failed: Operation not permitted", "all guards hold"]
    assert host.ran == ["nft -f -"]


def test_strangers_are_shut_out_though_the_sources_cannot_be_let_in(host: FakeHost) -> None:
    host.listings["iptables"] = recorded("oracle.v4")
    host.refusals = {"iptables-restore": "Another app is currently holding the xtables lock"}
    problems = program.restore(host, guard())
    assert host.ran == ["nft -f -"]
    assert problems == ["iptables-restore --noflush -w 30 failed: Another app is currently holding the xtables lock"]


def test_what_is_flushed_while_sources_are_let_in_does_not_wait(host: FakeHost) -> None:
    host.listings = dict.fromkeys(host.listings, recorded("oracle.v4"))
    events = FakeEvents()

    def flush() -> bool:
        host.tables = NO_TABLES
        return True

    events.at_once = [lambda: False, flush]
    assert program.restore_all(host, events) == []
    assert host.ran == [
        "nft -f -",
        "iptables-restore --noflush -w 30",
        "nft -f -",
        "ip6tables-restore --noflush -w 30",
    ]


def test_without_nft_a_guard_does_not_start(host: FakeHost) -> None:
    host.tools.clear()
    with pytest.raises(GizziError, match="nft is not installed"):
        program.restore(host, guard())


def test_a_definition_that_is_none_does_not_stop_the_others(host: FakeHost) -> None:
    host.write("/etc/gizzi-guard/gizzi-api.json", "{")
    (problem,) = program.restore_all(host, FakeEvents())
    assert problem.startswith("/etc/gizzi-guard/gizzi-api.json: ")
    assert host.ran == ["nft -f -"]


def test_commands(host: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "Host", lambda: host)
    assert program.main(["restore", "ollama"]) == 0
    assert host.tables == guarded()
    assert program.main(["list"]) == 0
    assert '"name": "ollama"' in capsys.readouterr().out
    assert program.main(["restore"]) == 1
    assert "usage: gizzi-guard restore NAME | watch | list" in capsys.readouterr().err
