# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._report._checks import CHECKLIST, verify
from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import parse_wanted
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen

# The Gizzi host, and another validator, where each serves itself.
DISTRIBUTED = {"topology": "distributed", "shared": False, "sources": [], "gateway": {"api": 8443}}
ALONE = DISTRIBUTED | {"gizzi": False, "gateway": {}}
CLIENT = {"serves": False, "shared": False, "sources": [], "gizzi": False, "gateway": {}, "urls": [seen.CENTRAL]}
# A validator of its own, and one that the others fall back to.
FALLS_BACK = ALONE | {"urls": ["http://127.0.0.1:11434", seen.CENTRAL]}
FALLBACK = {"topology": "distributed", "gizzi": False, "gateway": {"ollama": 11443}}


# What is looked at on every server.
SERVING = "login memory installed service exposure environment secrets models listening "
GATEWAY = "gateway gateway_listening certificate "
NOT_RUNNING = seen.environment(unseen="The server does not run.")


def knock(is_open: bool = False) -> list[dict[str, Any]]:
    return [{"address": "192.0.2.2", "port": 11434, "open": is_open, "reason": ""}]


def blob(status: str) -> dict[str, Any]:
    told = f"llama3.1:8b: the blob sha256:11 is {status}"
    return {"digest": "sha256:11", "size": 0, "models": ["llama3.1:8b"], "status": status, "message": told}


def rows_of(host: dict[str, Any], **wanted: Any) -> list[dict[str, str]]:
    return verify(Host(host, parse_wanted(seen.wanted(**wanted))))


def verdicts(host: dict[str, Any], **wanted: Any) -> dict[str, tuple[str, str]]:
    """Return status and reason by check, without the items of the other topology."""
    rows = rows_of(host, **wanted)
    assert all(row["host"] == "validator01" for row in rows)
    return {row["check"]: (row["status"], row["reason"]) for row in rows if row["status"] != "SKIP"}


def local(**changes: Any) -> dict[str, Any]:
    units = seen.units(gateway=seen.unit(**seen.ABSENT))
    return seen.server(**({"units": units, "connections": knock(), "guards": {}} | changes))


def falls_back() -> dict[str, Any]:
    return local(documents=seen.gizzi("http://127.0.0.1:11434/", "https://[2001:db8:0::1]:11443/"))


@pytest.mark.parametrize(
    ("host", "wanted", "checks"),
    [
        (seen.server(), {}, SERVING + GATEWAY + "guard reach answers client api api_listening api_guard network"),
        (
            seen.changed(seen.client(), {"documents": seen.gizzi(seen.CENTRAL)}),
            CLIENT,
            "login listening refusals no_gateway reach answers client absent network",
        ),
        (
            seen.changed(seen.client(), {"documents": {}}),
            CLIENT | {"client": False},
            "login listening refusals no_gateway reach answers absent network",
        ),
        (local(), ALONE, SERVING + "no_gateway isolated reach answers client network"),
        (
            seen.server(connections=knock(), guards={"gateway-api": seen.guard(port=8443)}),
            DISTRIBUTED,
            SERVING + GATEWAY + "isolated reach answers client api api_listening api_guard network",
        ),
        (falls_back(), FALLS_BACK, SERVING + "refusals no_gateway isolated reach answers client network"),
        (
            seen.server(connections=knock(), guards={"gateway": seen.guard()}),
            FALLBACK,
            SERVING + GATEWAY + "guard isolated reach answers client network",
        ),
        (
            local(connections=[]),
            ALONE | {"neighbour": ""},
            SERVING + "no_gateway isolated reach answers client network",
        ),
        (
            seen.server(
                system={"ipv6": False},
                ports=seen.ports(
                    seen.listener("127.0.0.1"), gateway=seen.nginx("0.0.0.0"), gateway_api=seen.nginx("0.0.0.0")
                ),
            ),
            {},
            SERVING + GATEWAY + "guard reach answers client api api_listening api_guard network",
        ),
        (
            seen.server(urls={}, guards={"gateway": seen.guard()}),
            {"gizzi": False, "api": False, "gateway": {"ollama": 11443}},
            SERVING + GATEWAY + "guard reach answers client",
        ),
    ],
    ids=[
        "server",
        "client",
        "no client",
        "alone",
        "distributed",
        "falls back",
        "fallback",
        "last",
        "no IPv6",
        "no API",
    ],
)
def test_a_healthy_host_passes(host: dict[str, Any], wanted: dict[str, Any], checks: str) -> None:
    found = verdicts(host, **wanted)
    assert set(found) == set(checks.split())
    assert {status for status, _reason in found.values()} == {"PASS"}


def test_what_the_service_takes_out_of_its_environment_does_no_harm() -> None:
    host = seen.server(ollama_environment=seen.environment(("OLLAMA_DEBUG", "the service manager's environment")))
    assert verdicts(host)["environment"] == ("PASS", "nothing but what the role has set")
    host["state"]["units"] = seen.units(unset_environment=["LLAMA_API_KEY"])
    assert verdicts(host)["environment"][0] == "FAIL"


def test_a_variable_is_named_once() -> None:
    found = seen.environment(("LLAMA_ARG_CTX", "y.conf"), unexpected=["LLAMA_ARG_CTX"])
    assert verdicts(seen.server(ollama_environment=found))["environment"][1].count("LLAMA_ARG_CTX") == 1


def test_items_of_the_other_topology_are_skipped() -> None:
    rows = rows_of(seen.server())
    assert [row["check"] for row in rows if row["status"] == "SKIP"] == ["memory", "blobs", "isolated"]


def test_without_a_model_no_answer_is_expected() -> None:
    (row,) = [row for row in rows_of(seen.server(), models=[]) if row["check"] == "answers"]
    assert row["status"] == "SKIP"


def test_blobs_are_looked_at_when_somebody_asks() -> None:
    (row,) = [row for row in rows_of(seen.server()) if row["check"] == "blobs"]
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
        ("installed", {"releases": seen.releases("")}, {}, "not installed"),
        ("installed", {}, {"version": "0.34.3"}, "0.34.2 is installed, 0.34.3 is wanted"),
        ("installed", {"info": seen.info() | {"version": "0.34.1"}}, {}, "0.34.1 runs"),
        ("installed", {"info": {"msg": "Nothing listens"}}, {}, "could not be seen: Nothing listens"),
        ("service", {"units": seen.units(active="failed")}, {}, "failed, enabled"),
        ("service", {"units": seen.units(enabled="disabled")}, {}, "active, disabled"),
        ("exposure", {"units": seen.units(exposure=9.6)}, {}, "9.6"),
        (
            "environment",
            {
                "ollama_environment": seen.environment(
                    ("LLAMA_API_KEY", "x"), ("LLAMA_ARG_CTX", "/etc/systemd/system/x.conf")
                )
            },
            {},
            "LLAMA_ARG_CTX is set by /etc/systemd/system/x.conf: run the playbook etrid.gizzi.site",
        ),
        (
            "environment",
            {"ollama_environment": seen.environment(unexpected=["LLAMA_ARG_CTX"])},
            {},
            "the server runs with LLAMA_ARG_CTX, which its unit does not give it any more: sudo systemctl",
        ),
        (
            "environment",
            {"ollama_environment": seen.environment(("LLAMA_ARG_CTX", "y.conf"), unexpected=["LLAMA_ARG_CTX"])},
            {},
            "LLAMA_ARG_CTX is set by y.conf",
        ),
        ("environment", {"ollama_environment": seen.environment(problems=("z.conf empties",))}, {}, "z.conf empties"),
        ("environment", {"ollama_environment": NOT_RUNNING}, {}, "could not be seen: The server does not run."),
        (
            "environment",
            {"ollama_environment": seen.environment(("LLAMA_ARG_CTX", "y.conf"), unseen="gone")},
            {},
            "set by y.conf",
        ),
        (
            "secrets",
            {"ollama_environment": seen.environment(secrets=["HTTPS_PROXY"])},
            {},
            "HTTPS_PROXY holds a password",
        ),
        ("secrets", {"ollama_environment": NOT_RUNNING}, {}, "could not be seen: The server does not run."),
        (
            "blobs",
            {"blobs": seen.blobs(blob("damaged"))},
            {},
            "llama3.1:8b: the blob sha256:11 is damaged; to pull them",
        ),
        ("blobs", {"blobs": seen.blobs(blob("missing"))}, {}, "sha256:11 is missing; to pull them again, run"),
        ("blobs", {"blobs": seen.blobs(blob("not_checked"))}, {}, "sha256:11 is not_checked"),
        ("blobs", {"blobs": seen.blobs(model="phi3:mini")}, {}, "llama3.1:8b was not looked at"),
        ("blobs", {"blobs": {"blobs": []}}, {}, "llama3.1:8b was not looked at"),
        ("models", {}, {"models": [{"name": "mistral"}]}, "mistral:latest is not there"),
        ("models", {}, {"models": [{"name": "llama3.1:8b", "digest": "sha256:" + "0" * 64}]}, "000000000000 is wanted"),
        ("listening", {"ports": seen.ports()}, {}, "nothing listens"),
        *(
            ("listening", {"ports": seen.ports(*map(seen.listener, where))}, wanted, f"listens on {', '.join(where)}")
            for where in (["0.0.0.0"], ["127.0.0.1", "::"], ["192.0.2.1"])
            for wanted in ({}, DISTRIBUTED, FALLBACK)
        ),
        ("listening", {}, CLIENT, "listens on 127.0.0.1"),
        ("api_listening", {"ports": seen.ports(api=[])}, {}, "nothing listens"),
        ("api_listening", {"ports": seen.ports(api=[seen.listener("::")])}, {}, "listens on ::"),
        ("gateway", {"units": seen.units(gateway=seen.unit(active="failed"))}, {}, "failed, enabled"),
        ("gateway", {"units": seen.units(gateway=seen.unit(enabled=""))}, {}, "active, not installed"),
        ("gateway_listening", {"ports": seen.ports(gateway=[])}, {}, "does not listen on 0.0.0.0, ::, port 11443"),
        (
            "gateway_listening",
            {"ports": seen.ports(gateway_api=seen.nginx("0.0.0.0"))},
            {},
            "does not listen on ::, port 8443",
        ),
        (
            "gateway_listening",
            {"ports": seen.ports(gateway=seen.nginx("0.0.0.0", "::", unit="nginx.service"))},
            {},
            "port 11443 is held by nginx on 0.0.0.0, nginx on ::; the gateway does not listen",
        ),
        (
            "gateway_listening",
            {"ports": seen.ports(gateway=[*seen.nginx("0.0.0.0", "::"), seen.listener("192.0.2.1", "socat", "")])},
            {},
            "port 11443 is held by socat on 192.0.2.1",
        ),
        ("certificate", {"gateway": seen.gateway(problem="it has expired")}, {}, "it has expired"),
        (
            "certificate",
            {"gateway": seen.gateway(left=29.9 * seen.DAY)},
            {},
            "that of port 11443 has 29 days left, and should have 30",
        ),
        (
            "certificate",
            {"gateway": seen.gateway(addresses=["192.0.2.1", "192.0.2.2"])},
            {},
            "that of port 11443 is not for 2001:db8::1",
        ),
        ("certificate", {"gateway": seen.gateway(left=None)}, {}, "could not be seen"),
        ("certificate", {"gateway": {"msg": "Traceback"}}, {}, "could not be seen: Traceback"),
        ("refusals", {"gateway": seen.gateway(stranger=200)}, FALLS_BACK, "answers 200 without a token, and should"),
        ("refusals", {"gateway": seen.gateway(change=400)}, FALLS_BACK, "answers 400 to a pull, and should answer 403"),
        ("refusals", {"gateway": seen.gateway(token="is not known")}, FALLS_BACK, "is not known"),
        (
            "refusals",
            {"gateway": seen.gateway() | {"gateways": {seen.CENTRAL: {"unseen": "connection refused"}}}},
            FALLS_BACK,
            "could not be seen: connection refused",
        ),
        ("refusals", {"gateway": seen.gateway() | {"gateways": {}}}, CLIENT, "could not be seen"),
        ("no_gateway", {}, CLIENT, "gizzi-gateway.service is active"),
        ("no_gateway", seen.changed(local(), {"guards": seen.guards()}), ALONE, "the guard gateway is there, and none"),
        *(
            (check, {"guards": seen.guards() | {left: seen.guard()}}, {}, f"the guard {left} is there, and none is")
            for check in ("guard", "api_guard")
            for left in ("ollama", "gizzi-api")
        ),
        ("api_guard", {}, DISTRIBUTED, "the guard gateway is there, and none is wanted"),
        ("guard", {"guards": {}}, {}, "port 11443 has no guard"),
        ("guard", {"guards": seen.guards(effective=False, reason="strangers are")}, {}, "strangers are"),
        ("guard", {"guards": seen.guards(unseen=True, effective=False, reason="odd")}, {}, "could not be seen: odd"),
        ("guard", {"guards": seen.guards(port=80)}, {}, "of port 80, not of 11443"),
        ("guard", {"guards": seen.guards(sources=["192.0.2.1"])}, {}, "the guard does not let in 2001:db8::1/128"),
        (
            "guard",
            {"guards": seen.guards(sources=[*seen.SOURCES, "10.0.0.0/8"])},
            {},
            "the guard lets in 10.0.0.0/8",
        ),
        ("isolated", {"connections": knock(True)}, DISTRIBUTED, "192.0.2.2"),
        ("reach", {"health": seen.health("reachable", "connection refused")}, {}, "connection refused"),
        (
            "reach",
            {"urls": seen.urls(seen.network(), central={"unseen": "refused"})},
            FALLS_BACK,
            f"{seen.CENTRAL}: refused",
        ),
        ("reach", {"urls": {}}, FALLS_BACK, f"{seen.CENTRAL}: the result of state, urls"),
        ("answers", {"health": seen.health("loads", "stalled")}, {}, "stalled"),
        ("answers", {"health": seen.health("answers", "is busy", "busy")}, {}, "is busy"),
        ("answers", {"health": seen.health("answers", "gave no token", "unknown")}, {}, "gave no token"),
        ("absent", {}, CLIENT, "version 0.34.2 is installed"),
        ("client", {"documents": {"client": None}}, {}, "gizzi is not installed"),
        (
            "client",
            {"documents": {"client": {"unseen": "gizzi: Traceback"}}},
            {},
            "could not be seen: gizzi: Trace",
        ),
        (
            "client",
            {"documents": seen.refuses("model: too short")},
            {},
            "refuses its settings: model: too short",
        ),
        ("client", {"documents": seen.gizzi(seen.CENTRAL)}, {}, "; http://127.0.0.1:11434 is wanted"),
        ("client", {"documents": seen.gizzi("http://127.0.0.1:11434")}, FALLS_BACK, f"then {seen.CENTRAL} is wanted"),
        ("client", {"documents": seen.gizzi(seen.CENTRAL, "http://127.0.0.1:11434")}, FALLS_BACK, "is wanted"),
        ("client", {"documents": seen.gizzi("http://127.0.0.1:11434", model="phi3:mini")}, {}, "gizzi asks phi3:mini"),
        (
            "client",
            {"documents": seen.gizzi("http://127.0.0.1:11434", api="http://192.0.2.9:8080")},
            {},
            "Gizzi API at http://192.0.2.9:8080",
        ),
        ("api", {"units": seen.units(gizzi_api=seen.unit(active="failed"))}, {}, "failed, enabled"),
        ("api_guard", {"guards": {"gateway": seen.guard()}}, {}, "port 8443 has no guard"),
        (
            "api_guard",
            {"guards": {"gateway-api": seen.guard(effective=False, reason="not at boot")}},
            {},
            "not at boot",
        ),
        ("network", {"urls": seen.urls({"unseen": "Connection refused"})}, {}, "could not be seen: Connection"),
        ("network", {"urls": seen.urls(seen.network("validator02"))}, {}, "unknown of validator02: no data"),
        ("network", {}, {"fleet": ["validator01", "validator03"]}, "validator03: it is not in the API's settings"),
    ],
)
def test_what_is_wrong_fails(check: str, changes: dict[str, Any], wanted: dict[str, Any], reason: str) -> None:
    status, found = verdicts(seen.changed(seen.server(), changes), **wanted)[check]
    assert status == "FAIL"
    assert reason in found


OLD_PYTHON = {"/usr/bin/python3": {"minor_version": "3.10"}}


def test_without_gizzi_where_python_is_too_old_is_no_failure_and_is_told() -> None:
    [row] = [
        row for row in rows_of(seen.server(documents={"client": None}, pythons=OLD_PYTHON)) if row["check"] == "client"
    ]
    assert row["status"] == "SKIP"
    assert "ollama_client_python /usr/bin/python3 is 3.10, and 3.11 or newer is needed." in row["reason"]


@pytest.mark.parametrize(
    "pythons",
    [{}, None, {"/usr/bin/python3": None}, *({"/usr/bin/python3": {"minor_version": one}} for one in ("x", 3))],
)
def test_a_python_that_cannot_be_seen_excuses_no_missing_gizzi(pythons: Any) -> None:
    found = verdicts(seen.server(documents={"client": None}, pythons=pythons))["client"]
    assert found == ("FAIL", "gizzi is not installed")


def test_gizzi_that_is_there_is_judged_whatever_the_python() -> None:
    documents = seen.gizzi("http://127.0.0.1:11434", model="phi3:mini")
    assert verdicts(seen.server(documents=documents, pythons=OLD_PYTHON))["client"][0] == "FAIL"


NOT_SEEN = [None, {}, {"msg": "the module broke"}, {"rc": 127, "stderr": "not found"}, {"unseen": "why"}]


@pytest.mark.parametrize("missing", NOT_SEEN)
@pytest.mark.parametrize("wanted", [{}, DISTRIBUTED, CLIENT], ids=["A", "B", "client"])
def test_what_cannot_be_seen_never_passes(missing: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    blind = dict.fromkeys(seen.server(), missing) | {"state": dict.fromkeys(seen.state(), missing)}
    found = verdicts(blind, **wanted)
    assert found.pop("login")[0] == "PASS"
    assert {status for status, _reason in found.values()} == {"FAIL"}


@pytest.mark.parametrize("wrong", ["text", 7, True, ["text"], [{}], {"ollama.service": 1}, {"status": 200, "json": 1}])
@pytest.mark.parametrize("wanted", [{}, DISTRIBUTED, CLIENT], ids=["A", "B", "client"])
def test_what_has_another_type_was_not_seen(wrong: Any, wanted: dict[str, Any]) -> None:
    sound = seen.server(connections=knock())
    for name in [*sound["state"], *sound]:
        if name in ("system", "state"):
            continue
        before, after = verdicts(sound, **wanted), verdicts(seen.changed(sound, {name: wrong}), **wanted)
        differ = {check for check in before if after.get(check) != before[check]}
        assert all(after[check][0] == "FAIL" for check in differ), name


@pytest.mark.parametrize("level", ["1.2", True, None, [1.2], {"unseen": "systemd gives none"}])
def test_a_level_that_is_no_number_was_not_seen(level: Any) -> None:
    assert verdicts(seen.server(units=seen.units(exposure=level)))["exposure"][0] == "FAIL"


@pytest.mark.parametrize("host", [seen.UNREACHABLE, seen.NO_SUDO, {}], ids=["unreachable", "no sudo", "nothing"])
def test_a_host_that_cannot_be_looked_at_fails_throughout(host: dict[str, Any]) -> None:
    assert {status for status, _reason in verdicts(host).values()} == {"FAIL"}


def test_no_two_items_are_one() -> None:
    assert len({item.text for item in CHECKLIST}) == len(CHECKLIST)
