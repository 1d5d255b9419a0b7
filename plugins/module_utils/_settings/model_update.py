# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of the update of models, without the prefix ``model_update_``, and their problems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import check_base_url
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._update.evaluation import read_prompts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_BATCH = re.compile(r"[1-9][0-9]*|[1-9][0-9]?%|100%")


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return all problems of the values, each with the value and the solution."""
    found = []
    serial = values["serial"]
    if not serial or not all(_BATCH.fullmatch(batch) for batch in serial):
        found.append(
            f"model_update_serial is {', '.join(serial) or 'empty'}. It must be a list of numbers of servers and "
            'shares of them, for instance [1, "25%", "100%"].'
        )
    if values["keep"] < 0:
        found.append(f"model_update_keep is {values['keep']}. It must be a whole number, 0 or more.")
    if not 0 <= values["minimum_speed"] <= 1:
        found.append(
            f"model_update_minimum_speed is {values['minimum_speed']:g}. It must be a part of the old speed, "
            "from 0 to 1."
        )
    found += [
        f"model_update_{name} is {values[name]:g}. It must be more than 0 seconds."
        for name in ("prompt_timeout", "validator_timeout", "lock_seconds")
        if values[name] <= 0
    ]
    mail = {name: value for name, value in values["mail"].items() if value is not None}
    if mail and not (mail.get("from") and mail.get("to")):
        found.append("model_update_mail must have from and to.")
    return found + _read_problems(values)


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the absolute path of the reports' folder, and the mail options that are set."""
    mail = {name: value for name, value in values["mail"].items() if value is not None}
    return {"report_dir": str(Path(values["report_dir"]).expanduser().resolve()), "mail": mail}


def host_problems(values: Mapping[str, Any], fleet: Mapping[str, Any]) -> list[str]:
    """Return the values that do not fit the fleet, which has ``servers``, ``mirror`` and the run's ``hosts``."""
    servers, hosts = fleet["servers"], fleet["hosts"]
    found = []
    if not set(servers) & set(hosts):
        found.append(
            f"No server is among the hosts of this run ({', '.join(hosts)}); the servers are {', '.join(servers)}. "
            "Give another --limit, or none."
        )
    if values["canary"] and values["canary"] not in servers:
        found.append(
            f"model_update_canary is {values['canary']}, which is no server. It must be one of {', '.join(servers)}."
        )
    elif values["canary"] and fleet["mirror"] and values["canary"] != fleet["mirror"]:
        found.append(
            f"model_update_canary is {values['canary']}, and the other servers pull from the mirror of "
            f"{fleet['mirror']}, which has to be the first. Leave model_update_canary out, or set gateway_mirror to "
            "false."
        )
    return found


def _read_problems(values: Mapping[str, Any]) -> list[str]:
    """Return the problems that the parsers of prompts, addresses and names report."""
    return [
        *_problem(read_prompts, values["prompts"], "model_update_"),
        *_address_problem("model_update_webhook", values["webhook"].partition("?")[0]),
        *_address_problem("model_update_validator_metrics", values["validator_metrics"]),
        *(
            problem
            for name in values["model_rollback_models"]
            for problem in _problem(parse_model_name, name, "model_rollback_models: ")
        ),
    ]


def _address_problem(name: str, url: str) -> list[str]:
    return _problem(lambda text: check_base_url(text, name), url) if url else []


def _problem(read: Callable[[Any], object], value: Any, where: str = "") -> list[str]:
    try:
        read(value)
    except GizziError as error:
        return [f"{where}{error}"]
    return []
