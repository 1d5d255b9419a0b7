# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role gateway: their problems, values computed from them, and requirements for the host.

The values are those of the role's argument specification, with their types and without the prefix ``gateway_``.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import source_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._certificate import (
    certificate_problems,
    purpose_problems,
    time_problems,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._gateway_metrics import (
    TIMER,
    arguments,
    folder_problems,
    metrics_problems,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._gateway_mirror import (
    MIRROR_GUARD,
    MIRROR_PORT,
    mirror_derived,
    mirror_problems,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._guards import guard_before, wanted_guard
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import key_id, secret_problems, token

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = "gizzi-gateway.service"
OLLAMA_PORT = 11443
API_PORT = 8443
# The guard of each port. A name has at most 16 characters.
GUARDS = {"ollama": "gateway", "api": "gateway-api", "mirror": MIRROR_GUARD}
PORTS = {"ollama": OLLAMA_PORT, "api": API_PORT, "mirror": MIRROR_PORT}
PROGRAM = "/usr/sbin/nginx"
MODULES = "/usr/lib/nginx/modules"
# The packages that the gateway needs, each with a path by which it is seen. The second has nginx's own configuration,
# the third reads the questions to Ollama.
_NGINX, _COMMON, _SCRIPT = "nginx", "nginx-common", "libnginx-mod-http-js"
PACKAGES = {_NGINX: PROGRAM, _COMMON: "/etc/nginx", _SCRIPT: f"{MODULES}/ngx_http_js_module.so"}
# The distribution's own unit, which serves a site on port 80, and the link by which we mask it.
SITE = "nginx.service"
MASK = f"/etc/systemd/system/{SITE}"
# A file of the name of each package that we have brought.
NOTES = "/var/lib/gizzi-gateway-packages"
# The first paths that a deployment makes, and the last that a removal deletes.
TRACES = ("/etc/gizzi-gateway", f"/etc/systemd/system/{UNIT}", NOTES)
# The sandbox needs at least this version of systemd.
SYSTEMD = 247
SAME_AS = {"gizzi_addresses": ("fleet", "gizzi_addresses")}
# Bytes of a question, seconds that one waits for an Ollama that does not listen, and the connections of one address to
# the API.
_BODY = 4 * 1024 * 1024
_PATIENCE = 15
_API_CONNECTIONS = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# As Ollama's OLLAMA_KEEP_ALIVE: a duration, or seconds.
_KEEP_ALIVE = re.compile(r"-?[0-9]+(\.[0-9]+)?(ms|s|m|h)?")
_LEAST = {"num_ctx": 256, "num_thread": 1, "num_gpu": 0}


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return all problems of the values, each with the value and the solution."""
    if values["state"] == "absent":
        return []
    found = [
        f"gateway_{name}: {one}." for name in ("ollama_sources", "api_sources") for one in source_problems(values[name])
    ]
    if not any(_sources(values).values()):
        found.append(
            "gateway_ollama_sources, gateway_api_sources and gateway_mirror_sources are empty, so that there is nobody "
            "to serve. List who may connect, or set gateway_state to absent."
        )
    found += mirror_problems(values)
    found += certificate_problems(values["certificate"], values["key"])
    # The playbooks let the others ask the first one. A host without the fleet may be asked by a name.
    for address in values["gizzi_addresses"][:1]:
        found += purpose_problems(values["certificate"], address)
    found += metrics_problems(values)
    found += _name_problems(values["validators"])
    return [*found, *_ollama_problems(values)] if values["ollama_sources"] else found


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the role's files and templates use; the given values have no problem."""
    if values["state"] == "absent":
        return {"key_id": ""}
    secret = values["token_secret"]
    asked = bool(values["ollama_sources"])
    return {
        "ollama": {
            "port": OLLAMA_PORT,
            "upstream": "127.0.0.1:11434",
            "keep_alive": values["keep_alive"],
            "options": {name: value for name, value in values["options"].items() if value is not None},
            "connections": values["connections"],
            "rate": values["rate"],
            "body": _BODY,
            "patience": _PATIENCE,
        }
        if asked
        else {},
        "api": {"port": API_PORT, "upstream": "127.0.0.1:8080", "connections": _API_CONNECTIONS}
        if values["api_sources"]
        else {},
        "mirror": mirror_derived(values),
        "modules_dir": MODULES,
        "key_id": key_id(secret) if asked else "",
        "tokens": [{"name": name, "token": token(secret, name)} for name in values["validators"]] if asked else [],
    }


def look(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of module host_state; the given values have no problem."""
    paths = [*PACKAGES.values(), MASK, *(f"{NOTES}/{name}" for name in PACKAGES)]
    if values["state"] == "absent":
        return {"paths": [*paths, *TRACES], "processes": [PROGRAM]}
    paths += [values["metrics_dir"]] if values["metrics_dir"] else []
    return {"paths": paths, "processes": [PROGRAM], "units": [UNIT, SITE, TIMER], "guards": True}


def host_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what the host lacks for these values; ``host`` is the result for look()."""
    if values["state"] == "absent":
        return []
    system = host["system"]
    found = time_problems(values["certificate"], system["time"])
    found += folder_problems(values["metrics_dir"], host["paths"])
    if system["service_manager"] != "systemd" or (system["systemd"] or 0) < SYSTEMD:
        found.append(
            f"The host does not run systemd {SYSTEMD} or newer, which the sandbox needs. Run the gateway on one "
            "that does."
        )
    elif _NGINX in _missing(values, host) and host["units"][SITE]["load"] not in ("not-found", "masked"):
        found.append(
            f"The host has a {SITE} ({host['units'][SITE]['path']}), and no {PROGRAM}. Install the distribution's "
            "package nginx, or give that unit another name."
        )
    return found


def host_derived(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the packages to bring or to take away, what runs, the gateway's addresses, its guards and its metrics."""
    if values["state"] == "absent":
        left = any(host["paths"][path] for path in TRACES)
        return {
            **_brought(host),
            "left": left,
            "guards": [{"name": guard, "state": "absent"} for guard in GUARDS.values()],
        }
    return {**_on_host(values, host), "meanwhile": _meanwhile(values, host)}


def _meanwhile(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a gateway of Ollama that is to go, for as long as others still ask it; else nothing."""
    served = guard_before(GUARDS["ollama"], UNIT, host["guards"])
    sources = [source for guard in served for source in guard.get("sources") or []]
    if values["ollama_sources"] or not sources:
        return {}
    asked = {**values, "ollama_sources": sources}
    return {} if problems(asked) else {**derived(asked), **_on_host(asked, host)}


def _on_host(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    live = host["guards"]
    sources = _sources(values)
    missing = _missing(values, host)
    brought = [name for name in PACKAGES if host["paths"][f"{NOTES}/{name}"]]
    own = [one for one in host["processes"][PROGRAM] if one["unit"] == UNIT]
    listens = ["0.0.0.0", *(["[::]"] if host["system"]["ipv6"] else [])]
    # The metrics ask for a certificate, and the mirror has none.
    served = {name: port for name, port in PORTS.items() if sources[name] and name != "mirror"}
    return {
        "packages": missing,
        # What an earlier run has brought is noted, and stays masked unless somebody has taken the mask away.
        "noted": [*brought, *missing],
        "masks": _NGINX in missing or (_NGINX in brought and bool(host["paths"][MASK])),
        "running": host["units"][UNIT]["active"] == "active",
        # The distribution has replaced the program, perhaps for its safety: only a restart runs the new one.
        "replaced": any(one["replaced"] for one in own),
        "listens": listens,
        "measured": host["units"][TIMER]["active"] == "active",
        "metrics": arguments(served, listens, values["validators"], values["addresses"]),
        "guards": [
            one
            for name, guard in GUARDS.items()
            for one in wanted_guard(guard, UNIT, PORTS[name], sources[name], bool(sources[name]), live)
        ],
        "note": {"guards": [one for guard in GUARDS.values() for one in guard_before(guard, UNIT, live)]},
    }


def _sources(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return who may connect to each of GUARDS."""
    return {name: values[f"{name}_sources"] for name in GUARDS}


def _missing(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    missing = [name for name, path in PACKAGES.items() if not host["paths"][path]]
    # Who has the program without its folder has brought it in a way of their own.
    unneeded = ([] if _NGINX in missing else [_COMMON]) + ([] if values["ollama_sources"] else [_SCRIPT])
    return [name for name in missing if name not in unneeded]


def _brought(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the packages that we have brought, and which of them go: not those that something else uses."""
    brought = [name for name in PACKAGES if host["paths"][f"{NOTES}/{name}"]]
    others = [one for one in host["processes"][PROGRAM] if one["unit"] != UNIT]
    used = {name for one in others for name in (_NGINX, _COMMON) + ((_SCRIPT,) if _loads(one) else ())}
    # Who has taken the mask away wants to serve with it.
    if _NGINX in brought and not host["paths"][MASK]:
        used |= {_NGINX, _COMMON}
    removed = [name for name in brought if name not in used]
    return {
        "packages": brought,
        "noted": brought,
        "kept": [name for name in brought if name in used],
        "removed": [*removed, *([_COMMON] if _NGINX in removed and _COMMON not in removed else [])],
        "masks": _NGINX in removed,
        # Where nginx had been there before, its configuration stays.
        "purged": _NGINX not in removed or _COMMON in removed,
    }


def _loads(process: Mapping[str, Any]) -> bool:
    return PACKAGES[_SCRIPT] in process["libraries"]


def _name_problems(names: list[str]) -> list[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    found = [f"gateway_validators names {' and '.join(twice)} twice. Name each host once."] if twice else []
    return found + [
        f"gateway_validators has the name {name!r}. It must have 1 to 63 of A-Z, a-z, 0-9, ., _ and -."
        for name in names
        if not _NAME.fullmatch(name)
    ]


def _ollama_problems(values: Mapping[str, Any]) -> list[str]:
    found = secret_problems(values["token_secret"])
    if not values["validators"]:
        found.append("gateway_validators is empty. List those whose tokens are accepted, for instance [validator01].")
    if not _KEEP_ALIVE.fullmatch(values["keep_alive"]):
        found.append(
            f'gateway_keep_alive is "{values["keep_alive"]}". Write a duration as Ollama takes it, for instance "24h", '
            'or "-1" for no end.'
        )
    numbers = {f"options.{name}": (values["options"][name], least) for name, least in _LEAST.items()}
    numbers |= {name: (values[name], 1) for name in ("connections", "rate")}
    return found + [
        f"gateway_{name} is {value}. It must be {least} or more."
        for name, (value, least) in numbers.items()
        if value is not None and value < least
    ]
