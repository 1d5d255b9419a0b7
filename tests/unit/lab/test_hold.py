"""A run of a playbook that is held before a task until a test lets it go on."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from lab.callbacks.hold import CallbackModule
from lab.testing import wait_until

TASKS = ["Pull", "Load", "Judge", "Load", "Load"]


def test_it_stands_before_the_task_at_the_time_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    for name, value in {"TASK": "Load", "TIMES": "2", "GATE": str(gate)}.items():
        monkeypatch.setenv(f"LAB_HOLD_{name}", value)
    callback, begun = CallbackModule(), []

    def run() -> None:
        for name in TASKS:
            callback.v2_playbook_on_task_start(SimpleNamespace(name=name), is_conditional=False)
            begun.append(name)

    playbook = Thread(target=run, daemon=True)
    playbook.start()
    held = wait_until(lambda: os.open(gate, os.O_WRONLY | os.O_NONBLOCK), 10, "it stands at the gate")
    assert begun == TASKS[:3]
    os.close(held)
    playbook.join(10)
    assert begun == TASKS
