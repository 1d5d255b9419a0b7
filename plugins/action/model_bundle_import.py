# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings models from a bundle on the control host into the store of a host."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._store_parts import PART
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _bundle

MODULE = "etrid.gizzi.model_bundle_import"
display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return models and sent, as module model_bundle_import describes them."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        looked: dict[str, t.Any] = self._execute_module(MODULE, arguments, task_vars=task_vars)
        if looked.get("failed") or not looked.get("changed") or self._task.check_mode:
            return looked
        try:
            if looked["blobs"]:
                bundle = _bundle.Bundle(Path(str(arguments["path"])))
                for blob in looked["blobs"]:
                    failed = self._send(bundle, blob, arguments, task_vars)
                    if failed:
                        return failed
            result: dict[str, t.Any] = self._execute_module(MODULE, {**arguments, "finish": True}, task_vars=task_vars)
            return result if result.get("failed") else {**looked, "warnings": result.get("warnings", [])}
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _send(
        self,
        bundle: _bundle.Bundle,
        blob: dict[str, t.Any],
        arguments: dict[str, t.Any],
        task_vars: dict[str, t.Any] | None,
    ) -> dict[str, t.Any] | None:
        """Send what the host lacks of a blob; return the result of a call that failed."""
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        place: str = shell.join_path(shell.tmpdir, "part")
        digest, there, size = blob["digest"], blob["there"], blob["size"]
        while True:
            with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP, prefix="part.") as part:
                bundle.copy(digest, there, PART, part)
                part.flush()
                self._transfer_file(part.name, place)
            self._fixup_perms2((shell.tmpdir, place))
            sent = {"digest": digest, "start": there, "size": size, "path": place}
            result: dict[str, t.Any] = self._execute_module(MODULE, {**arguments, "part": sent}, task_vars=task_vars)
            if result.get("failed"):
                return result
            there = result["there"]
            display.v(f"model_bundle_import: {digest[:19]}: {human_bytes(there)} of {human_bytes(size)}")
            if there >= size:
                return None
