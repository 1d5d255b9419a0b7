"""Settings of an update that it cannot follow: all are named before a host is contacted."""

from __future__ import annotations

from typing import Any

import pytest
from plays import PROJECT, RunPlay

HOSTS: dict[str, Any] = {
    f"v{number}": {"validator_id": number, "gizzi_addresses": [f"10.0.0.{number}"]} for number in (1, 2)
}
GROUPS = {"validators": {"hosts": HOSTS}, "gizzi": {"hosts": {"v1": {}}}, "ollama_servers": {"hosts": {"v1": {}}}}
PLAY = {
    "hosts": "validators",
    "tasks": [
        {"ansible.builtin.import_tasks": str(PROJECT / "playbooks/tasks/model_update_settings.yml")},
        {"ansible.builtin.debug": {"msg": "folder: {{ __update.report_dir }}, file: {{ __update.textfile }}."}},
    ],
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
        model_update_verify_blobs="maybe",
        model_update_mail={"to": "ops@example.org", "from": "gizzi@example.org", "sender": "x"},
    )
    assert status != 0
    for said in (
        "model_update_verify_blobs is 'maybe'",
        "sender",
    ):
        assert said in printed
    status, printed = check(
        run_play,
        model_update_serial=[1, "101%"],
        model_update_keep=-1,
        model_update_minimum_speed=1.5,
        model_update_prompts=[{"prompt": "a"}, {"prompt": "b", "pattern": "("}],
        model_update_mail={"to": ["ops@example.org"]},
        model_update_validator_metrics="127.0.0.1:9615",
        model_rollback_models=["a b"],
    )
    assert status != 0
    for said in (
        "model_update_serial is 1, 101%.",
        "model_update_keep is -1.",
        "model_update_minimum_speed is 1.5.",
        "prompts: 'a' must have either a pattern or a schema.",
        "prompts: 'b': '(' is not a regular expression",
        "model_update_mail must have from and to.",
        "model_update_validator_metrics: '127.0.0.1:9615'",
        "model_rollback_models: 'a b'",
    ):
        assert said in printed


def test_a_limit_without_a_server(run_play: RunPlay) -> None:
    status, printed = check(run_play, "--limit", "v2")
    assert status != 0
    assert "No server is among the hosts of this run (v2); the servers are v1." in printed


def test_a_canary_that_is_no_server(run_play: RunPlay) -> None:
    status, printed = check(run_play, model_update_canary="v9")
    assert status != 0
    assert "model_update_canary is v9, which is no server. It must be one of v1." in printed


def test_a_canary_beside_the_mirrors_host(run_play: RunPlay) -> None:
    status, printed = check(run_play, gizzi_topology="distributed", model_update_canary="v2")
    assert status != 0
    assert "model_update_canary is v2, and the other servers pull from the mirror of v1, which has to be" in printed
    assert "set gateway_mirror to false" in printed
    variables = {"gizzi_topology": "distributed", "model_update_canary": "v2", "gateway_mirror": False}
    assert check(run_play, **variables)[0] == 0
