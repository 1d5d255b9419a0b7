"""Settings of an update that it cannot follow: all are named before a host is contacted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
HOSTS = {"v1": {"validator_id": 1}, "v2": {"validator_id": 2}}
GROUPS = {"validators": {"hosts": HOSTS}, "gizzi": {"hosts": {"v1": {}}}, "ollama_servers": {"hosts": {"v1": {}}}}
INVENTORY = {"all": {"children": GROUPS}}


def check(folder: Path, *arguments: str, **variables: Any) -> tuple[int, str]:
    """Return how the check ends, and what it prints."""
    # The files find the role's defaults from the playbook's folder.
    (folder / "roles").symlink_to(PROJECT / "roles")
    playbooks = folder / "playbooks"
    playbooks.mkdir()
    play = {
        "hosts": "validators",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(PROJECT / "playbooks/vars/fleet.yml"), str(PROJECT / "playbooks/vars/model_update.yml")],
        "tasks": [{"ansible.builtin.import_tasks": str(PROJECT / "playbooks/tasks/model_update_validate.yml")}],
    }
    (folder / "hosts.json").write_text(json.dumps(INVENTORY))
    (playbooks / "check.json").write_text(json.dumps([play]))
    command = ["ansible-playbook", "--inventory", folder / "hosts.json", playbooks / "check.json", *arguments]
    given = json.dumps({"gizzi_topology": "centralized", **variables})
    result = subprocess.run([*command, "--extra-vars", given], check=False, capture_output=True, text=True, cwd=folder)
    return result.returncode, " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize(
    "variables",
    [
        {},
        # As --extra-vars key=value gives them.
        {"model_update_keep": "0", "model_update_minimum_speed": "1", "model_update_canary": "v1"},
        {"model_update_serial": [1, 2, "50%", "100%"]},
        {"model_update_mail": {"from": "gizzi@example.org", "to": ["ops@example.org"], "secure": "starttls"}},
    ],
)
def test_what_an_update_can_follow(tmp_path: Path, variables: dict[str, Any]) -> None:
    status, printed = check(tmp_path, **variables)
    assert status == 0, printed


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    status, printed = check(
        tmp_path,
        model_update_canary="v9",
        model_update_serial=[1, "101%"],
        model_update_keep=-1,
        model_update_minimum_speed=1.5,
        model_update_golden=[],
        model_update_mail={"to": "ops@example.org", "from": "gizzi@example.org", "sender": "x"},
    )
    assert status != 0
    for said in (
        "model_update_canary is 'v9', which is no server. It must be one of v1.",
        "101%",
        "model_update_keep is '-1'",
        "model_update_minimum_speed is '1.5'",
        "model_update_golden has no prompt",
        "model_update_mail is not a mapping with from and to",
    ):
        assert said in printed


def test_a_limit_without_a_server(tmp_path: Path) -> None:
    status, printed = check(tmp_path, "--limit", "v2")
    assert status != 0
    assert "No server is among the hosts of this run (v2); the servers are v1." in printed
