"""Option A after `converge`: one server for the fleet, a reboot, and a fleet in which things are broken.

Those that break something mend it again.
"""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from lab import client, gateway, network, registry
from lab.ollama import JOURNAL, MODEL, PORT, every_address, reached, traces
from lab.testing import Lab, wait_until

SERVER = "validator01"
Report = Callable[..., tuple["subprocess.CompletedProcess[str]", dict[str, Any]]]


def others(lab: Lab) -> list[str]:
    return [name for name in lab.groups["validators"] if name != SERVER]


def serves_the_fleet(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    server = fleet[SERVER]
    ipv4, ipv6 = lab.addresses(SERVER)
    for name in others(lab):
        gateway.asked(server, fleet[name], ipv4, name)
        assert gateway.digests(fleet[name], ipv6)[MODEL] == registry.digest(lab.outside("internet"))
        assert not traces(fleet[name], client_kept=True)
    is_closed_to_strangers(lab, fleet, stranger)


def is_closed_to_strangers(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    # The network is open to the stranger, for ssh; the ports are not, on any host, in either family.
    assert reached(stranger, every_address(lab), 22) == every_address(lab)
    for port in (PORT, network.PORT, gateway.OLLAMA, gateway.API, gateway.MIRROR):
        assert reached(stranger, every_address(lab), port) == set()
    for port in (gateway.OLLAMA, gateway.API):
        assert reached(fleet[others(lab)[0]], every_address(lab), port) == set(lab.addresses(SERVER))
    for port in (PORT, network.PORT, gateway.MIRROR):
        assert reached(fleet[others(lab)[0]], every_address(lab), port) == set()


def tells_the_fleet_how_the_network_is(lab: Lab, fleet: dict[str, Host]) -> None:
    healthy = dict.fromkeys(range(1, len(lab.groups["validators"]) + 1), "healthy")

    def read(name: str, address: str) -> bool:
        _status, text = gateway.request(fleet[name], address, "/api/network/status", token="", port=gateway.API)
        return {one["number"]: one["status"] for one in json.loads(text)["validators"]} == healthy

    for name in lab.groups["validators"]:
        for address in lab.addresses(SERVER):
            wait_until(partial(read, name, address), 120, f"{name} reads at {address} that all are healthy")


def test_the_systems_are_those_that_were_asked_for(lab: Lab, fleet: dict[str, Host]) -> None:
    result = lab.playbook("molecule/fleet/control.yml")
    assert result.returncode == 0, result.stdout
    for name, host in fleet.items():
        assert f"VERSION_CODENAME={lab.variables[name]['lab_debian']}\n" in host.file("/etc/os-release").content_string


def test_gizzi_answers_every_validator_and_no_stranger(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    serves_the_fleet(lab, fleet, stranger)
    tells_the_fleet_how_the_network_is(lab, fleet)


def test_the_guard_is_what_shuts_the_stranger_out(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    # Else it is back before a stranger can ask.
    fleet[SERVER].check_output("systemctl stop gizzi-guards.service")
    try:
        fleet[SERVER].check_output("nft delete table inet gizzi-gateway")
        assert reached(stranger, lab.addresses(SERVER), gateway.OLLAMA) == set(lab.addresses(SERVER))
    finally:
        fleet[SERVER].check_output("systemctl start gizzi-guards.service")
    wait_until(lambda: not reached(stranger, lab.addresses(SERVER), gateway.OLLAMA), 10, "the guard is back")
    fleet[SERVER].check_output("iptables -F && ip6tables -F && nft flush ruleset")
    wait_until(lambda: not reached(stranger, lab.addresses(SERVER), gateway.OLLAMA), 2, "the guard is back in time")
    is_closed_to_strangers(lab, fleet, stranger)


def test_the_gateway_lets_nobody_through_without_a_token_and_nothing_that_changes_models(
    lab: Lab, fleet: dict[str, Host]
) -> None:
    host, address = fleet[others(lab)[0]], lab.addresses(SERVER)[0]
    own = host.file(gateway.TOKEN).content_string.strip()
    assert own != fleet[others(lab)[1]].file(gateway.TOKEN).content_string.strip()
    for token in ("", "0" * 64, own[:-1]):
        assert gateway.request(host, address, "/api/tags", token=token)[0] == 401
    assert gateway.request(host, address, f"/api/tags?token={own}", token="")[0] == 401
    assert gateway.request(host, address, "/api/version")[0] == 200
    changing = ["pull", "push", "create", "copy", "delete", f"blobs/sha256:{'0' * 64}", "show", "signout"]
    for path in changing:
        status, text = gateway.request(host, address, f"/api/{path}", json.dumps({"model": MODEL}))
        assert (status, list(json.loads(text))) == (403, ["error"]), path
    unload = json.dumps({"model": MODEL, "KEEP_ALIVE": 0})
    assert gateway.request(host, address, "/api/generate", unload)[0] == 400


def test_nothing_is_to_be_read_on_the_way(lab: Lab, fleet: dict[str, Host]) -> None:
    host = fleet[others(lab)[0]]
    with gateway.captured(lab) as seen:
        answer = client.gizzi(host, "ask", "--no-cache", client.QUESTION)
        client.gizzi(host, "status")
    assert answer["endpoint"] == SERVER
    # The capture has seen the packets: each has the addresses of both hosts.
    ends = [socket.inet_aton(lab.addresses(name)[0]) for name in (others(lab)[0], SERVER)]
    assert b"".join(ends) in seen
    for text in (client.QUESTION, "capital", "Paris", "healthy", host.file(gateway.TOKEN).content_string.strip()):
        assert text.encode() not in seen, text


def test_after_a_reboot_all_is_back_without_a_playbook(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    lab.reboot(lab.groups["validators"])
    wait_until(lambda: reached(fleet[SERVER], ["127.0.0.1"]), 120, "Ollama listens")
    serves_the_fleet(lab, fleet, stranger)
    tells_the_fleet_how_the_network_is(lab, fleet)


def test_a_second_run_changes_nothing_and_asks_little(lab: Lab) -> None:
    again, calls = lab.counted("etrid.gizzi.site", variables={"gizzi_topology": "centralized"})
    assert again.returncode == 0, again.stdout
    assert set(re.findall(r"changed=(\d+)", again.stdout)) == {"0"}
    assert {name: calls[name] for name in others(lab) if len(calls[name]) > 5} == {}
    assert len(calls[SERVER]) <= 17, calls[SERVER]


def test_every_validator_uses_the_client(lab: Lab, fleet: dict[str, Host]) -> None:
    client.use_everywhere(fleet, dict.fromkeys(others(lab), SERVER) | {SERVER: "own"})


def test_verify_passes_and_changes_nothing(
    lab: Lab, report: Report, state: Callable[[], set[str]], tmp_path: Path
) -> None:
    before = state()
    result, told = report("verify", "centralized", gizzi_verify_blobs=True)
    assert result.returncode == 0, result.stdout
    assert state() ^ before == set()
    assert told["summary"]["failed"] == 0
    assert told["topology"] == "centralized"
    passed = {(row["check"], row["host"]) for row in told["results"] if row["status"] == "PASS"}
    checks = {"login", "memory", "installed", "service", "exposure", "models", "listening", "guard", "reach", "answers"}
    checks |= {"environment", "secrets", "blobs", "gateway", "gateway_listening", "api_listening", "certificate"}
    assert checks | {"client", "api", "api_guard", "network"} == {check for check, host in passed if host == SERVER}
    for name in others(lab):
        checks = {"login", "listening", "reach", "answers", "client", "absent", "network", "refusals", "no_gateway"}
        assert checks == {check for check, host in passed if host == name}
    path = next(tmp_path.glob("verify-*.json"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture
def stopped(fleet: dict[str, Host]) -> Iterator[None]:
    """Stop the server, after it has logged a password as current releases do, and put everything back."""
    server = fleet[SERVER]
    # The lab's old build does not log its environment at the start.
    said = (
        'msg="server config" env="map[HTTPS_PROXY:http://gizzi:hunter2@192.0.2.9:3128 OLLAMA_HOST:http://[::]:11434]"'
    )
    dropin = "/etc/systemd/system/ollama.service.d/zz-log.conf"
    server.check_output("printf '[Service]\\n%%s\\n' %s > %s", f"ExecStartPre=/bin/echo '{said}'", dropin)
    try:
        server.check_output("systemctl daemon-reload && systemctl restart ollama && systemctl stop ollama")
        # The journal writes down what it is told in its own time.
        wait_until(lambda: "hunter2" in server.check_output(f"{JOURNAL} --boot"), 60, "the journal has it")
        yield
    finally:
        server.check_output("rm %s && systemctl daemon-reload && systemctl start ollama", dropin)


@pytest.fixture
def gone(lab: Lab) -> Iterator[dict[str, Any]]:
    """Let the last host's answers never come; give what a run needs so that it need not wait for them for long."""
    name = others(lab)[-1]
    container = lab.variables[name]["lab_container"]
    # Connections of their own: over one from before, it takes a minute to notice that nobody is there.
    fresh = "-o ControlMaster=auto -o ControlPersist=10s -o ControlPath=/tmp/gizzi-unreachable-%h"
    # The others may need longer, on a machine that is busy.
    patience = f"{{{{ 3 if inventory_hostname == '{name}' else 30 }}}}"
    subprocess.run(["docker", "pause", container], check=True)
    try:
        yield {"ansible_ssh_timeout": patience, "ansible_ssh_args": fresh}
    finally:
        subprocess.run(["docker", "unpause", container], check=True)


@pytest.mark.usefixtures("stopped")
def test_a_stopped_server_and_an_unreachable_host_fail_verify_and_are_diagnosed(
    lab: Lab, report: Report, gone: dict[str, Any]
) -> None:
    *here, lost = others(lab)
    verified, checks = report("verify", "centralized", **gone)
    assert verified.returncode != 0
    status = {(row["check"], row["host"]): row["status"] for row in checks["results"]}
    assert status["service", SERVER] == "FAIL"
    assert all(status["answers", name] == "FAIL" for name in (SERVER, *here))
    assert status["guard", SERVER] == "PASS"
    assert all(status[check, name] == "PASS" for check in ("login", "listening", "absent") for name in here)
    assert {found for (_unused, host), found in status.items() if host == lost} == {"FAIL", "SKIP"}

    diagnosed, findings = report("diagnose", "centralized", **gone)
    assert diagnosed.returncode == 0, diagnosed.stdout
    found = next(row for row in findings["results"] if (row["topic"], row["host"]) == ("service", SERVER))
    assert not found["ok"]
    assert "inactive" in found["found"]
    assert found["do"] == "sudo systemctl start ollama"
    (of_lost,) = [row for row in findings["results"] if row["host"] == lost]
    assert "cannot be reached" in of_lost["found"]
    assert "HTTPS_PROXY" not in diagnosed.stdout
    assert "hunter2" not in diagnosed.stdout + json.dumps(findings)


def test_what_is_wrong_fails_before_anything_changes(
    site: Callable[..., subprocess.CompletedProcess[str]], state: Callable[[], set[str]]
) -> None:
    """Too few validators is said, and the run goes on, to a model that no host can hold."""
    before = state()
    result = site(
        "centralized",
        gizzi_expected_validators=21,
        ollama_models=[{"name": "llama3.1:70b"}],
        ollama_reserved_memory=10**12,
    )
    assert result.returncode != 0
    printed = " ".join((result.stdout + result.stderr).split())
    assert "of 21 validators are in the inventory" in printed
    assert "of memory needed" in printed
    assert state() ^ before == set()


def test_a_new_secret_replaces_every_token_while_questions_are_answered(
    lab: Lab, fleet: dict[str, Host], site: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The last test here, as the inventory has the earlier secret: the next run of site brings that back.

    Prometheus does not answer: that is said first, and fails the run at its end, for the Gizzi API alone.
    """
    host, address = fleet[others(lab)[0]], lab.addresses(SERVER)[0]
    earlier = host.file(gateway.TOKEN).content_string.strip()
    with client.asking(host) as answered_by:
        result = site(
            "centralized",
            gateway_token_secret="another-secret-of-this-test-as-long-as-it-must-be",
            gizzi_api_prometheus_url="http://127.0.0.1:9",
        )
    assert result.returncode != 0
    said = "Prometheus at http://127.0.0.1:9 (gizzi_api_prometheus_url) does not answer"
    assert f"[WARNING]: {SERVER}: {said}" in result.stderr
    assert said in " ".join(result.stdout.split())
    assert re.findall(r"^(\S+) .*\b(?:unreachable|failed)=[1-9]", result.stdout, re.MULTILINE) == [SERVER]
    assert answered_by == [SERVER]
    assert gateway.request(host, address, "/api/version", token=earlier)[0] == 401
    assert gateway.request(host, address, "/api/version")[0] == 200
