# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role gizzi_api: their problems, values computed from them, and requirements for the host.

The values are those of the role's argument specification, with their types and without the prefix ``gizzi_api_``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import source_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._settings import _prometheus
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._guards import guard_before, wanted_guard
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._presets import presets, recorded_facts
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._program import (
    further_problems,
    merged,
    python_problems,
    toml_of,
    too_old,
    wheelhouse_problems,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._replaced import KEPT, replaced, unseen
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._thresholds import threshold_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._unit import is_address, parse_listen

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_DIR = "/etc/gizzi"
UNIT = "gizzi-api.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
GUARD = "gizzi-api"
# The path of the API's own documentation; the unit names it.
DOCUMENTATION = "/docs"
TOKEN_FILE = f"{CONFIG_DIR}/api.token"
# The sandbox needs at least this version of systemd.
SYSTEMD = 247

# Names that the role sets, and the variables from which it sets them.
_RESERVED = {
    "host": "gizzi_api_listen",
    "port": "gizzi_api_listen",
    "validators": "gizzi_api_validators",
    "thresholds": "gizzi_api_thresholds",
    "prometheus.job": "gizzi_api_node_job",
    "prometheus.label": "gizzi_api_validator_label",
    "prometheus.url": "gizzi_api_prometheus_url",
    "query.token_file": "gizzi_api_token",
}
_TOKEN = re.compile(r"([\x21-\x7e]{16,})?")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
# A label of Prometheus; those with two underscores at the beginning are its own.
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_ADDRESS = re.compile(r"[0-9A-Za-z.:-]+")
_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+[.]service")
# At least two levels, no blanks, and no part that starts with a dot.
_FOLDER = re.compile(r"((/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*){2,})?")


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return all problems of the values, each with the value and the solution."""
    # The list of files is made from these values; the removal uses this list too.
    found = [
        *_listen_problems(values["listen"]),
        *further_problems("gizzi_api_settings", values["settings"], _RESERVED, '{query: {mode: "off"}}'),
        *_preset_problems(values["settings"]),
        *_prometheus_problems(values),
    ]
    if values["state"] == "absent":
        return found
    return [
        *found,
        *_token_problems(values["token"]),
        *_validator_problems(values["validators"]),
        *threshold_problems("gizzi_api_thresholds", values["thresholds"]),
        *_number_problems(values),
        *(f"gizzi_api_allowed_sources: {one}." for one in source_problems(values["allowed_sources"])),
        *wheelhouse_problems("gizzi_api", values["wheelhouse"]),
    ]


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the role's files and templates use; the given values have no problem."""
    listen = parse_listen(values["listen"])
    settings = merged(_own_settings(values), values["settings"])
    return {
        "url": listen.url,
        "port": listen.port,
        "on_loopback": listen.on_loopback,
        # The content of the program's file.
        "config": toml_of(settings),
        "config_dir": CONFIG_DIR,
        "token_file": TOKEN_FILE,
        "facts": recorded_facts(
            settings["prometheus"]["preset"],
            settings.get("expressions", {}),
            {"JOB": json.dumps(values["node_job"], ensure_ascii=False)[1:-1], "LABEL": values["validator_label"]},
            values["thresholds"]["stall_seconds"],
        ),
        "target": listen.url[len("http://") :],
        "targets": [
            {"host": _in_url(one["address"]), "number": str(one["number"]), "name": one["name"]}
            for one in values["validators"]
        ],
    }


def look(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of module host_state; the given values have no problem."""
    if values["state"] == "absent":
        return {"takeover": ["gizzi_api"]}
    return {
        "commands": ["promtool"],
        "guards": True,
        "pythons": [values["python"]],
        "takeover": ["gizzi_api"],
        "units": [UNIT],
        "urls": _prometheus.addresses(values),
    }


def host_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what the host lacks for these values; ``host`` is the result for look()."""
    system, found = host["system"], unseen(host["takeover"]["gizzi_api"])
    if values["state"] == "absent":
        return found
    if not _old_python(values, host):
        found += python_problems("gizzi_api", values["python"], host)
    if system["service_manager"] != "systemd" or (system["systemd"] or 0) < SYSTEMD:
        found.append(
            f"The host does not run systemd {SYSTEMD} or newer, which the sandbox needs. Run the API on one that does."
        )
    return found


def host_derived(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the API runs, promtool's path, the guard, and the previous address and guard, for a restore.

    And what the API alone waits for, see _lacks.
    """
    earlier = host["takeover"]["gizzi_api"]
    taken = replaced(earlier["files"], [], [UNIT_PATH], earlier["left"])
    if values["state"] == "absent":
        return taken
    unit = host["units"][UNIT]
    page = unit.get("documentation", "")
    is_page = page.startswith("http://") and page.endswith(DOCUMENTATION)
    return {
        "lacks": _lacks(values, host),
        "running": unit.get("active") == "active",
        "guards": wanted_guard(
            GUARD, UNIT, values["port"], values["allowed_sources"], not values["on_loopback"], host["guards"]
        ),
        "promtool": host["commands"]["promtool"] or "",
        "note": {
            "url": f"{page[: -len(DOCUMENTATION)]}/healthz" if is_page else "",
            "guards": guard_before(GUARD, UNIT, host["guards"]),
            **({"replaced": UNIT_PATH} if UNIT_PATH in earlier["files"] else {}),
        },
        **taken,
    }


def host_notes(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what stops the API alone and later, or what becomes of an earlier API server."""
    lacks = [] if values["state"] == "absent" else _lacks(values, host)
    if lacks:
        end = (
            "Until this is solved, the Gizzi API is not installed and not changed. Everything else of the run is done."
        )
        return ["\n".join([*lacks, end])]
    files = host["takeover"]["gizzi_api"]["files"]
    done = "stopped" if values["state"] == "absent" else "replaced"
    return [
        f"An API server that this collection has not installed is {done}: {' and '.join(files)} are {KEPT}."
    ] * bool(files)


def _lacks(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what stops the API alone, and nothing else of a fleet: a Python that is too old, and Prometheus."""
    old = _old_python(values, host)
    return [*([old] if old else []), *_prometheus.missing(values, host["urls"])]


def _old_python(values: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    return too_old("gizzi_api", values["python"], host["pythons"][values["python"]])


def _own_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the role's own settings, and those that the alerts need even if they have the program's default."""
    listen = parse_listen(values["listen"])
    return {
        "host": listen.host.strip("[]"),
        "port": listen.port,
        "validators": [{"number": one["number"], "name": one["name"]} for one in values["validators"]],
        "prometheus": {
            "url": values["prometheus_url"],
            "preset": "substrate",
            "job": values["node_job"],
            "label": values["validator_label"],
        },
        "thresholds": values["thresholds"],
        "query": {"token_file": TOKEN_FILE} if values["token"] else {},
    }


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _listen_problems(listen: str) -> list[str]:
    host, _colon, port = listen.rpartition(":")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) and 1024 <= int(port) < 65536
    if is_port and (host == "localhost" or is_address(host)):
        return []
    return [
        f'gizzi_api_listen is "{listen}". Write an address and a port from 1024 up, for instance "127.0.0.1:8080" or '
        '"[::]:8080".'
    ]


def _token_problems(token: str) -> list[str]:
    if _TOKEN.fullmatch(token):
        return []
    return [
        "gizzi_api_token is not at least 16 visible ASCII characters. Make one, for instance with openssl rand -hex 32."
    ]


def _validator_problems(validators: list[dict[str, Any]]) -> list[str]:
    if not validators:
        return [
            "gizzi_api_validators is empty. List the validators of the network, for instance [{number: 1, name: "
            "validator01, address: 192.0.2.1}]."
        ]
    found = []
    for key in ("number", "name"):
        twice = [str(value) for value, times in Counter(one[key] for one in validators).items() if times > 1]
        if twice:
            found.append(f"gizzi_api_validators has a {key} twice: {', '.join(twice)}. Give each validator its own.")
    for one in validators:
        if one["number"] < 0:
            found.append(f"gizzi_api_validators has the number {one['number']}. It must be 0 or more.")
        if not _NAME.fullmatch(one["name"]):
            found.append(
                f"gizzi_api_validators has the name {one['name']!r}. It must have 1 to 64 characters on one line."
            )
        if not _ADDRESS.fullmatch(one["address"]):
            found.append(
                f'gizzi_api_validators has the address {one["address"]!r}, which is none. Write it as in "192.0.2.1", '
                '"2001:db8::1" or "validator01.example.org".'
            )
    return found


def _preset_problems(settings: Mapping[str, Any]) -> list[str]:
    """Return problems of settings that the alerts share with the API."""
    prometheus, expressions = settings.get("prometheus", {}), settings.get("expressions", {})
    found = []
    if isinstance(prometheus, dict):
        preset = prometheus.get("preset", "substrate")
        if preset not in presets():
            known = " or ".join(presets())
            found.append(f"gizzi_api_settings has the preset {preset!r}. It must be {known}.")
    else:
        found.append("gizzi_api_settings has a prometheus that is no table. Give it settings, as in {preset: etrid}.")
    if not isinstance(expressions, dict) or not all(isinstance(one, str) for one in expressions.values()):
        found.append("gizzi_api_settings has expressions that are no texts. Write PromQL, as in {peers: my_peers}.")
    return found


def _number_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    if values["start_timeout"] < 1:
        found.append(f"gizzi_api_start_timeout is {values['start_timeout']}. It must be 1 or more.")
    return found + [
        f"gizzi_api_{name} is {values[name]}. It goes from 1 to 65535."
        for name in ("node_port", "node_exporter_port")
        if not 1 <= values[name] <= 65535
    ]


def _prometheus_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    url, folder, unit = values["prometheus_url"], values["prometheus_dir"], values["prometheus_service"]
    if not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", url):
        found.append(
            f'gizzi_api_prometheus_url is "{_without_user(url)}". It must start with http:// or https://, and have no '
            "user, password, query or blank."
        )
    if not _FOLDER.fullmatch(folder):
        found.append(
            f'gizzi_api_prometheus_dir is "{folder}". Name an absolute path to a folder of its own, without spaces, '
            'for instance "/etc/prometheus/gizzi", or leave it empty.'
        )
    if not _UNIT.fullmatch(unit):
        found.append(f'gizzi_api_prometheus_service is "{unit}". Name a unit, for instance "prometheus.service".')
    return [*found, *_scrape_problems(values)]


def _without_user(url: str) -> str:
    return re.sub(r"//[^/]*@", "//…@", url)


def _scrape_problems(values: Mapping[str, Any]) -> list[str]:
    """Return problems of the names by which Prometheus scrapes."""
    found = []
    label = values["validator_label"]
    if not _LABEL.fullmatch(label) or label in ("instance", "job"):
        found.append(
            f"gizzi_api_validator_label is {label!r}. Name a label with letters, digits and _ that has the validator's "
            "number and is neither job nor instance."
        )
    found += [
        f"gizzi_api_{name} is {values[name]!r}. It must have 1 to 64 characters on one line."
        for name in ("node_job", "node_exporter_job")
        if not _NAME.fullmatch(values[name])
    ]
    if len({values["node_job"], values["node_exporter_job"], "gizzi-api"}) < 3:
        found.append(
            f"gizzi_api_node_job is {values['node_job']!r} and gizzi_api_node_exporter_job is "
            f"{values['node_exporter_job']!r}. They must differ, and neither may be gizzi-api, the API's own job."
        )
    return found
