# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from ansible_collections.etrid.gizzi.plugins.action import run_lock

ME = {"user": "ops", "host": "control", "boot_id": "b1", "pid": 10, "start": 100}
DEAD = {**ME, "pid": 9}


class Calls(list[dict[str, Any]]):
    """What the module was called with."""


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*results: dict[str, Any], ended: bool) -> tuple[dict[str, Any], Calls]:
        calls, answers = Calls(), list(results)
        action = run_lock.ActionModule(
            Mock(args={"path": "/var/lib/x.lock"}, async_val=0), Mock(), Mock(), Mock(), Mock(), Mock()
        )

        def execute(name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            assert name == "etrid.gizzi.run_lock"
            calls.append(arguments)
            return answers.pop(0)

        monkeypatch.setattr(action, "_execute_module", execute)
        monkeypatch.setattr(run_lock, "myself", lambda: ME)
        monkeypatch.setattr(run_lock, "has_ended", lambda holder, me: ended and (holder, me) == (DEAD, ME))
        return action.run(task_vars={}), calls

    return run


def test_tells_the_module_who_runs_the_playbook(act: Any) -> None:
    result, calls = act({"changed": False}, ended=False)
    assert result == {"changed": False}
    assert calls == [{"path": "/var/lib/x.lock", "holder": ME}]


def test_takes_over_from_a_process_that_has_ended(act: Any) -> None:
    result, calls = act({"failed": True, "held_by": DEAD}, {"taken_from": "ops@control"}, ended=True)
    assert result == {"taken_from": "ops@control"}
    assert calls[1] == {"path": "/var/lib/x.lock", "holder": ME, "ended": DEAD}


def test_leaves_a_living_process_alone(act: Any) -> None:
    result, calls = act({"failed": True, "held_by": DEAD}, ended=False)
    assert result["failed"] is True
    assert len(calls) == 1
