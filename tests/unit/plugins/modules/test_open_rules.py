# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module on a host of files and answers: what it removes, in which order, and what stays."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.modules import open_rules
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.guard.hosts import BARE, FakeHost, recorded

Run = Callable[..., dict[str, Any]]
OPENED = "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT"
ORACLE = Path(__file__).parents[4] / "molecule/firewall/files/oracle-rules.v4"
V4, V6 = "/etc/iptables/rules.v4", "/etc/iptables/rules.v6"
UFW_FILES = {"/etc/ufw/user.rules": "user.rules", "/etc/ufw/user6.rules": "user6.rules"}


class Firewall(FakeHost):
    """A host on which ``ufw delete`` takes effect, and on which a command can stand for a kill."""

    killed_at = ""

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        if self.killed_at and argv[0] == self.killed_at:
            raise GizziError("killed")
        output = super().run(argv, stdin)
        if tuple(argv[:3]) == ("ufw", "delete", "allow"):
            port, _slash, protocol = argv[3].partition("/")
            for path in UFW_FILES:
                lines = self.read(path).split("\n")
                start = f"### tuple ### allow {protocol or 'any'} {port} "
                self.write(path, "\n".join(line for line in lines if not (line.startswith(start) and is_open(line))))
        return output


def is_open(line: str) -> bool:
    return line.split()[8] in ("0.0.0.0/0", "::/0")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firewall:
    """An Oracle host, opened as with iptables, ip6tables and ``netfilter-persistent save``; and with ufw."""
    found = Firewall(tmp_path, ("nft", "iptables", "ip6tables", "ufw"))
    found.listings = {"iptables": opened(recorded("oracle.v4")), "ip6tables": f"{BARE}{OPENED}\n"}
    found.write(V4, opened(ORACLE.read_text(encoding="utf-8")), 0o640)
    found.write(V6, f"*filter\n:INPUT ACCEPT [0:0]\n{OPENED}\nCOMMIT\n", 0o600)
    for path, name in UFW_FILES.items():
        found.write(path, recorded(name))
    monkeypatch.setattr(open_rules, "HOST", found)
    return found


def opened(rules: str) -> str:
    """The rules after ``iptables -I INPUT -p tcp --dport 11434 -j ACCEPT``, twice."""
    return rules.replace("-A INPUT -m state", f"{OPENED}\n{OPENED}\n-A INPUT -m state", 1)


@pytest.fixture
def run(run_module: Callable[..., dict[str, Any]], host: Firewall) -> Run:
    """Run the module and return its result, with the commands that ran as ``ran``."""

    def run(check_mode: bool = False, **options: Any) -> dict[str, Any]:
        host.ran.clear()
        result = run_module(open_rules.main, check_mode, **(options or {"ports": [11434, 8080]}))
        return {**result, "ran": list(host.ran)}

    return run


def texts(host: FakeHost) -> dict[str, str]:
    return {**host.listings, **{path: host.read(path) for path in (V4, V6, *UFW_FILES)}}


def test_every_open_rule_goes_and_nothing_else(host: Firewall, run: Run) -> None:
    result = run()
    assert result["changed"] is True
    assert result["ran"] == [
        "iptables-restore --noflush -w 30",
        "ip6tables-restore --noflush -w 30",
        "ufw delete allow 11434/tcp",
    ]
    assert result["rules"] == [
        *[{"tool": V4, "port": 11434, "rule": OPENED}] * 2,
        {"tool": V6, "port": 11434, "rule": OPENED},
        *[{"tool": "iptables", "port": 11434, "rule": OPENED}] * 2,
        {"tool": "ip6tables", "port": 11434, "rule": OPENED},
        {"tool": "ufw", "port": 11434, "rule": "allow 11434/tcp"},
    ]
    assert host.listings == {"iptables": recorded("oracle.v4"), "ip6tables": BARE}
    assert host.read(V4) == ORACLE.read_text(encoding="utf-8")
    assert host.read(V6) == "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    assert "### tuple ### allow tcp 11434 0.0.0.0/0 any 10.0.0.1 in" in host.read("/etc/ufw/user.rules")
    assert result["diff"] == {
        "before": "".join(f"{rule['tool']}: {rule['rule']}\n" for rule in result["rules"]),
        "after": "",
    }


def test_a_second_run_changes_nothing(host: Firewall, run: Run) -> None:
    run()
    before = texts(host)
    result = run()
    assert (result["changed"], result["rules"], result["ran"]) == (False, [], [])
    assert result["diff"]["before"] == ""
    assert texts(host) == before


def test_check_mode_tells_the_same_and_does_nothing(host: Firewall, run: Run) -> None:
    before = texts(host)
    foretold = run(check_mode=True)
    assert (foretold["changed"], foretold["ran"], texts(host)) == (True, [], before)
    result = run()
    assert (foretold["rules"], foretold["diff"]) == (result["rules"], result["diff"])


def test_saved_files_keep_their_mode_and_every_other_byte(host: Firewall, run: Run) -> None:
    kept = b"# It's \xff\r\n*nat\n-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT\nCOMMIT\n*filter\n%sCOMMIT"
    host.write_bytes(V4, kept % (OPENED.encode() + b"\r\n"), 0o640)
    run()
    assert host.path(V4).read_bytes() == kept % b""
    assert (host.path(V4).stat().st_mode & 0o777, host.path(V6).stat().st_mode & 0o777) == (0o640, 0o600)


@pytest.mark.parametrize("program", ["iptables-restore", "ip6tables-restore", "ufw"])
def test_a_second_run_finishes_what_a_kill_has_left(host: Firewall, run: Run, program: str) -> None:
    host.killed_at = program
    assert run()["failed"] is True
    # At the next boot no rule comes back, wherever it was killed.
    assert OPENED not in host.read(V4) + host.read(V6)
    host.killed_at = ""
    assert run()["changed"] is True
    assert OPENED not in "".join(host.listings.values())
    assert run()["changed"] is False


def test_live_rules_of_one_ip_version_go_all_at_once(host: Firewall, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = []
    monkeypatch.setattr(Firewall, "run", spy(Firewall.run, scripts))
    run()
    assert scripts[0] == f"*filter\n{OPENED.replace('-A', '-D')}\n{OPENED.replace('-A', '-D')}\nCOMMIT\n"


def spy(original: Callable[..., str], scripts: list[str]) -> Callable[..., str]:
    def run(self: Firewall, argv: Sequence[str], stdin: str = "") -> str:
        if stdin:
            scripts.append(stdin)
        return original(self, argv, stdin)

    return run


def test_rules_that_cannot_be_seen_are_no_success(host: Firewall, run: Run) -> None:
    before = texts(host)
    host.refusals = {"ip6tables": "Permission denied (you must be root)"}
    result = run()
    assert result["failed"] is True
    assert "the rules of ip6tables cannot be seen: ip6tables -S failed: Permission denied" in result["msg"]
    assert (result["ran"], texts(host)) == ([], before)


def test_a_rule_that_comes_back_is_told(host: Firewall, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_without_effect(self: Firewall, argv: Sequence[str], stdin: str = "") -> str:
        return "" if argv[0] == "ufw" else FakeHost.run(self, argv, stdin)

    monkeypatch.setattr(Firewall, "run", run_without_effect)
    assert "these rules are still there: ufw: allow 11434/tcp." in run()["msg"]


@pytest.mark.parametrize(("ports", "reason"), [([0, 11434], "no TCP port: 0."), ([22], "reached by SSH")])
def test_wrong_ports_change_nothing(host: Firewall, run: Run, ports: list[int], reason: str) -> None:
    host.write(
        "/proc/net/tcp",
        "  sl\n   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 100 1\n",
    )
    for name, value in (("status", "Name:\tsshd\nPPid:\t1\n"), ("stat", "")):
        host.write(f"/proc/9/{name}", value)
    host.path("/proc/9/fd").mkdir()
    host.path("/proc/9/fd/3").symlink_to("socket:[100]")
    before = texts(host)
    result = run(ports=ports)
    assert reason in result["msg"]
    assert (result["ran"], texts(host)) == ([], before)


def test_a_rule_for_more_ports_stays_and_is_named(host: Firewall, run: Run) -> None:
    wider = "-A INPUT -p tcp -m multiport --dports 80,11434 -j ACCEPT"
    host.listings["iptables"] = f"{BARE}{wider}\n"
    result = run()
    assert result["warnings"] == [
        "A rule that opens port 11434 to everybody is for more than that port, and stays: "
        f"iptables: {wider}. Remove it by hand where nobody needs it."
    ]
    assert host.listings["iptables"] == f"{BARE}{wider}\n"


def test_a_comment_of_others_is_shown_as_it_may_be(host: Firewall, run: Run) -> None:
    host.listings["iptables"] = f'{BARE}-A INPUT -p tcp --dport 11434 -m comment --comment "a\x1b[2J" -j ACCEPT\n'
    shown = [rule["rule"] for rule in run()["rules"] if rule["tool"] == "iptables"]
    assert shown == ['-A INPUT -p tcp --dport 11434 -m comment --comment "a\\x1b[2J" -j ACCEPT']
    assert host.listings["iptables"] == BARE


@pytest.mark.parametrize("tools", [(), ("nft",), ("iptables", "ip6tables")])
def test_a_host_without_such_rules_needs_nothing(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tools: tuple[str, ...]
) -> None:
    bare = FakeHost(tmp_path / "bare", tools)
    monkeypatch.setattr(open_rules, "HOST", bare)
    result = run()
    assert (result["changed"], bare.ran, result["warnings"]) == (False, [], [])
    assert not bare.path("/etc/iptables").exists()


def test_the_restores_input_is_as_iptables_prints_it(host: Firewall, run: Run) -> None:
    rule = '-A INPUT -p tcp -m tcp --dport 8080 -m state --state NEW -m comment --comment "open \\"it\\"" -j ACCEPT'
    host.listings["iptables"] = f"{BARE}{rule}\n"
    assert rule in [one["rule"] for one in run()["rules"]]
    assert shlex.split(rule)[-3] == 'open "it"'
    assert host.listings["iptables"] == BARE
