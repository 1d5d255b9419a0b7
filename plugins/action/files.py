# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control host's part of module files: the content of the role's templates and files."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

MODULE = "etrid.gizzi.files"
# Ansible's own text has the control host's name and a date, so files would differ for each control host.
MANAGED = "Written by Ansible, collection etrid.gizzi: a change here is lost."
# The same as in module template.
OVERRIDES = {"trim_blocks": True}
SOURCES = ("template", "source", "content")


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        entries = arguments.get("files") or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise AnsibleActionFail("files is no list of entries.")
        present = arguments.get("state", "present") == "present"
        contents = [self._content(entry, task_vars or {}) if present else None for entry in entries]
        secret = [boolean(entry.get("secret", False), strict=False) for entry in entries]
        arguments["files"] = [
            {
                **{key: value for key, value in entry.items() if key not in (*SOURCES, "vars")},
                **({} if hidden or content is None else {"content": content}),
            }
            for entry, content, hidden in zip(entries, contents, secret)
        ]
        arguments["secrets"] = {
            entry.get("path", ""): content
            for entry, content, hidden in zip(entries, contents, secret)
            if hidden and content is not None
        }
        result: dict[str, t.Any] = self._execute_module(MODULE, arguments, task_vars=task_vars)
        return result

    def _content(self, entry: dict[str, t.Any], task_vars: dict[str, t.Any]) -> str | None:
        """Return an entry's content, None for an entry that has none or is not wanted."""
        given = [name for name in SOURCES if entry.get(name) is not None]
        if len(given) > 1:
            raise AnsibleActionFail(f"{entry.get('path')} has {' and '.join(given)}: one of them is enough.")
        if not given or not boolean(entry.get("when", True), strict=False):
            return None
        if given[0] == "content":
            return str(entry["content"])
        path = Path(self._find_needle("templates" if given[0] == "template" else "files", entry[given[0]]))
        if given[0] == "source":
            return path.read_text(encoding="utf-8")
        try:
            return self._rendered(path, {**task_vars, **(entry.get("vars") or {}), "ansible_managed": MANAGED})
        except AnsibleError as error:
            # The reason may contain a part of the secret.
            shown = "." if boolean(entry.get("secret", False), strict=False) else f": {error}"
            raise AnsibleActionFail(f"{entry.get('path')}: {entry['template']} could not be rendered{shown}") from None

    def _rendered(self, path: Path, variables: dict[str, t.Any]) -> str:
        """Return a template's text, with the search path of module template."""
        folders = [*variables.get("ansible_search_path", []), self._loader.get_basedir(), str(path.parent)]
        search = [place for folder in folders for place in (f"{folder}/templates", folder)]
        templar = self._templar.copy_with_new_env(searchpath=search, available_variables=variables)
        text = trust_as_template(self._loader.get_text_file_contents(str(path)))
        return str(templar.template(text, escape_backslashes=False, overrides=OVERRIDES) or "")
