# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a bundle of models on the control host."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_digest
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _bundle

SPEC = {
    "path": {"type": "path", "required": True},
    "sha256": {"type": "str", "required": True},
    "models": {"type": "list", "elements": "str"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return models, as module model_bundle_info describes them."""
        super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(SPEC)
        path = Path(arguments["path"])
        try:
            wanted = parse_digest(arguments["sha256"])
            found = _bundle.sha256_of(path)
            if found != wanted:
                raise GizziError(
                    f"The bundle {path} has the SHA-256 {found}, and not {wanted} as given. Copy it again, or give the "
                    "one that its making has printed. Nothing was changed."
                )
            models = _bundle.Bundle(path).models
            names = {text: str(parse_model_name(text)).lower() for text in arguments["models"] or models}
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        known = {name.lower(): one for name, one in models.items()}
        return {
            "changed": False,
            "models": {text: known.get(name) or _bundle.absent(path, text) for text, name in names.items()},
        }
