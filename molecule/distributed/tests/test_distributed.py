"""Option B after `converge`: every validator serves itself and nobody else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from lab import client, registry
from lab.ollama import MODEL, PORT, ask, digests, every_address, guard_rules, reached
from lab.testing import Lab, wait_until

VARIABLES = {"gizzi_topology": "distributed"}
FALLBACK = VARIABLES | {"gizzi_fallback_server": True}
LOOSE = "validator03"


def each_serves_itself_alone(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    for name in lab.groups["validators"]:
        host = fleet[name]
        assert "Paris" in ask(host, "127.0.0.1")
        assert digests(host, "127.0.0.1")[MODEL] == registry.digest(lab.outside("internet"))
        listeners = host.check_output(f"ss -Hltn sport = :{PORT}").splitlines()
        assert [line.split()[3] for line in listeners] == [f"127.0.0.1:{PORT}"]
        assert reached(host, every_address(lab)) == set()
        assert guard_rules(host) == []
    assert reached(stranger, every_address(lab), 22) == every_address(lab)
    assert reached(stranger, every_address(lab)) == set()


def run(
    lab: Lab, playbook: str, folder: Path, variables: dict[str, Any]
) -> tuple[int, dict[tuple[str, str], dict[str, str]]]:
    """Run verify or diagnose; return its exit status, and its rows by check or topic and host."""
    result = lab.playbook(f"etrid.gizzi.{playbook}", variables={**variables, "gizzi_report_dir": str(folder)})
    (report,) = folder.glob(f"{playbook}-*.json")
    rows = [row for row in json.loads(report.read_text())["results"] if row.get("status") != "SKIP"]
    return result.returncode, {(row.get("check") or row["topic"], row["host"]): row for row in rows}


def test_each_serves_itself_alone(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    each_serves_itself_alone(lab, fleet, stranger)


def test_after_a_reboot_all_is_back_without_a_playbook(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    lab.reboot(lab.groups["validators"])
    for name in lab.groups["validators"]:
        wait_until(lambda name=name: reached(fleet[name], ["127.0.0.1"]), 120, f"Ollama listens on {name}")
    each_serves_itself_alone(lab, fleet, stranger)


def test_verify_passes(lab: Lab, tmp_path: Path) -> None:
    status, rows = run(lab, "verify", tmp_path, VARIABLES)
    assert {key for key, row in rows.items() if row["status"] == "FAIL"} == set()
    assert status == 0
    checks = {
        "login",
        "memory",
        "installed",
        "service",
        "exposure",
        "environment",
        "secrets",
        "models",
        "listening",
        "isolated",
        "reach",
        "answers",
        "client",
        "network",
    }
    for name in lab.groups["validators"]:
        api = {"api", "api_guard"} if name in lab.groups["gizzi"] else set()
        assert {check for check, host in rows if host == name} == checks | api


def test_every_validator_uses_the_client(lab: Lab, fleet: dict[str, Host]) -> None:
    client.use_everywhere(fleet, dict.fromkeys(lab.groups["validators"], "own"))


def test_an_installed_collection_brings_a_server_to_fall_back_to(lab: Lab, tmp_path: Path) -> None:
    galaxy = ["ansible-galaxy", "collection"]
    subprocess.run([*galaxy, "build", "--output-path", tmp_path, lab.project], check=True, capture_output=True)
    (archive,) = tmp_path.glob("etrid-gizzi-*.tar.gz")
    collections = tmp_path / "collections"
    # The checkout is installed in the tests' own environment: without force there would be nothing to do.
    install = ["install", "--offline", "--force", "--collections-path", collections, archive]
    subprocess.run([*galaxy, *install], check=True, capture_output=True)
    result = lab.playbook("etrid.gizzi.site", "-vv", variables=FALLBACK, collections=collections)
    assert result.returncode == 0, result.stdout
    assert set(re.findall(r"task path: (.*)/ansible_collections/", result.stdout)) == {str(collections)}


def test_the_fleet_falls_back_and_nobody_else(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    (gizzi,) = lab.groups["gizzi"]
    assert reached(fleet[LOOSE], every_address(lab)) == set(lab.addresses(gizzi))
    assert reached(stranger, every_address(lab)) == set()
    assert client.gizzi(fleet[LOOSE], "ask", "--no-cache", client.QUESTION)["endpoint"] == "own"
    fleet[LOOSE].check_output("systemctl stop ollama")
    try:
        answer = client.gizzi(fleet[LOOSE], "ask", "--no-cache", client.QUESTION)
    finally:
        fleet[LOOSE].check_output("systemctl start ollama")
    assert answer["endpoint"] == gizzi
    assert "Paris" in answer["text"]


@pytest.fixture
def wide(fleet: dict[str, Host]) -> Iterator[None]:
    """Let one server listen on all addresses, as somebody might by hand."""
    host = fleet[LOOSE]
    dropin = "/etc/systemd/system/ollama.service.d/zz-wide.conf"
    host.check_output("printf '[Service]\\nEnvironment=OLLAMA_HOST=[::]:11434\\n' > %s", dropin)
    host.check_output("systemctl daemon-reload && systemctl restart ollama")
    wait_until(lambda: reached(host, ["127.0.0.1"]), 120, "Ollama listens")
    yield
    host.check_output("rm %s && systemctl daemon-reload && systemctl restart ollama", dropin)


@pytest.mark.usefixtures("wide")
def test_a_server_opened_by_hand_is_found(lab: Lab, stranger: Host, tmp_path: Path) -> None:
    assert reached(stranger, every_address(lab)) == set(lab.addresses(LOOSE))
    status, rows = run(lab, "verify", tmp_path, FALLBACK)
    assert status != 0
    validators = lab.groups["validators"]
    neighbour = validators[validators.index(LOOSE) - 1]
    failed = {key for key, row in rows.items() if row["status"] == "FAIL"}
    assert failed == {("environment", LOOSE), ("listening", LOOSE), ("isolated", neighbour)}
    assert "OLLAMA_HOST" in rows["environment", LOOSE]["reason"]
    assert lab.addresses(LOOSE)[1] in rows["isolated", neighbour]["reason"]

    status, rows = run(lab, "diagnose", tmp_path, FALLBACK)
    assert status == 0
    assert {key for key, row in rows.items() if not row["ok"]} == {("listening", LOOSE)}
    assert "more than loopback" in rows["listening", LOOSE]["found"]
