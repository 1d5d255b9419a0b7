# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.etrid.gizzi.plugins.filter.checklist import CHECKS, checklist
from ansible_collections.etrid.gizzi.tests.unit.plugins.filter import observations as seen

ITEMS = yaml.safe_load((Path(__file__).parents[4] / "playbooks/vars/checklist.yml").read_text())["_gizzi_checklist"]

DISTRIBUTED = {"topology": "distributed", "shared": False, "sources": []}
CLIENT = {"serves": False, "shared": False, "sources": [], "gizzi": False}
# A validator of its own, and one that the others fall back to.
FALLS_BACK = DISTRIBUTED | {"urls": ["http://127.0.0.1:11434", seen.CENTRAL], "gizzi": False}
FALLBACK = {"topology": "distributed"}


# What is looked at on every server.
SERVING = "login memory installed service exposure environment secrets models listening "
NOT_RUNNING = seen.environment(unexpected=None, secrets=None, unseen="The server does not run.")


def knock(msg: str | None = None) -> dict[str, Any]:
    result = {"item": "192.0.2.2", "state": "stopped"} if msg is None else {"item": "192.0.2.2", "msg": msg}
    return {"results": [result]}


def blob(status: str) -> dict[str, Any]:
    told = f"llama3.1:8b: the blob sha256:11 is {status}"
    return {"digest": "sha256:11", "size": 0, "models": ["llama3.1:8b"], "status": status, "message": told}


def verdicts(host: dict[str, Any], **wanted: Any) -> dict[str, tuple[str, str]]:
    """Return status and reason by check, without the items of the other topology."""
    rows = checklist(host, ITEMS, seen.wanted(**wanted))
    assert all(row["host"] == "validator01" for row in rows)
    return {row["check"]: (row["status"], row["reason"]) for row in rows if row["status"] != "SKIP"}


def local() -> dict[str, Any]:
    return seen.server() | {"sockets": seen.sockets(seen.listener("127.0.0.1")), "knock": knock()}


def falls_back() -> dict[str, Any]:
    asks = seen.gizzi("http://127.0.0.1:11434/", "http://[2001:db8:0::1]:11434/")
    return local() | {"others": seen.others(seen.CENTRAL), "client": asks}


def test_the_shipped_list_uses_every_check() -> None:
    assert {item["check"] for item in ITEMS} == set(CHECKS)


@pytest.mark.parametrize(
    ("host", "wanted", "checks"),
    [
        (
            seen.server(),
            {},
            SERVING + "guard reach answers client api api_guard network",
        ),
        (seen.client(), CLIENT, "login listening reach answers client absent network"),
        (
            seen.client() | {"client": seen.command("", rc=2)},
            CLIENT | {"client": False},
            "login listening reach answers absent network",
        ),
        (
            local(),
            DISTRIBUTED | {"gizzi": False},
            SERVING + "isolated reach answers client network",
        ),
        (
            falls_back(),
            FALLS_BACK,
            SERVING + "isolated reach answers client network",
        ),
        (
            seen.server() | {"knock": knock()},
            FALLBACK | {"gizzi": False},
            SERVING + "guard isolated reach answers client network",
        ),
        (
            local() | {"knock": {"results": []}},
            DISTRIBUTED | {"gizzi": False, "neighbour": ""},
            SERVING + "isolated reach answers client network",
        ),
    ],
    ids=["server", "client", "no client", "distributed", "falls back", "fallback", "alone"],
)
def test_a_healthy_host_passes(host: dict[str, Any], wanted: dict[str, Any], checks: str) -> None:
    found = verdicts(host, **wanted)
    assert set(found) == set(checks.split())
    assert {status for status, _reason in found.values()} == {"PASS"}


def test_what_the_service_takes_out_of_its_environment_does_no_harm() -> None:
    host = seen.server() | {"environment": seen.environment(("OLLAMA_DEBUG", "the service manager's environment"))}
    assert verdicts(host)["environment"] == ("PASS", "nothing but what the role has set")
    host["unit"] = seen.unit(UnsetEnvironment="LLAMA_API_KEY")
    assert verdicts(host)["environment"][0] == "FAIL"


def test_a_variable_is_named_once() -> None:
    found = seen.environment(("LLAMA_ARG_CTX", "y.conf"), unexpected=["LLAMA_ARG_CTX"])
    assert verdicts(seen.server() | {"environment": found})["environment"][1].count("LLAMA_ARG_CTX") == 1


def test_items_of_the_other_topology_are_skipped() -> None:
    rows = checklist(seen.server(), ITEMS, seen.wanted())
    assert [row["check"] for row in rows if row["status"] == "SKIP"] == ["memory", "blobs", "isolated"]


def test_blobs_are_looked_at_when_somebody_asks() -> None:
    (row,) = [row for row in checklist(seen.server(), ITEMS, seen.wanted()) if row["check"] == "blobs"]
    assert row["status"] == "SKIP"
    assert "gizzi_verify_blobs=true" in row["reason"]
    assert verdicts(seen.server() | {"blobs": seen.blobs()})["blobs"] == ("PASS", "2 blobs, 5.0 GB")


@pytest.mark.parametrize(
    ("check", "changes", "wanted", "reason"),
    [
        (
            "memory",
            {"capacity": seen.capacity(memory_total="16 GB needed, 8 GB there")},
            {},
            "16 GB needed, 8 GB there",
        ),
        ("installed", {"installed": {"stat": {"exists": False}}}, {}, "not installed"),
        ("installed", {}, {"version": "0.34.3"}, "0.34.2 is installed, 0.34.3 is wanted"),
        ("installed", {"info": seen.info() | {"version": "0.34.1"}}, {}, "0.34.1 runs"),
        ("installed", {"info": {"msg": "Nothing listens"}}, {}, "could not be seen: Nothing listens"),
        ("service", {"unit": seen.unit(ActiveState="failed")}, {}, "failed, enabled"),
        ("service", {"unit": seen.unit(UnitFileState="disabled")}, {}, "active, disabled"),
        ("exposure", {"exposure": seen.command("→ Overall exposure level for ollama.service: 9.6 UNSAFE")}, {}, "9.6"),
        (
            "environment",
            {"environment": seen.environment(("LLAMA_API_KEY", "x"), ("LLAMA_ARG_CTX", "/etc/systemd/system/x.conf"))},
            {},
            "LLAMA_ARG_CTX is set by /etc/systemd/system/x.conf: run the playbook etrid.gizzi.site",
        ),
        (
            "environment",
            {"environment": seen.environment(unexpected=["LLAMA_ARG_CTX"])},
            {},
            "the server runs with LLAMA_ARG_CTX, which its unit does not give it any more: sudo systemctl",
        ),
        (
            "environment",
            {"environment": seen.environment(("LLAMA_ARG_CTX", "y.conf"), unexpected=["LLAMA_ARG_CTX"])},
            {},
            "LLAMA_ARG_CTX is set by y.conf",
        ),
        ("environment", {"environment": seen.environment(problems=["z.conf empties"])}, {}, "z.conf empties"),
        ("environment", {"environment": NOT_RUNNING}, {}, "could not be seen: The server does not run."),
        (
            "environment",
            {"environment": seen.environment(("LLAMA_ARG_CTX", "y.conf"), unexpected=None)},
            {},
            "set by y.conf",
        ),
        ("secrets", {"environment": seen.environment(secrets=["HTTPS_PROXY"])}, {}, "HTTPS_PROXY holds a password"),
        ("secrets", {"environment": NOT_RUNNING}, {}, "could not be seen: The server does not run."),
        (
            "blobs",
            {"blobs": seen.blobs(blob("damaged"))},
            {},
            "llama3.1:8b: the blob sha256:11 is damaged; to pull them",
        ),
        ("blobs", {"blobs": seen.blobs(blob("missing"))}, {}, "sha256:11 is missing; to pull them anew, run"),
        ("blobs", {"blobs": seen.blobs(blob("not_checked"))}, {}, "sha256:11 is not_checked"),
        ("blobs", {"blobs": seen.blobs(model="phi3:mini")}, {}, "llama3.1:8b was not looked at"),
        ("blobs", {"blobs": {"blobs": []}}, {}, "llama3.1:8b was not looked at"),
        ("models", {}, {"models": [{"name": "mistral"}]}, "mistral:latest is not there"),
        ("models", {}, {"models": [{"name": "llama3.1:8b", "digest": "sha256:" + "0" * 64}]}, "000000000000 is wanted"),
        ("listening", {"sockets": seen.sockets()}, {}, "nothing listens"),
        ("listening", {"sockets": seen.sockets(seen.listener("127.0.0.1"))}, {}, "listens on 127.0.0.1"),
        ("listening", {}, DISTRIBUTED, "listens on *"),
        ("listening", {}, {"serves": False, "shared": False, "sources": []}, "listens on *"),
        ("listening", {"sockets": seen.sockets(seen.listener("127.0.0.1"))}, FALLBACK, "listens on 127.0.0.1"),
        ("guard", {"guard": seen.guard("iptables-restore\n-A GIZZI-OLLAMA -j DROP")}, {}, "-A GIZZI-OLLAMA -j DROP"),
        ("guard", {"guard": seen.guard(missing=("iptables",))}, {}, "iptables is not installed"),
        ("guard", {"guard_unit": seen.command("ActiveState=inactive\nUnitFileState=")}, {}, "at boot"),
        ("isolated", {"knock": knock("Timeout when waiting for 192.0.2.2:11434 to stop.")}, DISTRIBUTED, "192.0.2.2"),
        ("reach", {"health": seen.health("reachable", "connection refused")}, {}, "connection refused"),
        ("reach", {"others": seen.others(seen.CENTRAL, msg="refused")}, FALLS_BACK, f"{seen.CENTRAL}: refused"),
        ("reach", {"others": seen.others("http://192.0.2.9:11434")}, FALLS_BACK, f"{seen.CENTRAL}: it was not looked"),
        ("answers", {"health": seen.health("loads", "stalled")}, {}, "stalled"),
        ("absent", {}, {"serves": False, "shared": False, "sources": []}, "version 0.34.2 is installed"),
        (
            "absent",
            seen.client() | {"guard": seen.guard("iptables-restore")},
            {"serves": False, "shared": False, "sources": []},
            "in the firewall",
        ),
        ("client", {"client": seen.command("", rc=2)}, {}, "gizzi is not installed"),
        (
            "client",
            {"client": seen.command("", rc=1, stderr="gizzi: Traceback")},
            {},
            "could not be seen: gizzi: Trace",
        ),
        (
            "client",
            {"client": seen.command('{"error": {"message": "model: too short"}}', rc=1)},
            {},
            "refuses its settings: model: too short",
        ),
        ("client", {"client": seen.gizzi(seen.CENTRAL)}, {}, "; http://127.0.0.1:11434 is wanted"),
        ("client", {"client": seen.gizzi("http://127.0.0.1:11434")}, FALLS_BACK, f"then {seen.CENTRAL} is wanted"),
        ("client", {"client": seen.gizzi(seen.CENTRAL, "http://127.0.0.1:11434")}, FALLS_BACK, "is wanted"),
        ("client", {"client": seen.gizzi("http://127.0.0.1:11434", model="phi3:mini")}, {}, "gizzi asks phi3:mini"),
        (
            "client",
            {"client": seen.gizzi("http://127.0.0.1:11434", api="http://192.0.2.9:8080")},
            {},
            "Gizzi API at http://192.0.2.9:8080",
        ),
        ("api", {"api_unit": seen.unit(ActiveState="failed")}, {}, "failed, enabled"),
        ("api_guard", {"api_guard": seen.guard("-A GIZZI-GIZZI-API -j DROP")}, {}, "-j DROP"),
        (
            "api_guard",
            {"api_guard_unit": seen.command("ActiveState=inactive\nUnitFileState=")},
            {},
            "gizzi-api.service",
        ),
        ("network", {"network": {"status": -1, "msg": "Connection refused"}}, {}, "could not be seen: Connection"),
        ("network", {"network": seen.network("validator02")}, {}, "unknown of validator02: no data"),
        ("network", {}, {"fleet": ["validator01", "validator03"]}, "validator03: it is not in the API's settings"),
    ],
)
def test_what_is_wrong_fails(check: str, changes: dict[str, Any], wanted: dict[str, Any], reason: str) -> None:
    status, found = verdicts(seen.server() | changes, **wanted)[check]
    assert status == "FAIL"
    assert reason in found


@pytest.mark.parametrize("missing", [None, {}, {"msg": "the module broke"}, {"rc": 127, "stderr": "not found"}])
@pytest.mark.parametrize("wanted", [{}, DISTRIBUTED, CLIENT], ids=["A", "B", "client"])
def test_what_cannot_be_seen_never_passes(missing: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    blind = {"login": {"ping": "pong"}} | {name: missing for name in seen.server() if name != "login"}
    found = verdicts(blind, **wanted)
    assert found.pop("login")[0] == "PASS"
    assert {status for status, _reason in found.values()} == {"FAIL"}


@pytest.mark.parametrize("host", [seen.UNREACHABLE, seen.NO_SUDO, {}], ids=["unreachable", "no sudo", "nothing"])
def test_a_host_that_cannot_be_looked_at_fails_throughout(host: dict[str, Any]) -> None:
    assert {status for status, _reason in verdicts(host).values()} == {"FAIL"}


@pytest.mark.parametrize("item", [{"check": "weather", "hosts": "fleet"}, {"check": "login", "hosts": "moon"}])
def test_a_list_with_a_mistake_is_refused(item: dict[str, str]) -> None:
    with pytest.raises(AnsibleFilterError, match=r"weather|moon"):
        checklist(seen.server(), [{"item": "x"} | item], seen.wanted())
