# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role model_update_timer: their problems, values computed from them, and requirements for the host.

The values are those of the role's argument specification, with their types and without the prefix
``model_update_timer_``. Paths are on the control host, where the rules read the files; only ``metrics_dir`` and
``python`` are on the managed host.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.yaml import yaml_load

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._inventory import (
    inventory_entries,
    unreadable_files,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._program import (
    python_problems,
    wheelhouse_problems,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Ansible's own variables that the rules need.
OPTIONS = {
    "ansible_inventory_sources": {"type": "list", "elements": "str", "default": []},
    "ansible_user": {"type": "str"},
}

USER = "gizzi-model-update"
CONFIG = "/etc/gizzi-model-update"
INVENTORY = f"{CONFIG}/inventory"
HOME = "/var/lib/gizzi-model-update"
# The service must not write to node_exporter's folder. It writes to its own folder, and links point to that.
METRICS = "/var/lib/gizzi-model-update-metrics"
UNIT = "gizzi-model-update.service"
TIMER = "gizzi-model-update.timer"
# The sandbox needs at least this version of systemd.
SYSTEMD = 247
COLLECTION = Path(__file__).parents[3]
# The folders that a collection needs to run.
PARTS = ["meta", "playbooks", "plugins", "roles"]

_SPAN = re.compile(r"([0-9]+ ?(s|min|h|d|w)? ?)+")
_UNIT = re.compile(r"[A-Za-z0-9:_.@%-]+[.][a-z]+")
_FOLDER = re.compile(r"((/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*){2,})?")
_KNOWN_HOST = re.compile(r"[^\s#]+( [^\s]+){2}[^\n]*")


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return all problems of the values, each with the value and the solution."""
    # The list of files is made from this value; the removal uses this list too.
    found = _metrics_problems(values["metrics_dir"])
    if values["state"] == "absent":
        return found
    return [
        *found,
        *_schedule_problems(values),
        *_inventory_problems(values),
        *_secret_problems(values),
        *_known_hosts_problems(values["known_hosts"]),
        *_variable_problems(values),
        *_collection_problems(values["collections"]),
        *wheelhouse_problems("model_update_timer", _expanded(values["wheelhouse"])),
    ]


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the role's files and templates use; the given values have no problem."""
    absent = values["state"] == "absent"
    source = "" if absent else _inventory(values)
    is_file = source != "" and not Path(source).is_dir()
    return {
        "user": values["ansible_user"] or "",
        "version": _version(),
        "ssh_key": _expanded(values["ssh_key"]),
        "has_vault_password": values["vault_password_file"] != "",
        "vault_password_file": _expanded(values["vault_password_file"]),
        "wheelhouse": _expanded(values["wheelhouse"]),
        "inventory_on_host": f"{INVENTORY}/{Path(source).name}" if is_file else INVENTORY,
        "entries": [
            {"path": CONFIG, "kind": "folder", "group": USER, "mode": "0750"},
            {"path": HOME, "kind": "folder", "tree": True, "owner": USER, "group": USER, "mode": "0700"},
            *_metrics_entries(values["metrics_dir"]),
            *inventory_entries(Path(source) if source else None, INVENTORY, USER),
        ],
        "all_variables": {**_own_variables(), **values["variables"]},
        "collections": [
            {"source": str(COLLECTION), "name": "etrid/gizzi", "parts": PARTS},
            *({"source": one, "name": "/".join(Path(one).parts[-2:]), "parts": PARTS} for one in _folders(values)),
        ],
    }


def look(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of module host_state; the given values have no problem."""
    if values["state"] == "absent":
        return {}
    return {"calendars": [values["schedule"]], "pythons": [values["python"]], "units": [UNIT, TIMER]}


def host_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return the reasons why the host cannot update the fleet or cannot be changed now, from the result for look()."""
    found = python_problems("model_update_timer", values["python"], host)
    system, schedule = host["system"], values["schedule"]
    if system["service_manager"] != "systemd" or (system["systemd"] or 0) < SYSTEMD:
        found.append(f"The host does not run systemd {SYSTEMD} or newer, which the sandbox needs. Take one that does.")
    elif not host["calendars"][schedule].get("valid"):
        found.append(
            f'model_update_timer_schedule is "{schedule}", which systemd does not understand. Write it as in '
            'systemd.time(7), for instance "monthly" or "Tue *-*-01..07 03:00 UTC", and try it with systemd-analyze '
            "calendar."
        )
    if host["units"][UNIT].get("active") == "activating":
        found.append(
            f"The host updates the fleet at this moment. Wait until journalctl --follow --unit={UNIT} says that it is "
            "done, and run this again."
        )
    return found


def host_derived(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the timer is active, and the collections' path in a release, which is Python's package folder."""
    version = host["pythons"][values["python"]]["minor_version"]
    place = f"lib/python{version}/site-packages/ansible_collections"
    return {
        "running": host["units"][TIMER].get("active") == "active",
        "beside": [
            {"source": one["source"], "dest": f"{place}/{one['name']}", "parts": one["parts"]}
            for one in values["collections"]
        ],
    }


def _version() -> str:
    """Return the collection's version, from a checkout or an installed copy."""
    checkout = COLLECTION / "galaxy.yml"
    if checkout.is_file():
        return str(yaml_load(checkout.read_text(encoding="utf-8"))["version"])
    manifest = json.loads((COLLECTION / "MANIFEST.json").read_text(encoding="utf-8"))
    return str(manifest["collection_info"]["version"])


def _expanded(path: str) -> str:
    """Return a path of the control host, with its user's home folder for ~."""
    return str(Path(path).expanduser()) if path else ""


def _inventory(values: Mapping[str, Any]) -> str:
    """Return the inventory's path on the control host, "" where there is no inventory or more than one."""
    sources = values["ansible_inventory_sources"]
    return _expanded(values["inventory"] or (sources[0] if len(sources) == 1 else ""))


def _folders(values: Mapping[str, Any]) -> list[str]:
    return [_expanded(one).rstrip("/") for one in values["collections"]]


def _metrics_entries(folder: str) -> list[dict[str, Any]]:
    """Return the metrics folder, its files and their links; a link without a target is an error in node_exporter."""
    own = {"owner": USER, "group": USER}
    found: list[dict[str, Any]] = [{"path": METRICS, "kind": "folder", "tree": True, **own}]
    for name, link in (("run.prom", "gizzi-model-update.prom"), ("timer.prom", "gizzi-model-update-timer.prom")):
        found.append({"path": f"{METRICS}/{name}", "content": "", "initial": True, **own})
        place = {"path": f"{folder or METRICS}/{link}", "when": folder != ""}
        found.append({"kind": "link", "target": f"{METRICS}/{name}", **place})
    return found


def _own_variables() -> dict[str, str]:
    """Return the service's extra variables for Ansible, which replace those of the inventory.

    The inventory has paths of another machine, and may have less strict options. If an option is given twice,
    ssh uses the first one, which is the service's.
    """
    return {
        "ansible_ssh_private_key_file": f"{CONFIG}/ssh_key",
        "ansible_ssh_args": f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={CONFIG}/known_hosts -o BatchMode=yes "
        "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=15",
        "gizzi_authority_dir": f"{HOME}/authority",
        "model_update_report_dir": f"{HOME}/reports",
        "model_update_textfile": f"{METRICS}/run.prom",
    }


def _schedule_problems(values: Mapping[str, Any]) -> list[str]:
    """Return the problems of times and units; the host's systemd checks the schedule itself."""
    found = []
    delay, units = values["random_delay"], values["on_failure"]
    if "\n" in values["schedule"] or not values["schedule"]:
        found.append(f'model_update_timer_schedule is "{values["schedule"]}". Write one line, for instance "monthly".')
    if not _SPAN.fullmatch(delay):
        found.append(
            f'model_update_timer_random_delay is "{delay}", which is no time span. Write for instance "6h", '
            '"1h 30min", or "0" for none.'
        )
    if not all(_UNIT.fullmatch(one) for one in units):
        found.append(
            f'model_update_timer_on_failure is {units}. Name units, for instance ["mail-to-operators.service"].'
        )
    return found


def _inventory_problems(values: Mapping[str, Any]) -> list[str]:
    inventory, sources = _inventory(values), values["ansible_inventory_sources"]
    if not inventory:
        return [f"This run has {len(sources) or 'no'} inventories. Name the fleet's in model_update_timer_inventory."]
    if not Path(inventory).exists():
        return [
            f'The inventory "{inventory}" is no file or folder of the machine from which this is run. Name the '
            "fleet's in model_update_timer_inventory."
        ]
    return [
        f"The inventory's file {one} cannot be copied, as it is no readable text. Take it out of the "
        "inventory's folder."
        for one in unreadable_files(Path(inventory))
    ]


def _secret_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    key, password = values["ssh_key"], values["vault_password_file"]
    if not Path(_expanded(key)).is_file():
        found.append(
            f'model_update_timer_ssh_key is "{key}", and there is no such file on the machine from which this is run. '
            'Make a key with ssh-keygen -t ed25519 -N "", let it in on every host, and name its file.'
        )
    if password and not Path(_expanded(password)).is_file():
        found.append(
            f'model_update_timer_vault_password_file is "{password}", and there is no such file on the machine from '
            "which this is run. Name the file with the password of the inventory's vault, or leave it empty."
        )
    return found


def _known_hosts_problems(lines: list[str]) -> list[str]:
    if lines and all(_KNOWN_HOST.fullmatch(line) for line in lines):
        return []
    return [
        f"model_update_timer_known_hosts has {len(lines) or 'no'} lines, or one that is not of the form "
        '"192.0.2.1 ssh-ed25519 AAAA...". Run the playbook etrid.gizzi.model_update_timer, which takes the keys '
        "from the hosts, or write down what ssh-keyscan prints once you have compared it."
    ]


def _variable_problems(values: Mapping[str, Any]) -> list[str]:
    refused = [name for name in _own_variables() if name in values["variables"]]
    if not refused:
        return []
    return [f"model_update_timer_variables sets {' and '.join(refused)}, which the role sets itself. Leave it out."]


def _collection_problems(folders: list[str]) -> list[str]:
    wrong = [one for one in folders if not one.startswith(("/", "~")) or not Path(_expanded(one)).is_dir()]
    if not wrong:
        return []
    return [
        f"model_update_timer_collections has {', '.join(wrong)}, which is no folder of the machine from which this is "
        'run, by an absolute path. Name folders as "~/.ansible/collections/ansible_collections/community/general", '
        "where ansible-galaxy collection list shows them."
    ]


def _metrics_problems(folder: str) -> list[str]:
    if _FOLDER.fullmatch(folder):
        return []
    return [
        f'model_update_timer_metrics_dir is "{folder}". Name the absolute path of node_exporter\'s folder, without '
        'spaces, for instance "/var/lib/prometheus/node-exporter", or leave it empty.'
    ]
