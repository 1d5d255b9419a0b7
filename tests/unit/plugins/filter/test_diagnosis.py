# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.filter.diagnosis import TOPICS, diagnosis
from ansible_collections.etrid.gizzi.plugins.plugin_utils._journal import redact
from ansible_collections.etrid.gizzi.tests.unit.plugins.filter import observations as seen


def findings(host: dict[str, Any], **wanted: Any) -> dict[str, dict[str, Any]]:
    return {row["topic"]: row for row in diagnosis(host, seen.wanted(**wanted))}


def journal(*lines: str) -> dict[str, Any]:
    return seen.command("\n".join(lines))


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        (seen.server(), {}),
        # Somebody has stopped and started it since; and a process that is unloaded is killed too, but not missed.
        (seen.server() | {"journal": journal(seen.STARTED, seen.OOM, seen.KILLED, seen.STOPPING, seen.STARTED)}, {}),
        (seen.server() | {"journal": journal(seen.STARTED, seen.UNLOADED)}, {}),
        (seen.server() | {"info": seen.info(loaded=False, listed=())}, {}),
        (seen.client(), {"serves": False, "shared": False, "sources": []}),
        (
            seen.server() | {"sockets": seen.sockets(seen.listener("127.0.0.1"))},
            {"topology": "distributed", "shared": False, "sources": []},
        ),
    ],
    ids=["server", "started anew", "unloaded", "nothing loaded", "client", "distributed"],
)
def test_a_healthy_host_has_nothing_to_do(host: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = findings(host, **wanted)
    assert set(found) == {"login", *TOPICS}
    assert [row for row in found.values() if not row["ok"] or row["do"]] == []


@pytest.mark.parametrize(
    ("topic", "changes", "wanted", "cause", "remedy"),
    [
        ("service", {"unit": seen.unit(LoadState="not-found")}, {}, "not installed", "etrid.gizzi.site"),
        ("service", {"unit": seen.unit(ActiveState="inactive")}, {}, "stopped", "systemctl start ollama"),
        (
            "service",
            {"unit": seen.unit(ActiveState="failed", Result="exit-code")},
            {},
            "exit-code",
            "systemctl restart",
        ),
        ("service", {"unit": seen.unit(ActiveState="failed", Result="oom-kill")}, {}, "memory", "phi3:mini"),
        ("service", {"unit": seen.unit(Result="oom-kill")}, {}, "memory", "ollama_prompt_cache"),
        ("service", {"journal": journal(seen.STARTED, seen.OOM)}, {}, seen.OOM, "ollama_prompt_cache"),
        ("service", {"journal": journal(seen.STARTED, seen.KILLED)}, {}, "killed", "ollama_context_length"),
        ("service", {"journal": journal(seen.STARTED, seen.RUNNER_KILLED)}, {}, "killed", "ollama_memory_max"),
        ("service", {"journal": journal(seen.STARTED, seen.CRASHED)}, {}, "has died", "previous one"),
        ("loaded", {"info": seen.info(loaded=False)}, {}, "llama3.1:8b is listed", "loads it anew"),
        ("loaded", {"info": seen.info(loaded=None)}, {}, "could not be seen", "other findings"),
        ("loaded", {"info": seen.info(listed=("gone:1",))}, {}, "could not be seen", "other findings"),
        ("service", {"unit": seen.unit(ActiveState="activating", NRestarts="7")}, {}, "7 times", "journal"),
        ("service", {"unit": seen.unit(UnitFileState="disabled")}, {}, "at boot", "systemctl enable ollama"),
        ("service", {}, {"serves": False, "shared": False, "sources": []}, "not meant to serve", "etrid.gizzi.site"),
        ("version", {}, {"version": "0.34.3"}, "0.34.3 is wanted", "etrid.gizzi.site"),
        ("version", {"info": seen.info() | {"version": "0.34.1"}}, {}, "0.34.1 runs", "systemctl restart ollama"),
        ("memory", {"capacity": seen.capacity(memory_available="8 GB needed, 2 GB there")}, {}, "2 GB there", "phi3"),
        ("listening", {"sockets": seen.sockets()}, {}, "nothing listens", "service"),
        ("listening", {"sockets": seen.sockets(seen.listener("*", "nginx"))}, {}, "nginx on *", "stop nginx"),
        ("listening", {"sockets": seen.sockets(seen.listener("127.0.0.1"))}, {}, "cannot connect", "etrid.gizzi.site"),
        (
            "listening",
            {},
            {"topology": "distributed", "shared": False, "sources": []},
            "more than loopback",
            "etrid.gizzi.site",
        ),
        ("firewall", {"guard": seen.guard("-I INPUT -j GIZZI-OLLAMA")}, {}, "not as wanted", "etrid.gizzi.site"),
        ("model store", {"capacity": seen.capacity(disk="no room")}, {}, "no room", "ollama rm"),
        ("model store", {}, {"models": [{"name": "phi3:mini"}]}, "phi3:mini not there", "ollama pull phi3:mini"),
        ("reachability", {"health": seen.health("reachable", "refused")}, {}, "refused", "gizzi_addresses"),
        ("reachability", {"health": seen.health("loads", "stalled")}, {}, "stalled", "memory"),
        (
            "reachability",
            {"others": seen.others(seen.CENTRAL, msg="timed out")},
            {"urls": ["http://127.0.0.1:11434", seen.CENTRAL]},
            f"answers a prompt, but {seen.CENTRAL}: timed out",
            "security list",
        ),
        ("client", {"client": seen.command("", rc=2)}, {}, "not installed", "etrid.gizzi.site"),
        ("client", {"client": seen.gizzi(seen.CENTRAL)}, {}, "http://127.0.0.1:11434 is wanted", "etrid.gizzi.site"),
        ("network status", {"api_unit": seen.unit(LoadState="not-found")}, {}, "not installed", "etrid.gizzi.site"),
        ("network status", {"api_unit": seen.unit(ActiveState="failed")}, {}, "is failed", "journalctl -u gizzi-api"),
        ("network status", {"api_guard": seen.guard("-j DROP")}, {}, "not as wanted", "etrid.gizzi.site"),
        ("network status", {"network": {"status": -1, "msg": "refused"}}, {}, "not answer: refused", "security list"),
        ("network status", {"network": seen.network("validator02")}, {}, "validator02: no data", "targets"),
    ],
)
def test_a_cause_has_its_remedy(
    topic: str, changes: dict[str, Any], wanted: dict[str, Any], cause: str, remedy: str
) -> None:
    row = findings(seen.server() | changes, **wanted)[topic]
    assert not row["ok"]
    assert cause in row["found"]
    assert remedy in row["do"]


def test_a_model_made_from_another_is_not_to_be_pulled() -> None:
    row = findings(seen.server(), models=[{"name": "own", "from": "phi3"}, {"name": "phi3"}])["model store"]
    assert "own:latest, phi3:latest not there" in row["found"]
    assert row["do"] == "run the playbook etrid.gizzi.site, or: ollama pull phi3:latest"
    row = findings(seen.server(), models=[{"name": "own", "from": "phi3"}])["model store"]
    assert row["do"] == "run the playbook etrid.gizzi.site"


def test_the_memory_that_must_fit_is_shown_part_by_part() -> None:
    assert "available, Ollama holds 6.0 GB; memory_total suffices" in findings(seen.server())["memory"]["found"]


def test_a_death_is_told_after_a_restart_of_systemds_own() -> None:
    lines = [seen.KILLED, seen.STARTED.replace("Started", "Stopped"), seen.STARTED]
    assert not findings(seen.server() | {"journal": journal(*lines)})["service"]["ok"]


def test_what_somebody_else_writes_into_the_journal_hides_no_death() -> None:
    said = '2026-11-22T23:00:00+0000 ollama[812]: [GIN] GET "/ systemd[1]: Stopping ollama.service"'
    assert not findings(seen.server() | {"journal": journal(seen.KILLED, said)})["service"]["ok"]


def test_the_end_of_the_journal_is_shown() -> None:
    lines = [f"2026-11-22T21:00:00+0000 ollama[812]: line {number}" for number in range(100)]
    assert findings(seen.server() | {"journal": journal(*lines)})["journal"]["found"].splitlines() == lines[-15:]


def test_unfinished_downloads_are_counted() -> None:
    host = seen.server() | {"partial": {"files": [{"path": "sha256-00-partial-0"}, {"path": "sha256-00-partial-1"}]}}
    assert "2 parts of unfinished downloads" in findings(host)["model store"]["found"]


@pytest.mark.parametrize(
    ("host", "cause", "remedy"),
    [(seen.UNREACHABLE, "Connection timed out", "ansible_host"), (seen.NO_SUDO, "sudo password", "--ask-become-pass")],
    ids=["unreachable", "no sudo"],
)
def test_a_host_that_cannot_be_looked_at_has_one_finding(host: dict[str, Any], cause: str, remedy: str) -> None:
    found = findings(host)
    assert set(found) == {"login"}
    assert not found["login"]["ok"]
    assert cause in found["login"]["found"]
    assert remedy in found["login"]["do"]


@pytest.mark.parametrize("missing", [None, {}, {"msg": "the module broke"}, {"rc": 127, "stderr": "not found"}])
def test_what_cannot_be_seen_is_never_well(missing: dict[str, Any] | None) -> None:
    found = findings({"login": {"ping": "pong"}} | {name: missing for name in seen.server() if name != "login"})
    assert found.pop("login")["ok"]
    assert not any(row["ok"] for row in found.values())


@pytest.mark.parametrize(
    "line",
    [
        'msg="server config" env="map[HTTPS_PROXY:http://u:hunter2@proxy OLLAMA_HOST:http://[::]:11434]"',
        "proxyconnect tcp: dial http://u:hunter2@proxy:3128",
        "header Authorization: Bearer hunter2",
        "OLLAMA_API_KEY=hunter2",
        "ANTHROPIC_AUTH_TOKEN=hunter2 accepted",
    ],
)
def test_secrets_are_not_shown(line: str) -> None:
    assert "hunter2" not in redact(line)


def test_an_ordinary_line_is_shown_as_it_is() -> None:
    line = '[GIN] 2026/11/22 - 23:16:01 | 200 | 61.0ms | 127.0.0.1 | POST "/api/generate" load_duration=12 tokens=16'
    assert redact(line) == line
