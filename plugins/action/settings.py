# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of roles, converted and checked on the control host, and the host's state that they need."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _settings

display = Display()
SPEC = {
    "role": {"type": "str"},
    "roles": {"type": "list", "elements": "str"},
    "given": {"type": "dict"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            SPEC, mutually_exclusive=[("role", "roles"), ("roles", "given")], required_one_of=[("role", "roles")]
        )
        single = arguments["role"]
        try:
            found = [self._values(role, task_vars or {}) for role in ([single] if single else arguments["roles"])]
            if not any(one.problems for one in found):
                host = arguments["given"] or self._host(found, task_vars or {})
                if host.get("failed"):
                    # Return only the reason: facts in the host's answer would become variables.
                    return {
                        "failed": True,
                        "msg": f"The host cannot be looked at: {host.get('msg', 'no reason given')}",
                    }
                found = [one.on(host, fleet=not single) if arguments["given"] or one.look else one for one in found]
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        problems = list(dict.fromkeys(problem for one in found for problem in one.problems))
        if problems:
            return {"failed": True, "msg": "\n".join(problems)}
        values = found[0].values if single else {one.role: one.values for one in found}
        for note in (note for one in found for note in one.notes):
            display.warning(f"{(task_vars or {})['inventory_hostname']}: {note}")
        # Some values are secrets, and the others are not needed in the output of every run.
        return {"changed": False, "_ansible_no_log": True, **values}

    def _values(self, role: str, task_vars: dict[str, t.Any]) -> _settings.Judged:
        return _settings.settings(role, self._task, task_vars, self._templar)

    def _host(self, found: list[_settings.Judged], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Read the host's state for all roles in one call; without a call where no role needs it."""
        options = _settings.one_look(one.look for one in found)
        if not options:
            return {}
        host: dict[str, t.Any] = self._execute_module("etrid.gizzi.host_state", options, task_vars=task_vars)
        for warning in host.get("capacity", {}).get("warnings", []):
            display.warning(warning)
        return host
