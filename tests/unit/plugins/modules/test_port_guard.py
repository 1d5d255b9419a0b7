# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module on a host of files and answers: what it changes, in which order, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._guard import installed
from ansible_collections.etrid.gizzi.plugins.modules import port_guard
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import (
    BARE,
    NO_TABLES,
    SOURCES,
    UNITS,
    FakeHost,
    guard,
    guarded,
    recorded,
)

Run = Callable[..., dict[str, Any]]
UNIT, WATCH = "gizzi-guard-ollama.service", "gizzi-guards.service"
OPTIONS: dict[str, Any] = {"name": "ollama", "port": 11434, "sources": list(SOURCES), "units": ["ollama.service"]}
ABSENT = {"name": "ollama", "state": "absent"}
FILES = {
    "/usr/local/sbin/gizzi-guard",
    "/etc/gizzi-guard/ollama.json",
    f"{UNITS}/{UNIT}",
    f"{UNITS}/{WATCH}",
    f"{UNITS}/multi-user.target.wants/{UNIT}",
    f"{UNITS}/multi-user.target.wants/{WATCH}",
    f"{UNITS}/ollama.service.requires/{UNIT}",
}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    found = FakeHost(tmp_path)
    monkeypatch.setattr(port_guard, "HOST", found)
    return found


@pytest.fixture
def run(run_module: Callable[..., dict[str, Any]], host: FakeHost) -> Run:
    """Run the module and return its result, with the commands that ran as ``ran``."""

    def run(check_mode: bool = False, **options: Any) -> dict[str, Any]:
        host.ran.clear()
        result = run_module(port_guard.main, check_mode, **(options or OPTIONS))
        return {**result, "ran": list(host.ran)}

    return run


def test_a_new_guard(host: FakeHost, run: Run) -> None:
    result = run()
    assert result["changed"] is True
    assert result["ran"] == [
        "nft -f -",
        "systemctl daemon-reload",
        f"systemctl reenable {UNIT}",
        f"systemctl start {UNIT}",
        f"systemctl enable {WATCH}",
        f"systemctl restart {WATCH}",
    ]
    assert host.files() == FILES
    assert result["previous"] == {"state": "absent", "port": None, "sources": [], "units": []}
    assert result["diff"]["before"] == ""
    assert "ip saddr 10.1.0.0/16 accept" in result["diff"]["after"]
    unit = host.read(f"{UNITS}/{UNIT}")
    assert "Before=network-pre.target ollama.service\n" in unit
    assert "RequiredBy=ollama.service\n" in unit


def test_a_second_run_changes_nothing(run: Run) -> None:
    run()
    result = run()
    assert (result["changed"], result["steps"], result["ran"]) == (False, [], [])
    assert result["diff"]["before"] == result["diff"]["after"] != ""


def test_check_mode_tells_the_same_and_does_nothing(host: FakeHost, run: Run) -> None:
    foretold = run(check_mode=True)
    assert (foretold["changed"], foretold["ran"], host.files()) == (True, [], set())
    result = run()
    assert foretold["diff"] == result["diff"]
    assert sorted(foretold["steps"]) == sorted(result["steps"])


def test_another_port_starts_nothing_anew(host: FakeHost, run: Run) -> None:
    run()
    host.tables = guarded().replace("11434", "11435")
    result = run()
    assert result["changed"] is True
    assert result["ran"] == ["nft -f -"]


def test_other_units_are_linked_anew(host: FakeHost, run: Run) -> None:
    run()
    result = run(**{**OPTIONS, "units": ["gizzi-api.service"]})
    assert result["ran"] == ["systemctl daemon-reload", f"systemctl reenable {UNIT}"]
    assert result["previous"]["units"] == ["ollama.service"]


def test_a_link_that_is_gone_is_made_again(host: FakeHost, run: Run) -> None:
    run()
    host.path(f"{UNITS}/ollama.service.requires/{UNIT}").unlink()
    assert run()["ran"] == [f"systemctl reenable {UNIT}"]


@pytest.mark.parametrize(
    ("unit", "state", "command"),
    [
        (UNIT, ("inactive", "enabled"), f"systemctl start {UNIT}"),
        (WATCH, ("failed", "enabled"), f"systemctl restart {WATCH}"),
        (WATCH, ("active", "disabled"), f"systemctl enable {WATCH}"),
    ],
)
def test_what_keeps_the_guard_is_part_of_it(
    host: FakeHost, run: Run, unit: str, state: tuple[str, str], command: str
) -> None:
    run()
    host.units[unit] = state
    assert run()["ran"] == [command]


def test_another_program_restarts_what_runs_it(host: FakeHost, run: Run) -> None:
    run()
    host.write(installed.PROGRAM, "an earlier one", 0o755)
    result = run()
    assert (result["ran"], result["steps"][0]) == ([f"systemctl restart {WATCH}"], f"write {installed.PROGRAM}")


def test_a_failed_change_is_put_back_by_what_was_previous(host: FakeHost, run: Run) -> None:
    run()
    moved = run(**{**OPTIONS, "port": 11500, "sources": ["10.0.0.9"]}, check_mode=True)
    assert moved["previous"] == {"state": "present", **{key: OPTIONS[key] for key in ("port", "sources", "units")}}
    assert run(name="ollama", **moved["previous"])["changed"] is False
    run(**ABSENT)
    # What an absent guard is described by puts it back too.
    nothing = run(check_mode=True)["previous"]
    assert run(name="ollama", **nothing)["changed"] is False


def test_oracle_gets_its_chain(host: FakeHost, run: Run) -> None:
    host.listings["iptables"] = recorded("oracle.v4")
    foretold = run(check_mode=True)
    result = run()
    assert result["ran"][:2] == ["nft -f -", "iptables-restore --noflush -w 30"]
    assert foretold["diff"] == result["diff"]
    assert "iptables -A GIZZI-OLLAMA -s 10.0.0.1/32 -j ACCEPT\n" in result["diff"]["after"]
    assert run()["changed"] is False


def test_nothing_is_left_after_the_removal(host: FakeHost, run: Run) -> None:
    host.listings["iptables"] = recorded("oracle.v4")
    run()
    foretold = run(check_mode=True, **ABSENT)
    result = run(**ABSENT)
    assert foretold["changed"] is result["changed"] is True
    # A unit that is stopped while others still require it would stop them.
    assert result["ran"][:4] == [
        f"systemctl disable {UNIT}",
        "systemctl daemon-reload",
        f"systemctl stop {UNIT}",
        f"systemctl disable --now {WATCH}",
    ]
    assert {path for path in host.files() if "wants" not in path and "requires" not in path} == set()
    assert not host.path("/etc/gizzi-guard").exists()
    assert (host.tables, host.listings["iptables"]) == (NO_TABLES, recorded("oracle.v4"))
    assert (result["diff"]["after"], result["previous"]["port"]) == ("", 11434)
    assert run(**ABSENT)["changed"] is False


def test_one_of_two_guards_goes_alone(host: FakeHost, run: Run) -> None:
    host.write("/etc/gizzi-guard/gizzi-api.json", guard(name="gizzi-api", port=8080).written)
    run()
    run(**ABSENT)
    assert {"/usr/local/sbin/gizzi-guard", f"{UNITS}/{WATCH}", "/etc/gizzi-guard/gizzi-api.json"} <= host.files()
    assert host.units[WATCH] == ("active", "enabled")


@pytest.mark.parametrize("tools", [(), ("nft", "iptables", "ip6tables")])
def test_a_host_that_never_had_one_needs_nothing(host: FakeHost, run: Run, tools: tuple[str, ...]) -> None:
    host.tools = set(tools)
    host.refusals = {"iptables": "table `filter' is incompatible, use 'nft' tool.", "systemctl": "no systemd"}
    assert (run(**ABSENT)["changed"], host.files()) == (False, set())


def test_without_nftables_nothing_is_half_done(host: FakeHost, run: Run) -> None:
    host.tools = {"iptables", "ip6tables"}
    foretold = run(check_mode=True)
    assert (foretold["changed"], foretold["missing_package"]) == (True, "nftables")
    result = run()
    assert (result["failed"], result["missing_package"]) == (True, "nftables")
    assert (result["ran"], host.files()) == ([], set())


def test_wrong_values_are_all_said_before_anything_changes(host: FakeHost, run: Run) -> None:
    result = run(name="Ollama", port=0, sources=["validator07", "::/0"], units=["x"])
    assert result["failed"] is True
    for reason in ("name 'Ollama'", "port 0 does not", "'validator07' is not", "'::/0' would open", "unit 'x' is not"):
        assert reason in result["msg"]
    assert host.files() == set()
    assert "name 'A b'" in run(name="A b", state="absent")["msg"]


def test_the_port_of_the_hosts_own_administration_is_refused(host: FakeHost, run: Run) -> None:
    give_sockets(host.path("/proc"))
    for port in (22, 2222):
        result = run(**{**OPTIONS, "port": port})
        assert f"port {port} is the one by which this host is reached by SSH" in result["msg"]
    assert run()["changed"] is True


def give_sockets(proc: Path) -> None:
    """This process (77) is a child of one whose connection came in by port 2222; sshd listens on 22."""
    line = "   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"
    (proc / "net/tcp6").write_text("  sl\n" + line.format(port=22, state="0A", inode=100))
    (proc / "net/tcp").write_text(
        "  sl\n"
        + line.format(port=2222, state="01", inode=101)
        + line.format(port=11434, state="0A", inode=102)
        + line.format(port=11434, state="01", inode=103)
    )
    for pid, parent, name, inode in (
        (77, 76, "python3", 0),
        (76, 1, "server", 101),
        (9, 1, "sshd", 100),
        (8, 1, "x", 102),
    ):
        (proc / f"{pid}/fd").mkdir(parents=True, exist_ok=True)
        (proc / f"{pid}/status").write_text(f"Name:\t{name}\nPPid:\t{parent}\n")
        if inode:
            (proc / f"{pid}/fd/3").symlink_to(f"socket:[{inode}]")


def test_a_filter_that_takes_no_rule_of_ours_is_warned_of(host: FakeHost, run: Run) -> None:
    native = json.loads(recorded("native.json"))["nftables"]
    host.tables = json.dumps({"nftables": native})
    host.listings["iptables"] = "# Table `filter' contains incompatible base-chains\n" + BARE
    # As recorded, it lets in all of them.
    assert run()["warnings"] == []
    host.tables = json.dumps({"nftables": [item for item in native if "10.0.0.0" not in json.dumps(item)]})
    (warning,) = run()["warnings"]
    assert "table ip filter, chain INPUT may refuse the sources of TCP port 11434" in warning


def test_a_stray_link_is_replaced_and_not_followed(host: FakeHost, run: Run, tmp_path: Path) -> None:
    run()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(installed.archive())
    elsewhere.chmod(0o755)
    host.path(installed.PROGRAM).unlink()
    host.path(installed.PROGRAM).symlink_to(elsewhere)
    assert run()["changed"] is True
    assert not host.path(installed.PROGRAM).is_symlink()


def test_the_program_runs_by_itself(tmp_path: Path) -> None:
    program = tmp_path / "gizzi-guard"
    program.write_bytes(installed.archive())
    assert installed.archive() == program.read_bytes()
    with zipfile.ZipFile(BytesIO(program.read_bytes())) as packed:
        assert packed.testzip() is None
    shown = subprocess.run(
        [sys.executable, "-I", program, "restore", "no-such-guard"], check=False, capture_output=True, text=True
    )
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "/etc/gizzi-guard/no-such-guard.json does not define a guard" in shown.stderr
