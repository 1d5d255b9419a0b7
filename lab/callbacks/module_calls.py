# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the modules that a run of ``ansible-playbook`` sends to each host: see ``Lab.counted`` in lab.testing.

A task may send none (debug), one (command) or several (template), so modules are counted where actions run them.
"""

from __future__ import annotations

import json
import os
from functools import wraps
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: module_calls
type: aggregate
short_description: Note each module that is sent to a host
description:
  - Appends a line of JSON, with host, task and module, to the file named by the environment variable
    E(LAB_MODULE_CALLS).
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Ansible loads callbacks before it starts the worker processes; so the workers have the changed method too."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_calls"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Make every module call write a note."""
        super().__init__()
        path = Path(os.environ["LAB_MODULE_CALLS"])
        execute = ActionBase._execute_module

        @wraps(execute)
        def noted(action: Any, module_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
            variables = kwargs.get("task_vars") or (args[2] if len(args) > 2 else {})
            task = action._task
            host = task.delegate_to or variables.get("inventory_hostname", "")
            line = json.dumps({"host": host, "task": task.get_name(), "module": module_name or task.action})
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
            return execute(action, module_name, *args, **kwargs)

        ActionBase._execute_module = noted
