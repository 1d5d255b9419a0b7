# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify and diagnose, run by Ansible on this machine, on which nothing is deployed, and on a host that is gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT

HERE = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
# Nobody answers there.
GONE = {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_ssh_common_args": "-o ControlMaster=no"}
HOSTS = {
    "v1": HERE | {"validator_id": 1, "gizzi_addresses": ["127.0.0.1"]},
    "v2": GONE | {"validator_id": 2, "gizzi_addresses": ["127.0.0.2"]},
}
GROUPS = {"validators": {"hosts": HOSTS}, "gizzi": {"hosts": {"v1": {}}}}
# What is asked here is refused at once, and no registry is asked for a model.
VARIABLES: dict[str, Any] = {
    "ansible_become": False,
    "gizzi_topology": "centralized",
    "ollama_models": [{"name": "llama3.1:8b"}],
}

Run = Callable[..., tuple["subprocess.CompletedProcess[str]", dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs one of the two playbooks, and returns how it ended and the report."""
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"children": GROUPS, "vars": VARIABLES}}))

    def playbook(name: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        command = ["ansible-playbook", "--inventory", inventory, PROJECT / f"playbooks/{name}.yml", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
        reports = list((tmp_path / "reports").glob(f"{name}-*.json"))
        assert len(reports) == 1, done.stdout + done.stderr
        return done, json.loads(reports[0].read_text())

    return playbook


def test_verify_fails_and_says_what_it_saw(run: Run) -> None:
    # In a dry run it looks as well.
    result, report = run("verify", "--check")
    assert result.returncode == 2, result.stdout
    status = {(row["check"], row["host"]): row["status"] for row in report["results"]}
    assert status["login", "v1"] == "PASS"
    assert status["exposure", "v1"] == status["client", "v1"] == status["login", "v2"] == "FAIL"
    assert f"{report['summary']['failed']} of {len(report['results'])} checks failed" in " ".join(result.stdout.split())
    assert "FAIL      1/2  The host can be reached over SSH, and sudo works" in result.stdout
    assert "2 of 21 validators are in the inventory" in " ".join((result.stdout + result.stderr).split())


def test_diagnose_names_causes_and_does_not_fail(run: Run) -> None:
    result, report = run("diagnose")
    assert result.returncode == 0, result.stdout + result.stderr
    found = {(row["topic"], row["host"]): row["found"] for row in report["results"]}
    assert found["login", "v1"] == "reached, and sudo works"
    assert {"service", "version", "listening", "reachability", "network status", "journal"} <= {
        topic for topic, host in found if host == "v1"
    }
    assert "cannot be reached" in found["login", "v2"]
    assert [topic for topic, host in found if host == "v2"] == ["login"]
    assert f"Topology centralized: {report['summary']['problems']} problems" in result.stdout
