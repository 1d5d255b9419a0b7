# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import parse_wanted
from ansible_collections.etrid.gizzi.plugins.module_utils._report._topics import TOPICS, diagnose
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen

CLIENT = {"serves": False, "shared": False, "sources": [], "gizzi": False, "gateway": {}}


def findings(host: dict[str, Any], **wanted: Any) -> dict[str, dict[str, Any]]:
    return {row["topic"]: row for row in diagnose(Host(host, parse_wanted(seen.wanted(**wanted))))}


def died(line: str, killed: bool = True) -> dict[str, Any]:
    return {"journals": seen.journal(death=line, killed=killed)}


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        (seen.server(), {}),
        (seen.server() | {"info": seen.info(loaded=False, listed=())}, {}),
        (seen.client(), CLIENT),
        (
            seen.server(guards={"gateway-api": seen.guard(port=8443)}),
            {"topology": "distributed", "shared": False, "sources": [], "gateway": {"api": 8443}},
        ),
        (
            seen.server(urls={}, guards={"gateway": seen.guard()}),
            {"gizzi": False, "api": False, "gateway": {"ollama": 11443}},
        ),
        (seen.server(documents={"client": None}, pythons={"/usr/bin/python3": {"minor_version": "3.10"}}), {}),
    ],
    ids=["server", "nothing loaded", "client", "distributed", "no Gizzi API", "old Python"],
)
def test_a_healthy_host_has_nothing_to_do(host: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = findings(host, **wanted)
    assert set(found) == {"login", *TOPICS}
    assert [row for row in found.values() if not row["ok"] or row["do"]] == []


@pytest.mark.parametrize(
    ("topic", "changes", "wanted", "cause", "remedy"),
    [
        ("service", {"units": seen.units(load="not-found")}, {}, "not installed", "etrid.gizzi.site"),
        ("service", {"units": seen.units(active="inactive")}, {}, "stopped", "systemctl start ollama"),
        (
            "service",
            {"units": seen.units(active="failed", result="exit-code")},
            {},
            "exit-code",
            "systemctl restart",
        ),
        ("service", {"units": seen.units(active="failed", result="oom-kill")}, {}, "memory", "phi3:mini"),
        ("service", {"units": seen.units(result="oom-kill")}, {}, "memory", "ollama_prompt_cache"),
        ("service", died("the OOM killer"), {}, "memory:\nthe OOM killer", "ollama_prompt_cache"),
        ("service", died(seen.DEATH), {}, "killed", "ollama_context_length"),
        ("service", died(seen.DEATH), {}, seen.DEATH, "ollama_memory_max"),
        ("service", died(seen.DEATH, killed=False), {}, "has died", "previous one"),
        ("loaded", {"info": seen.info(loaded=False)}, {}, "llama3.1:8b is listed", "loads it again"),
        ("loaded", {"info": seen.info(loaded=None)}, {}, "could not be seen", "other findings"),
        ("loaded", {"info": seen.info(listed=("gone:1",))}, {}, "could not be seen", "other findings"),
        ("service", {"units": seen.units(active="activating", restarts=7)}, {}, "7 times", "journal"),
        ("service", {"units": seen.units(enabled="disabled")}, {}, "at boot", "systemctl enable ollama"),
        ("service", {}, CLIENT, "not meant to serve", "etrid.gizzi.site"),
        ("version", {}, {"version": "0.34.3"}, "0.34.3 is wanted", "etrid.gizzi.site"),
        ("version", {"info": seen.info() | {"version": "0.34.1"}}, {}, "0.34.1 runs", "systemctl restart ollama"),
        ("memory", {"capacity": seen.capacity(memory_available="8 GB needed, 2 GB there")}, {}, "2 GB there", "phi3"),
        ("listening", {"ports": seen.ports()}, {}, "nothing listens", "service"),
        ("listening", {"ports": seen.ports(seen.listener("::", "nginx"))}, {}, "nginx on ::", "stop nginx"),
        ("listening", {"ports": seen.ports(seen.listener("::"))}, {}, "more than loopback", "etrid.gizzi.site"),
        ("listening", {}, CLIENT, "not meant to serve", "etrid.gizzi.site"),
        ("gateway", {"units": seen.units(gateway=seen.unit(**seen.ABSENT))}, {}, "not installed", "etrid.gizzi.site"),
        (
            "gateway",
            {"units": seen.units(gateway=seen.unit(active="failed", result="exit-code"))},
            {},
            "is failed (exit-code)",
            "journalctl -u gizzi-gateway",
        ),
        ("gateway", {"ports": seen.ports(gateway=[])}, {}, "does not listen on 0.0.0.0, ::", "restart gizzi-gateway"),
        ("gateway", {"gateway": seen.gateway(problem="it has expired")}, {}, "it has expired", "etrid.gizzi.site"),
        ("gateway", {"gateway": seen.gateway(left=seen.DAY)}, {}, "has 1 days left", "etrid.gizzi.site"),
        ("gateway", {}, CLIENT, "active, and none is wanted", "etrid.gizzi.site"),
        ("firewall", {"guards": seen.guards() | {"ollama": seen.guard()}}, {}, "guard ollama is there", "gizzi.site"),
        ("firewall", {"guards": {}}, {}, "port 11443 has no guard; port 8443 has no guard", "etrid.gizzi.site"),
        ("firewall", {"guards": seen.guards(effective=False, reason="its table")}, {}, "its table", "etrid.gizzi.site"),
        ("model store", {"capacity": seen.capacity(disk="no room")}, {}, "no room", "ollama rm"),
        ("model store", {}, {"models": [{"name": "phi3:mini"}]}, "phi3:mini not there", "ollama pull phi3:mini"),
        ("reachability", {"health": seen.health("reachable", "refused")}, {}, "refused", "gizzi_addresses"),
        ("reachability", {"health": seen.health("loads", "stalled")}, {}, "stalled", "memory"),
        ("reachability", {"health": seen.health("answers", "no word", "busy")}, {}, "no word", "see what asks it"),
        ("reachability", {"health": seen.health("answers", "no word", "unknown")}, {}, "no word", "diagnose again"),
        (
            "reachability",
            {"urls": seen.urls(seen.network(), central={"unseen": "timed out"})},
            {"urls": ["http://127.0.0.1:11434", seen.CENTRAL]},
            f"answers a prompt, but {seen.CENTRAL}: timed out",
            "security list",
        ),
        ("client", {"documents": {"client": None}}, {}, "not installed", "etrid.gizzi.site"),
        ("client", {"documents": seen.gizzi(seen.CENTRAL)}, {}, "http://127.0.0.1:11434 is wanted", "etrid.gizzi.site"),
        (
            "network status",
            {"units": seen.units(gizzi_api=seen.unit(**seen.ABSENT))},
            {},
            "not installed",
            "etrid.gizzi.site",
        ),
        (
            "network status",
            {"units": seen.units(gizzi_api=seen.unit(active="failed"))},
            {},
            "is failed",
            "journalctl -u gizzi-api",
        ),
        ("network status", {"urls": seen.urls({"unseen": "refused"})}, {}, "not answer: refused", "security list"),
        ("network status", {"urls": seen.urls(seen.network("validator02"))}, {}, "validator02: no data", "targets"),
    ],
)
def test_a_cause_has_its_remedy(
    topic: str, changes: dict[str, Any], wanted: dict[str, Any], cause: str, remedy: str
) -> None:
    row = findings(seen.changed(seen.server(), changes), **wanted)[topic]
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


def test_the_end_of_the_journal_is_shown() -> None:
    lines = [f"2026-11-22T21:00:00Z ollama[812]: line {number}" for number in range(15)]
    found = findings(seen.server(journals=seen.journal(*lines)))
    assert found["journal"]["found"].splitlines() == lines
    assert findings(seen.server(journals=seen.journal()))["journal"]["found"] == "no lines"


def test_unfinished_downloads_are_counted() -> None:
    host = seen.server(capacity=seen.capacity() | {"facts": {"partial_downloads": 2}})
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


@pytest.mark.parametrize(
    "missing", [None, {}, {"msg": "the module broke"}, {"rc": 127, "stderr": "not found"}, {"unseen": "why"}]
)
def test_what_cannot_be_seen_is_never_well(missing: dict[str, Any] | None) -> None:
    found = findings(dict.fromkeys(seen.server(), missing) | {"state": dict.fromkeys(seen.state(), missing)})
    assert found.pop("login")["ok"]
    assert not any(row["ok"] for row in found.values())


@pytest.mark.parametrize("wrong", ["text", 7, True, ["text"], [{}], {"ollama.service": 1}, {"status": 200, "json": 1}])
def test_what_has_another_type_was_not_seen(wrong: Any) -> None:
    sound = seen.server()
    for name in [*sound["state"], *sound]:
        if name in ("system", "state"):
            continue
        before, after = findings(sound), findings(seen.changed(sound, {name: wrong}))
        differ = {topic for topic in before if after[topic] != before[topic]}
        assert not any(after[topic]["ok"] for topic in differ - {"version"}), name
