# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes models of a host's store into one file on the control host."""

from __future__ import annotations

import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _bundle

MODULE = "etrid.gizzi.model_bundle"
display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return sha256, size and models, as module model_bundle describes them."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        looked: dict[str, t.Any] = self._execute_module(MODULE, arguments, task_vars=task_vars)
        if looked.get("failed"):
            return looked
        try:
            models = {
                name: _bundle.entry(one["manifest"], one["header"], one["header_error"])
                for name, one in looked["models"].items()
            }
            blobs = _HostBlobs(self, arguments, task_vars or {})
            written = _bundle.write(Path(str(arguments["path"])), models, blobs, bool(self._task.check_mode))
        except (KeyError, ValueError) as error:
            raise AnsibleActionFail(f"What the host says of its models cannot be read: {error}.") from None
        except GizziError as error:
            raise AnsibleActionFail(str(error)) from None
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return {"changed": written.changed, "sha256": written.sha256, "size": written.size, "models": sorted(models)}


class _HostBlobs:
    """The blobs of the host's store, brought here part for part."""

    def __init__(self, action: ActionModule, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
        self._action = action
        self._arguments = arguments
        self._task_vars = task_vars

    def read(self, digest: str, start: int, target: _bundle.Target) -> int:
        """Write the part of a blob that begins at a byte to a target; return its bytes, 0 behind the end."""
        action, shell = self._action, self._action._connection._shell
        if shell.tmpdir is None:
            action._make_tmp_path()
        part: str = shell.join_path(shell.tmpdir, "part")
        arguments = {**self._arguments, "part": {"digest": digest, "start": start, "path": part}}
        result: dict[str, t.Any] = action._execute_module(MODULE, arguments, task_vars=self._task_vars)
        if result.get("failed"):
            raise GizziError(str(result.get("msg", "The host did not say why it failed.")))
        # A folder, since a connection may replace the file or write into it.
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as folder:
            here = Path(folder) / "part"
            action._connection.fetch_file(part, str(here))
            with here.open("rb") as file:
                shutil.copyfileobj(file, target, 1024 * 1024)
            count = here.stat().st_size
        display.v(f"model_bundle: {digest[:19]}: {human_bytes(start + count)}")
        return count
