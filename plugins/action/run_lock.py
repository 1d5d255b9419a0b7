# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control host's part of module run_lock: the process that runs the playbook."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.plugin_utils._holder import has_ended, myself

MODULE = "etrid.gizzi.run_lock"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        me = myself()
        arguments = {**self._task.args, "holder": me}
        result: dict[str, t.Any] = self._execute_module(MODULE, arguments, task_vars=task_vars)
        held_by = result.get("held_by")
        if held_by and has_ended(held_by, me):
            # Replace only this holder: another run may have the lock now.
            result = self._execute_module(MODULE, {**arguments, "ended": held_by}, task_vars=task_vars)
        return result
