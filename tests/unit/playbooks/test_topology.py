# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/vars/fleet.yml makes of a topology, by Ansible itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT, RunPlay

Resolve = Callable[..., dict[str, dict[str, Any]]]

GIZZI, V2, V3 = "192.0.2.1", "2001:db8::2", "192.0.2.3"
FLEET = [GIZZI, V2, V3]
GROUPS = {
    "validators": {
        "hosts": {
            f"v{number}": {"gizzi_addresses": [address], "validator_id": number}
            for number, address in enumerate(FLEET, 1)
        }
    },
    "gizzi": {"hosts": {"v1": {}}},
    "ollama_servers": {"hosts": {"v1": {}}},
}
NAMES = [
    "_gizzi_serves",
    "_gizzi_neighbour",
    "_gizzi_server_url",
    "ollama_listen",
    "ollama_allowed_sources",
    "ollama_client_endpoints",
    "ollama_client_api_url",
    "ollama_client_context_length",
    "ollama_client_model",
]
PLAY = {
    "hosts": "all",
    "vars_files": [str(PROJECT / "playbooks/vars/fleet.yml")],
    "tasks": [
        {
            "ansible.builtin.copy": {
                "dest": "{{ playbook_dir }}/{{ inventory_hostname }}.json",
                "content": "{{ dict(names | zip(query('ansible.builtin.vars', *names))) | to_json }}",
                "mode": "0600",
            },
            "vars": {"names": NAMES},
        }
    ],
}
OWN = {"name": "own", "url": "http://127.0.0.1:11434"}
CENTRAL = {"name": "v1", "url": f"http://{GIZZI}:11434"}


@pytest.fixture
def resolve(run_play: RunPlay, tmp_path: Path) -> Resolve:
    """Return a function that returns what each host is told."""

    def run(**variables: Any) -> dict[str, dict[str, Any]]:
        result = run_play(PLAY, GROUPS, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return {host: json.loads((tmp_path / f"playbooks/{host}.json").read_text()) for host in ("v1", "v2", "v3")}

    return run


def values(told: dict[str, dict[str, Any]], name: str) -> list[Any]:
    return [host[name] for host in told.values()]


def test_centralized(resolve: Resolve) -> None:
    told = resolve(gizzi_topology="centralized", gizzi_fallback_server=True)
    assert values(told, "_gizzi_serves") == [True, False, False]
    assert values(told, "ollama_client_endpoints") == [[OWN], [CENTRAL], [CENTRAL]]
    assert told["v1"]["ollama_listen"] == "[::]:11434"
    assert told["v1"]["ollama_allowed_sources"] == FLEET
    assert values(told, "ollama_client_api_url") == [f"http://{host}:8080" for host in ("127.0.0.1", GIZZI, GIZZI)]
    assert values(told, "ollama_client_model") == ["llama3.1:8b"] * 3
    assert values(told, "ollama_client_context_length") == [4096] * 3


def test_distributed(resolve: Resolve) -> None:
    models = [{"name": "phi3:mini", "state": "absent", "from": "phi3"}, {"name": "mistral"}]
    told = resolve(gizzi_topology="distributed", ollama_models=models, ollama_context_length=8192)
    assert values(told, "_gizzi_serves") == [True] * 3
    assert values(told, "ollama_client_endpoints") == [[OWN]] * 3
    assert values(told, "ollama_listen") == ["127.0.0.1:11434"] * 3
    assert values(told, "ollama_allowed_sources") == [[]] * 3
    assert values(told, "_gizzi_neighbour") == ["v2", "v3", "v1"]
    assert values(told, "ollama_client_model") == ["mistral"] * 3
    assert values(told, "ollama_client_context_length") == [8192] * 3


def test_distributed_with_a_server_to_fall_back_to(resolve: Resolve) -> None:
    models = [{"name": "mistral"}, {"name": "gizzi", "from": "mistral"}]
    # As -e gizzi_fallback_server=true gives it.
    told = resolve(gizzi_topology="distributed", gizzi_fallback_server="true", ollama_models=models)
    assert values(told, "ollama_client_endpoints") == [[OWN], [OWN, CENTRAL], [OWN, CENTRAL]]
    assert values(told, "_gizzi_server_url") == [OWN["url"]] * 3
    assert values(told, "ollama_listen") == ["[::]:11434", "127.0.0.1:11434", "127.0.0.1:11434"]
    assert values(told, "ollama_allowed_sources") == [FLEET, [], []]
    # The one that the others may ask is not knocked at.
    assert values(told, "_gizzi_neighbour") == ["v2", "v3", "v2"]
    assert values(told, "ollama_client_model") == ["gizzi"] * 3


def test_servers_with_addresses_of_either_family_in_order(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUPS, "ollama_servers", {"hosts": {"v3": {}, "v2": {}}})
    told = resolve(gizzi_topology="centralized")
    second, third = {"name": "v2", "url": f"http://[{V2}]:11434"}, {"name": "v3", "url": f"http://{V3}:11434"}
    assert values(told, "ollama_client_endpoints") == [[third, second], [OWN, third], [OWN, second]]
