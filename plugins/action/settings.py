# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a role, typed and checked on the control host."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _settings


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            {"role": {"type": "str", "required": True}, "host": {"type": "dict"}}
        )
        try:
            values, problems = _settings.settings(
                arguments["role"], arguments["host"], self._task, task_vars or {}, self._templar
            )
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from error
        if problems:
            return {"failed": True, "msg": "\n".join(problems)}
        # Some of the values are secrets, and nobody has to read the others at every run.
        return {"changed": False, "_ansible_no_log": True, **values}
