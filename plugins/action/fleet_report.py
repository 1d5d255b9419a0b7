# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluates on the control host what the playbooks verify and diagnose have read from the fleet."""

from __future__ import annotations

import json
import os
import time
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.etrid.gizzi.plugins.module_utils._report._fleet import Fleet, Report, diagnosed, verified
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import parse_wanted

JUDGES = {"verify": verified, "diagnose": diagnosed}
# The variable that the task with action fleet_look registers. It does not contain the host's facts.
REGISTERED = "__gizzi_look"
SPEC = {
    "about": {"type": "str", "choices": list(JUDGES), "required": True},
    "fleet": {"type": "dict", "required": True},
    "folder": {"type": "str", "default": "reports"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types.
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return rows, summary, table and report, as module fleet_report describes them."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _validated, arguments = self.validate_argument_spec(argument_spec=SPEC)
        fleet = seen_fleet(arguments["fleet"], variables)
        report = JUDGES[arguments["about"]](fleet)
        path = write(report, arguments["about"], fleet.topology, arguments["folder"])
        table = f"{report.table}\nReport: {path}"
        return {"changed": False, "rows": report.rows, "summary": report.summary, "table": table, "report": path}


def seen_fleet(settings: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any]) -> Fleet:
    """Return the results of this play's hosts; raise AnsibleActionFail where the settings are incomplete."""
    hosts = [str(name) for name in variables["ansible_play_hosts_all"]]
    still_here = set(variables["ansible_play_hosts"])
    try:
        wanted = {name: parse_wanted(settings["hosts"][name]["wanted"]) for name in hosts}
        topology, expected = settings["topology"], settings["expected_validators"]
    except (KeyError, TypeError) as error:
        raise AnsibleActionFail(f"fleet does not say of each host what it is to be: {error}.") from None
    return Fleet(
        topology=topology,
        expected=expected,
        wanted=wanted,
        seen={name: registered(variables["hostvars"], name) for name in hosts if name in still_here},
        lost=[name for name in hosts if name not in still_here],
    )


def registered(hostvars: t.Any, name: str) -> dict[str, t.Any]:
    """Return a host's results without evaluating templates in them.

    If the login has failed, only the result of the first module exists.
    """
    result = hostvars.raw_get(name).get(REGISTERED)
    seen = result.get("seen") if isinstance(result, dict) else None
    return seen if isinstance(seen, dict) else {"state": result}


def write(report: Report, about: str, topology: str, folder: str) -> str:
    """Write the report on the control host as JSON that only its owner can read, and return its path."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = Path(folder).expanduser().resolve() / f"{about}-{when}.json"
    content = {
        "playbook": f"etrid.gizzi.{about}",
        "time": when,
        "topology": topology,
        "summary": report.summary,
        "results": report.rows,
    }
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Replace a report from the same second.
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=4)
            file.write("\n")
    except OSError as error:
        raise AnsibleActionFail(
            f"The report {path} cannot be written: {error.strerror}. Set gizzi_report_dir."
        ) from error
    return str(path)
