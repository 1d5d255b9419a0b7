"""Plays that run parts of the playbooks on this machine, by Ansible itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[3]

RunPlay = Callable[..., "subprocess.CompletedProcess[str]"]


def runner(folder: Path) -> RunPlay:
    """Return a function that runs a play, or several, on hosts that are all this machine, from a folder."""
    # The playbooks' files find templates and the roles' defaults from the playbook's folder.
    playbooks = folder / "playbooks"
    playbooks.mkdir()
    (folder / "roles").symlink_to(PROJECT / "roles")
    (playbooks / "templates").symlink_to(PROJECT / "playbooks/templates")

    def run(
        play: dict[str, Any] | list[dict[str, Any]], groups: dict[str, Any], *arguments: str, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        inventory = folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"children": groups, "vars": local}}))
        playbook = playbooks / "play.json"
        plays = play if isinstance(play, list) else [play]
        playbook.write_text(json.dumps([{"gather_facts": False} | one for one in plays]))
        command = ["ansible-playbook", "--inventory", inventory, playbook, "--extra-vars", json.dumps(variables)]
        return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, cwd=folder)

    return run
