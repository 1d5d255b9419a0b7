# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a host's state: each requested section.

On a host, Python compiles a module's imports at each call. So large files are imported only where they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _accounts as accounts
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _asked as asked
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _environment as ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _journal as journal
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _paths as files
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _ports as network
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _processes as running
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _pythons as programs
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _resources as resources
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _system as basics
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _units as manager

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _takeover(topics: list[str]) -> dict[str, Any]:
    from ansible_collections.etrid.gizzi.plugins.module_utils._state import _takeover as earlier

    return earlier.takeover(topics)


# The sections whose option is a list of names; section and option have the same name.
LISTED: dict[str, Callable[[list[Any]], Any]] = {
    "calendars": manager.calendars,
    "commands": basics.commands,
    "connections": asked.connections,
    "disks": resources.disks,
    "documents": asked.documents,
    "groups": accounts.groups,
    "journals": journal.journals,
    "paths": files.paths,
    "ports": network.ports,
    "processes": running.processes,
    "pythons": programs.pythons,
    "releases": files.releases,
    "takeover": _takeover,
    "users": accounts.users,
}


def look(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return section system and each section that the options of module host_state request."""
    host = Host()
    state: dict[str, Any] = {"system": basics.system()}
    if options.get("memory"):
        state["memory"] = resources.memory(host)
    if options.get("processors"):
        state["processors"] = resources.processors(host)
    if options.get("guards"):
        state["guards"] = _guards()
    if options.get("units"):
        state["units"] = manager.units(options["units"], bool(options.get("exposure")))
    if options.get("ssh_host_keys"):
        state["ssh_host_keys"] = accounts.ssh_host_keys()
    # An empty mapping requests the section with its defaults.
    if options.get("capacity") is not None:
        with_models = "ollama" in (options.get("takeover") or [])
        state["capacity"] = _seen.seen_or_why(_capacity, options["capacity"], with_models)
    if options.get("ollama_environment") is not None:
        state["ollama_environment"] = _seen.seen_or_why(ollama.environment, options["ollama_environment"])
    if options.get("urls"):
        state["urls"] = asked.urls(options["urls"], options.get("tokens") or {}, options.get("ca") or "")
    state.update({name: section(options[name]) for name, section in LISTED.items() if options.get(name)})
    return state


def _guards() -> Any:
    from ansible_collections.etrid.gizzi.plugins.module_utils._state import _guards as firewall

    return firewall.guards()


def _capacity(options: Mapping[str, Any], takes_over: bool) -> dict[str, Any]:
    from ansible_collections.etrid.gizzi.plugins.module_utils._state import _capacity as room

    if not takes_over:
        return room.capacity(options)
    from ansible_collections.etrid.gizzi.plugins.module_utils._state import _takeover as earlier

    return room.capacity({"old_store": earlier.old_store(), **options})
