# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads one host's state for the playbooks verify and diagnose: decides which modules to run there, and runs them."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import Step, first_step, parse_wanted, steps
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import token

SPEC = {
    "about": {"type": "str", "choices": ["verify", "diagnose"], "required": True},
    "wanted": {"type": "dict", "required": True},
    "token_secret": {"type": "str", "default": "", "no_log": True},
    "ca": {"type": "str", "default": ""},
    "blobs": {"type": "bool", "default": False},
    "answer_timeout": {"type": "float", "default": 300},
}
# Run only on request; otherwise the result is marked as skipped.
NOT_ASKED = ("blobs",)


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return every module's result in ``seen``, as module fleet_look describes it."""
        super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(argument_spec=SPEC)
        about = arguments["about"]
        try:
            wanted = parse_wanted(arguments["wanted"])
        except KeyError as error:
            raise AnsibleActionFail(f"wanted does not say what the host is to be: {error} is missing.") from None

        def look(step: Step) -> t.Any:
            return self._execute_module(step.module, step.options, task_vars=task_vars)

        secret = arguments["token_secret"]
        access = Access(token(secret, (task_vars or {})["inventory_hostname"]) if secret else "", arguments["ca"])
        seen = {name: {"skipped": True} for name in NOT_ASKED}
        first = first_step(about, wanted, access)
        seen[first.name] = look(first)
        if "system" not in seen[first.name]:
            # The login or become has failed.
            return {"changed": False, "seen": seen}
        todo = steps(about, wanted, access, arguments["blobs"], arguments["answer_timeout"])
        seen.update({step.name: look(step) for step in todo})
        return {"changed": False, "seen": seen}
