# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify and diagnose are asked for is refused before a host is contacted, when it makes no sense."""

from __future__ import annotations

import pytest
from plays import PROJECT, RunPlay

GROUPS = {
    "validators": {"hosts": {"v1": {"validator_id": 1, "gizzi_addresses": ["192.0.2.1"]}}},
    "gizzi": {"hosts": {"v1": {}}},
    "ollama_servers": {"hosts": {"v1": {}}},
}
PLAY = {
    "hosts": "validators",
    "vars_files": [str(PROJECT / "playbooks/vars/fleet.yml")],
    "tasks": [{"ansible.builtin.import_tasks": str(PROJECT / "playbooks/tasks/validate.yml")}],
}


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        # As -e gizzi_verify_blobs=true gives it.
        ("true", 0, "failed=0"),
        ("please", 2, "gizzi_verify_blobs is 'please'. It must be true"),
    ],
)
def test_the_files_are_compared_or_not(run_play: RunPlay, wanted: str, status: int, said: str) -> None:
    result = run_play(PLAY, GROUPS, gizzi_topology="centralized", gizzi_verify_blobs=wanted)
    assert result.returncode == status, result.stdout
    assert said in " ".join(result.stdout.split())
