# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a run of ``ansible-playbook`` before a task until a test continues it: see ``Lab.running`` in lab.testing.

So a test can act on a host at the same point of the run on every machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: hold
type: aggregate
short_description: Hold a run before a task
description:
  - Waits where the task named by the environment variable E(LAB_HOLD_TASK) begins for the time given by
    E(LAB_HOLD_TIMES), until somebody opens the FIFO named by E(LAB_HOLD_GATE) for writing and closes it.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Ansible calls callbacks in the process that distributes the tasks, and waits for them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hold"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Read the environment."""
        super().__init__()
        self._task = os.environ["LAB_HOLD_TASK"]
        self._left = int(os.environ["LAB_HOLD_TIMES"])
        self._gate = Path(os.environ["LAB_HOLD_GATE"])

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Wait before the chosen task; its name is printed already."""
        if task.name == self._task:
            self._left -= 1
            if self._left == 0:
                self._gate.read_bytes()
