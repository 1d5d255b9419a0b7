# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/vars/fleet.yml makes of a topology, by Ansible itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
GIZZI, V2, V3 = "192.0.2.1", "2001:db8::2", "192.0.2.3"
FLEET = [GIZZI, V2, V3]
INVENTORY = {
    "all": {
        "children": {
            "validators": {
                "hosts": {
                    f"v{number}": {"gizzi_addresses": [address], "validator_id": number}
                    for number, address in enumerate(FLEET, 1)
                }
            },
            "gizzi": {"hosts": {"v1": {}}},
            "ollama_servers": {"hosts": {"v1": {}}},
        }
    }
}
NAMES = [
    "_gizzi_serves",
    "_gizzi_neighbour",
    "_gizzi_server_url",
    "ollama_listen",
    "ollama_allowed_sources",
    "ollama_client_endpoints",
    "ollama_client_api_url",
    "ollama_client_model",
]
PLAY = [
    {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
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
]
OWN = {"name": "own", "url": "http://127.0.0.1:11434"}
CENTRAL = {"name": "v1", "url": f"http://{GIZZI}:11434"}


def resolve(folder: Path, **variables: Any) -> dict[str, dict[str, Any]]:
    """Return what each host is told."""
    # The file finds the role's defaults from the playbook's folder.
    (folder / "roles").symlink_to(PROJECT / "roles")
    playbooks = folder / "playbooks"
    playbooks.mkdir()
    (folder / "hosts.json").write_text(json.dumps(INVENTORY))
    (playbooks / "look.json").write_text(json.dumps(PLAY))
    command = ["ansible-playbook", "--inventory", folder / "hosts.json", playbooks / "look.json"]
    result = subprocess.run(
        [*command, "--extra-vars", json.dumps(variables)], check=False, capture_output=True, text=True, cwd=folder
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return {host: json.loads((playbooks / f"{host}.json").read_text()) for host in ("v1", "v2", "v3")}


def values(told: dict[str, dict[str, Any]], name: str) -> list[Any]:
    return [host[name] for host in told.values()]


def test_centralized(tmp_path: Path) -> None:
    told = resolve(tmp_path, gizzi_topology="centralized", gizzi_fallback_server=True)
    assert values(told, "_gizzi_serves") == [True, False, False]
    assert values(told, "ollama_client_endpoints") == [[OWN], [CENTRAL], [CENTRAL]]
    assert told["v1"]["ollama_listen"] == "[::]:11434"
    assert told["v1"]["ollama_allowed_sources"] == FLEET
    assert values(told, "ollama_client_api_url") == [f"http://{host}:8080" for host in ("127.0.0.1", GIZZI, GIZZI)]
    assert values(told, "ollama_client_model") == ["llama3.1:8b"] * 3


def test_distributed(tmp_path: Path) -> None:
    models = [{"name": "phi3:mini", "state": "absent", "from": "phi3"}, {"name": "mistral"}]
    told = resolve(tmp_path, gizzi_topology="distributed", ollama_models=models)
    assert values(told, "_gizzi_serves") == [True] * 3
    assert values(told, "ollama_client_endpoints") == [[OWN]] * 3
    assert values(told, "ollama_listen") == ["127.0.0.1:11434"] * 3
    assert values(told, "ollama_allowed_sources") == [[]] * 3
    assert values(told, "_gizzi_neighbour") == ["v2", "v3", "v1"]
    assert values(told, "ollama_client_model") == ["mistral"] * 3


def test_distributed_with_a_server_to_fall_back_to(tmp_path: Path) -> None:
    models = [{"name": "mistral"}, {"name": "gizzi", "from": "mistral"}]
    # As -e gizzi_fallback_server=true gives it.
    told = resolve(tmp_path, gizzi_topology="distributed", gizzi_fallback_server="true", ollama_models=models)
    assert values(told, "ollama_client_endpoints") == [[OWN], [OWN, CENTRAL], [OWN, CENTRAL]]
    assert values(told, "_gizzi_server_url") == [OWN["url"]] * 3
    assert values(told, "ollama_listen") == ["[::]:11434", "127.0.0.1:11434", "127.0.0.1:11434"]
    assert values(told, "ollama_allowed_sources") == [FLEET, [], []]
    # The one that the others may ask is not knocked at.
    assert values(told, "_gizzi_neighbour") == ["v2", "v3", "v2"]
    assert values(told, "ollama_client_model") == ["gizzi"] * 3


def test_servers_with_addresses_of_either_family_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INVENTORY["all"]["children"], "ollama_servers", {"hosts": {"v3": {}, "v2": {}}})
    told = resolve(tmp_path, gizzi_topology="centralized")
    second, third = {"name": "v2", "url": f"http://[{V2}]:11434"}, {"name": "v3", "url": f"http://{V3}:11434"}
    assert values(told, "ollama_client_endpoints") == [[third, second], [OWN, third], [OWN, second]]
