# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control host's part of module python_release: pack the program and send it."""

from __future__ import annotations

import hashlib
import tempfile
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils._program import Program, program

MODULE = "etrid.gizzi.python_release"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        version = str(arguments.get("version") or "")
        try:
            found = program(
                Path(arguments["source"]),
                version,
                str(arguments.get("wheelhouse") or ""),
                [(Path(one["source"]), one["dest"], one.get("parts")) for one in arguments.get("beside") or []],
            )
        except KeyError as error:
            raise AnsibleActionFail(f"python_release needs {error}.") from None
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        arguments.update(version=found.version, content=found.checksum(), program=not version)
        result: dict[str, t.Any] = self._execute_module(MODULE, arguments, task_vars=task_vars)
        if result.get("failed") or not result.get("changed") or self._task.check_mode:
            return result
        return self._built(found, arguments, result, task_vars)

    def _built(
        self, found: Program, arguments: dict[str, t.Any], looked: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        """Send the program and build it on the host; install the missing package first."""
        if looked["missing_package"]:
            package = {
                "name": looked["missing_package"],
                "install_recommends": False,
                "update_cache": True,
                "cache_valid_time": 86400,
            }
            installed: dict[str, t.Any] = self._execute_module("ansible.builtin.apt", package, task_vars=task_vars)
            if installed.get("failed"):
                return installed
        packed = found.pack()
        try:
            with tempfile.NamedTemporaryFile(prefix="python-release.") as archive:
                archive.write(packed)
                archive.flush()
                place = self._send(archive.name)
            arguments.update(archive=place, checksum=hashlib.sha256(packed).hexdigest())
            result: dict[str, t.Any] = self._execute_module(MODULE, arguments, task_vars=task_vars)
            return result
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _send(self, archive: str) -> str:
        """Send a file to Ansible's folder for this task on the host, and return its path there."""
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        place: str = self._connection._shell.join_path(folder, "program.tar")
        self._transfer_file(archive, place)
        self._fixup_perms2((folder, place))
        return place
