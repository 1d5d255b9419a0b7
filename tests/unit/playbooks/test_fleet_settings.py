# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet, read from an inventory by Ansible: whose variables count, and where a problem is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plays import RunPlay

Resolve = Callable[..., dict[str, Any]]
GROUPS: dict[str, Any] = {
    "validators": {
        "hosts": {
            f"v{number}": {"gizzi_addresses": [f"192.0.2.{number}"], "validator_id": number} for number in (1, 2, 3)
        }
    },
    "gizzi": {"hosts": {"v1": {}}},
}
ALL = "{{ (groups['validators'] | default([]) + groups['ollama_servers'] | default([])) or ['localhost'] }}"
SETTINGS = {"etrid.gizzi.settings": {"role": "fleet"}, "register": "__fleet", "run_once": True}


def play(folder: Path) -> dict[str, Any]:
    note = {"ansible.builtin.copy": {"content": "{{ __fleet | to_json }}", "dest": str(folder / "fleet.json")}}
    # Whichever host was asked, all of them know.
    last = {"when": "inventory_hostname == ansible_play_hosts[-1]", "delegate_to": "localhost"}
    return {"hosts": ALL, "tasks": [SETTINGS, note | last]}


@pytest.fixture
def resolve(run_play: RunPlay, tmp_path: Path) -> Resolve:
    """Return a function that returns the settings of the fleet."""

    def run(inventory: dict[str, Any], *arguments: str, **variables: Any) -> dict[str, Any]:
        result = run_play(play(tmp_path), inventory, *arguments, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        found: dict[str, Any] = json.loads((tmp_path / "fleet.json").read_text(encoding="utf-8"))
        return found

    return run


def groups(**hosts: dict[str, Any]) -> dict[str, Any]:
    """Return the groups with more variables of some hosts."""
    changed = copy.deepcopy(GROUPS)
    for name, variables in hosts.items():
        changed["validators"]["hosts"][name].update(variables)
    return changed


def test_text_of_the_command_line_and_variables_of_each_host(resolve: Resolve) -> None:
    inventory = groups(
        v2={"ollama_models": [{"name": "mistral"}], "ollama_context_length": "{{ 2 * 1024 }}"},
        v3={"gizzi_addresses": ["{{ ansible_host }}"], "ansible_host": "192.0.2.33"},
    )
    # Without the variable it is the address by which Ansible reaches the host.
    inventory["validators"]["hosts"]["192.0.2.44"] = {"validator_id": 4}
    found = resolve(
        inventory,
        *("-e", "gizzi_topology=distributed", "-e", "gizzi_fallback_server=true", "-e", "gizzi_answer_timeout=5"),
        *(
            "-e",
            "gateway_mirror=false",
            "-e",
            "gizzi_expected_validators=4",
            "-e",
            "gizzi_operator_addresses=198.51.100.1,198.51.100.2",
        ),
    )
    assert (found["fallback_server"], found["answer_timeout"], found["missing"]) == (True, 5, [])
    assert found["operator_addresses"] == ["198.51.100.1", "198.51.100.2"]
    assert [host["client_model"] for host in found["hosts"].values()] == [
        "llama3.1:8b",
        "mistral",
        *["llama3.1:8b"] * 2,
    ]
    assert [host["context_length"] for host in found["hosts"].values()] == [4096, 2048, 4096, 4096]
    assert found["hosts"]["v1"]["sources"] == ["192.0.2.1", "192.0.2.2", "192.0.2.33", "192.0.2.44"]


def test_variables_of_a_play_count_and_a_limit_hides_no_host(
    resolve: Resolve, run_play: RunPlay, tmp_path: Path
) -> None:
    """As ansible.builtin.import_playbook gives them."""
    given = {"vars": {"gizzi_topology": "centralized", "reserved": 7}}
    inventory = groups(v2={"ollama_reserved_memory": "{{ reserved if gizzi_topology == 'centralized' else 0 }}"})
    result = run_play(play(tmp_path) | given, inventory, "--limit", "v3")
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads((tmp_path / "fleet.json").read_text(encoding="utf-8"))
    assert found["hosts"]["v2"]["ollama"]["reserved_memory"] == 7
    assert found["servers"] == ["v1"]


def test_the_login_user_of_the_command_line(resolve: Resolve) -> None:
    inventory = groups(v2={"ansible_user": "admin"})
    users = {"ollama_client_users": ["{{ ansible_user }}"], "gizzi_topology": "centralized"}
    for host in inventory["validators"]["hosts"].values():
        host.update(users)
    found = resolve(inventory, "-u", "ubuntu")
    assert [host["ollama_client"]["users"] for host in found["hosts"].values()] == [["ubuntu"], ["admin"], ["ubuntu"]]


def test_no_secret_is_among_what_all_hosts_know(resolve: Resolve) -> None:
    secrets = {"ollama_environment": {"HTTPS_PROXY": "http://hunter2@p:1"}, "ollama_client_anthropic_key": "hunter2"}
    endpoint = {"ollama_client_endpoints": [{"name": "a", "url": "http://a", "token": "hunter2"}]}
    assert "hunter2" not in json.dumps(resolve(groups(v2=secrets | endpoint), gizzi_topology="centralized"))


@pytest.mark.parametrize(
    ("inventory", "variables", "said"),
    [
        ({}, {}, ["The inventory has no host. Name the fleet's with -i"]),
        (
            {"others": {"hosts": {"v1": {}}}},
            {"gizzi_topology": "centralized"},
            ["Group validators has no host.", "Group gizzi has none."],
        ),
        (GROUPS, {}, ["gizzi_topology is not set."]),
        (
            GROUPS,
            {"gizzi_topology": "central"},
            ["gizzi_topology is 'central'. It must be centralized or distributed."],
        ),
        (
            groups(
                v1={"validator_id": "one"},
                v2={"gizzi_addresses": ["192.0.2.3"], "ollama_client_users": ["{{ nobody }}"]},
                v3={"validator_id": "one", "ollama_cpu_threads": "four", "ollama_modles": []},
            ),
            {"gizzi_topology": "centralized", "gizzi_verify_blobs": "please", "ollama_keep_models": "maybe"},
            [
                "v1, v3: validator_id is 'one'. It must be a whole number.",
                "gizzi_addresses of v2 and v3 have the address 192.0.2.3 in common.",
                "v2: ollama_client_users cannot be read: 'nobody' is undefined.",
                "v3: ollama_cpu_threads is 'four'.",
                "v3: ollama_modles is not known, and would do nothing. Do you mean ollama_models",
                "gizzi_verify_blobs is 'please'. It must be true or false.",
                "msg: |- gizzi_verify_blobs",
                " ollama_keep_models is 'maybe'. It must be true or false.",
            ],
        ),
    ],
)
def test_all_that_is_wrong_is_said_before_a_host_is_contacted(
    run_play: RunPlay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inventory: dict[str, Any],
    variables: dict[str, Any],
    said: list[str],
) -> None:
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "yaml")
    result = run_play(play(tmp_path), inventory, **variables)
    printed = " ".join(result.stdout.split())
    assert result.returncode != 0
    assert [text for text in said if text not in printed] == [], printed
    assert "is not set" not in printed or "gizzi_topology" in printed


def test_a_host_does_not_decide_by_facts_what_the_fleet_is(
    run_play: RunPlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_INJECT_FACT_VARS", "True")
    lies = {
        "gizzi_addresses": ["1.0.0.0/8"],
        "gizzi_topology": "distributed",
        "gizzi_operator_addresses": ["1.0.0.0/8"],
        "gizzi_report_dir": "/srv/lie",
        "validator_id": 9,
        "ollama_models": [{"name": "lie"}],
        "__fleet": {"hosts": {}},
    }
    liar = tmp_path / "python3"
    liar.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{json.dumps({'changed': False, 'ansible_facts': lies})}'\n")
    liar.chmod(0o755)
    inventory = groups(v1={"ansible_python_interpreter": str(liar)}, v2={"ansible_python_interpreter": str(liar)})
    inventory["validators"]["vars"] = {"gizzi_topology": "centralized"}
    first = {"hosts": "v1:v2", "tasks": [{"ansible.builtin.setup": {}}]}
    injected = {
        "ansible.builtin.assert": {"that": "gizzi_addresses == ['1.0.0.0/8']"},
        "when": "inventory_hostname == 'v1'",
    }
    again = play(tmp_path)
    again["tasks"].insert(0, injected)
    result = run_play([first, again], inventory)
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads((tmp_path / "fleet.json").read_text(encoding="utf-8"))
    assert found["topology"] == "centralized"
    assert found["hosts"]["v1"]["sources"] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert found["hosts"]["v1"]["gateway"]["api_sources"] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert found["report_dir"] == "reports"
    assert [host["model"] for host in found["hosts"].values()] == ["llama3.1:8b"] * 3
