"""The modules that a run sends to each host, counted where they are sent."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from lab.testing import module_calls

PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.debug": {"msg": "none"}},
            {"ansible.builtin.ping": {}},
            {"ansible.builtin.ping": {}, "when": "inventory_hostname == 'a'"},
            # It looks first, and writes then.
            {"ansible.builtin.copy": {"content": "x", "dest": "{{ folder }}/{{ inventory_hostname }}"}},
            {"ansible.builtin.ping": {}, "delegate_to": "localhost", "run_once": True},
        ],
    }
]


def test_every_module_is_noted_with_its_host(tmp_path: Path) -> None:
    play, inventory = tmp_path / "play.json", tmp_path / "hosts.json"
    play.write_text(json.dumps(PLAY))
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory.write_text(json.dumps({"all": {"hosts": {"a": {}, "b": {}}, "vars": local | {"folder": str(tmp_path)}}}))
    with module_calls() as (environment, calls):
        result = subprocess.run(
            ["ansible-playbook", "--inventory", str(inventory), str(play)],
            env=os.environ | environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        by_host = calls()
    names = {host: [call.rpartition(".")[2] for call in found] for host, found in by_host.items()}
    assert names == {
        "a": ["ping", "ping", "stat", "copy"],
        "b": ["ping", "stat", "copy"],
        "localhost": ["ping"],
    }
