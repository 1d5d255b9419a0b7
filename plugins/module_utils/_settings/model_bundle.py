# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of the playbook model_bundle, without the prefix ``model_bundle_``, and their problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._bundle import path_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_models import pulled_models

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return all problems of the values, each with the value and the solution."""
    return path_problems("model_bundle_file", values["file"] or "")


def host_problems(values: Mapping[str, Any], fleet: Mapping[str, Any]) -> list[str]:
    """Return the values that do not fit the fleet.

    The fleet has ``servers``, ``gizzi``, the ``hosts`` of this run, and ``about`` each host what role fleet says.
    """
    host = _host(values, fleet)
    if host not in fleet["servers"]:
        return [f"model_bundle_host is {host}, which is no server. It must be one of {', '.join(fleet['servers'])}."]
    if host not in fleet["hosts"]:
        return [
            f"The models are to come from {host}, which is not among the hosts of this run "
            f"({', '.join(fleet['hosts'])}). Give another --limit or model_bundle_host."
        ]
    if not _models(host, fleet):
        return [f"ollama_models of {host} has no model that is pulled, so there is nothing to write. Name one."]
    return []


def host_derived(values: Mapping[str, Any], fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``host`` that gives its ``models``, which are pulled ones, out of ``models_dir``."""
    host = _host(values, fleet)
    return {
        "host": host,
        "models": _models(host, fleet),
        "models_dir": fleet["about"][host]["ollama"]["models_dir"],
    }


def _host(values: Mapping[str, Any], fleet: Mapping[str, Any]) -> str:
    usual = fleet["gizzi"] if fleet["gizzi"] in fleet["servers"] else fleet["servers"][0]
    return str(values["host"] or usual)


def _models(host: str, fleet: Mapping[str, Any]) -> list[str]:
    return [model["name"] for model in pulled_models(fleet["about"][host]["models"])]
