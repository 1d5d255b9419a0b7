"""Settings of an update that it cannot follow: all are named before a host is contacted."""

from __future__ import annotations

from typing import Any

import pytest
from plays import PROJECT, RunPlay

HOSTS = {"v1": {"validator_id": 1}, "v2": {"validator_id": 2}}
GROUPS = {"validators": {"hosts": HOSTS}, "gizzi": {"hosts": {"v1": {}}}, "ollama_servers": {"hosts": {"v1": {}}}}
PLAY = {
    "hosts": "validators",
    "vars_files": [str(PROJECT / "playbooks/vars/fleet.yml"), str(PROJECT / "playbooks/vars/model_update.yml")],
    "tasks": [{"ansible.builtin.import_tasks": str(PROJECT / "playbooks/tasks/model_update_validate.yml")}],
}


def check(run_play: RunPlay, *arguments: str, **variables: Any) -> tuple[int, str]:
    """Return how the check ends, and what it prints."""
    result = run_play(PLAY, GROUPS, *arguments, **{"gizzi_topology": "centralized", **variables})
    return result.returncode, " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize(
    "variables",
    [
        {},
        # As --extra-vars key=value gives them.
        {"model_update_keep": "0", "model_update_minimum_speed": "1", "model_update_canary": "v1"},
        {"model_update_serial": [1, 2, "50%", "100%"]},
        {"model_update_verify_blobs": "true"},
        {"model_update_mail": {"from": "gizzi@example.org", "to": ["ops@example.org"], "secure": "starttls"}},
    ],
)
def test_what_an_update_can_follow(run_play: RunPlay, variables: dict[str, Any]) -> None:
    status, printed = check(run_play, **variables)
    assert status == 0, printed


def test_all_that_is_wrong_is_said_at_once(run_play: RunPlay) -> None:
    status, printed = check(
        run_play,
        model_update_canary="v9",
        model_update_serial=[1, "101%"],
        model_update_keep=-1,
        model_update_minimum_speed=1.5,
        model_update_golden=[],
        model_update_verify_blobs="maybe",
        model_update_mail={"to": "ops@example.org", "from": "gizzi@example.org", "sender": "x"},
    )
    assert status != 0
    for said in (
        "model_update_canary is 'v9', which is no server. It must be one of v1.",
        "101%",
        "model_update_keep is '-1'",
        "model_update_minimum_speed is '1.5'",
        "model_update_golden has no prompt",
        "model_update_verify_blobs is 'maybe'. It must be true or false.",
        "model_update_mail is not a mapping with from and to",
    ):
        assert said in printed


def test_a_limit_without_a_server(run_play: RunPlay) -> None:
    status, printed = check(run_play, "--limit", "v2")
    assert status != 0
    assert "No server is among the hosts of this run (v2); the servers are v1." in printed
