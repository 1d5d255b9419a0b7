# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes known_hosts lines on the control host from the answers of the fleet's hosts."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._host_keys import known_hosts

# The variable that the task with module host_state registers.
REGISTERED = "__gizzi_keys"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return lines, as module fleet_host_keys describes them; fail where a host has no answer."""
        super().run(tmp, task_vars)
        hostvars = (task_vars or {})["hostvars"]
        _validated, arguments = self.validate_argument_spec({"fleet": {"type": "dict", "required": True}})
        hosts = arguments["fleet"]["hosts"]
        answers = {name: hostvars.raw_get(name).get(REGISTERED) for name in hosts}
        keys = {name: answer.get("ssh_host_keys") for name, answer in answers.items() if isinstance(answer, dict)}
        lines, missing = known_hosts({name: host["ssh_name"] for name, host in hosts.items()}, keys)
        if missing:
            names = ", ".join(missing)
            return {
                "failed": True,
                "msg": f"The timer logs in to the whole fleet, and this run has not read the keys of {names}. Run it "
                "without --limit, and see that each of them has keys in /etc/ssh.",
            }
        return {"changed": False, "lines": lines}
