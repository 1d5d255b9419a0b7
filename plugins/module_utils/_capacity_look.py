# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at whether a host suffices for its models, as modules host_capacity and host_state give it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._capacity_checks import Terms, survey
from ansible_collections.etrid.gizzi.plugins.module_utils._demand import demand_of
from ansible_collections.etrid.gizzi.plugins.module_utils._memory import parse_limit, parse_settings
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_servable_name
from ansible_collections.etrid.gizzi.plugins.module_utils._offered import parse_offers
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import DEFAULT_REGISTRY, registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._demand import Demand

ARGUMENTS: dict[str, dict[str, Any]] = {
    "models": {"type": "list", "elements": "str", "default": []},
    "models_dir": {"type": "path", "default": "/var/lib/ollama/models"},
    "port": {"type": "int", "default": 11434},
    "reserved_memory": {"type": "int", "default": 4_000_000_000},
    "memory_max": {"type": "str", "default": ""},
    "context_length": {"type": "int", "default": 4096},
    "prompt_cache": {"type": "int", "default": 0},
    "version": {"type": "str", "default": ""},
    "reserved_disk": {"type": "int", "default": 10_000_000_000},
    "min_cpus": {"type": "int", "default": 2},
    "registry": {"type": "str", "default": DEFAULT_REGISTRY},
    "offered": {"type": "dict", "default": {}},
    "old_store": {"type": "path", "default": ""},
}


def look(params: Mapping[str, Any]) -> tuple[dict[str, Any], Demand]:
    """Return what module host_capacity describes, and what the models need; raise GizziError for a wrong value."""
    store = Store(Path(params["models_dir"]))
    names = [parse_servable_name(name) for name in params["models"]]
    settings = parse_settings(params["context_length"], params["prompt_cache"], params["version"])
    limit = parse_limit(params["memory_max"])
    offers = parse_offers(params["offered"])
    old = Store(Path(params["old_store"])) if params["old_store"] else None
    demand = demand_of(names, store, registry_at(params["registry"]), settings, offers, old)
    terms = Terms(params["reserved_memory"], params["reserved_disk"], limit, params["min_cpus"], params["port"])
    return survey(Host(), store, demand, terms), demand
