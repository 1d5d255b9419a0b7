# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps the fleet's authority and the gateways' certificates on the control host."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _authority, _certificates

display = Display()
SPEC = {
    "folder": {"type": "path", "required": True},
    "authority_key": {"type": "str", "no_log": True, "default": ""},
    "hosts": {"type": "dict", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return authority, certificates and expires, as module gateway_certificates describes them."""
        super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(SPEC)
        now = _authority.clock()
        folder = Path(arguments["folder"])
        try:
            kept = _certificates.certificates(
                folder, arguments["hosts"], arguments["authority_key"], now, bool(self._task.check_mode)
            )
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        for name, reason in kept.reasons.items():
            display.v(f"gateway_certificates: {name}: {reason}")
        return {
            "changed": bool(kept.reasons),
            # The keys are secret.
            "_ansible_no_log": True,
            "authority": kept.authority.certificate_pem(),
            "certificates": {
                name: {"certificate": pair.certificate_pem(), "key": pair.key_pem()}
                for name, pair in kept.hosts.items()
            },
            "expires": {name: pair.expires(now) for name, pair in kept.hosts.items()},
        }
