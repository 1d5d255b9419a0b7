"""What a host that is gone may do to a run: be left out, and not end it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"


def tasks(node: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a file: plays, blocks and tasks alike."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from tasks(child)


def test_a_task_of_one_host_for_all_ends_no_run_when_that_host_is_gone() -> None:
    """Ansible takes such a task for any_errors_fatal, unless errors are ignored, whatever ignore_unreachable says."""
    found = [
        (path.name, task)
        for path in sorted(PLAYBOOKS.rglob("*.yml"))
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
        if task.get("run_once") and task.get("ignore_unreachable")
    ]
    assert found
    assert [f"{name}: {task['name']}" for name, task in found if not task.get("ignore_errors")] == []
