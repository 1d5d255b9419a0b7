# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of each host, from inventory and topology: ``etrid.gizzi.settings: {role: fleet}``.

``values`` are the typed options of ``playbooks/meta/argument_specs.yml``, and

- ``groups``: names of hosts by group, in the inventory's order (``all`` and GROUPS);
- ``inventory``: by host, ``validator_id``, ``addresses``, ``ssh_host``, ``ssh_port``, ``api`` (whether it would have
    the Gizzi API), the typed values of ``ollama`` and ``ollama_client`` without their secrets, ``given`` (the names of
    the variables that the inventory sets), and ``wrong`` (the names of variables whose problem is reported already).

In addition to the options, the result has

- ``validators``, ``gizzi`` (one name), ``servers`` (all servers), ``shared_servers`` (those that other hosts ask),
  ``fleet`` (all hosts), each in the inventory's order; ``missing`` (ids without a host); ``port`` (Ollama's);
  ``api`` (whether the Gizzi host is to have the Gizzi API);
- ``certificates``: by name of a host with a gateway, the addresses and names by which others reach it;
- ``mirror``: the host from which the other servers pull their models, or ""; ``mirrored``: the names of the models that
  they pull; ``pulled``: those of all servers;
- ``hosts``, by name, the settings of each host:

    - ``host``, ``validator`` (whether it is one), ``validator_id``, ``gizzi`` (whether it is the Gizzi host),
      ``addresses``, ``ssh_name`` (its name in known_hosts);
    - ``roles`` (the roles that configure it);
    - ``serves``, ``shared``, ``sources`` (addresses that may ask its server), ``port``, ``version``, ``models`` (the
      wanted ones), ``model`` (the first of them, or "");
    - ``endpoints`` (``name`` and ``url`` of the servers that it asks, in this order), ``urls``, ``url`` (of the first),
      ``network_url`` (the Gizzi API), ``mirror`` (the URL of the mirror that it pulls from, or ""), ``neighbour`` (the
      next host whose server is only for itself, or ""), ``neighbour_addresses``;
    - ``client`` (whether it has one), ``client_python``, ``client_model``, ``context_length``;
    - ``ollama``, ``ollama_client``, ``gateway``, ``gizzi_api``: values of these roles, by names without the prefix: for
      ollama all values except secrets, for the others those that depend on the fleet;
    - ``wanted``: the values that verify and diagnose compare the host with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._settings import (
    is_secret,
    without_prefix,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._fleet_problems import inventory_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._gateway_mirror import MIRROR_PORT
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_models import pulled_models
from ansible_collections.etrid.gizzi.plugins.module_utils._settings.gateway import API_PORT, OLLAMA_PORT
from ansible_collections.etrid.gizzi.plugins.module_utils._settings.ollama import CAPACITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ansible_collections.etrid.gizzi.plugins.module_utils._settings import Typed

PORT = 11434
NETWORK_PORT = 8080

GROUPS = ("validators", "gizzi", "ollama_servers")
# The options with a value for each host, and the roles whose values are needed.
PER_HOST = ("validator_id", "gizzi_addresses")
ROLES = ("ollama", "ollama_client")
# The only option of role gizzi_api that the fleet goes by.
API_STATE = "gizzi_api_state"


def host_values(read: Typed, options: Mapping[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """Return an item of ``inventory``.

    :param read: a host's typed values of PER_HOST, of the ROLES, and of ansible_host and ansible_port.
    :param options: their specifications, which mark secrets.
    :param given: the names that the inventory sets.
    """
    values = read.values
    public = {name: value for name, value in values.items() if not is_secret(options[name])}
    # Both prefixes begin with ollama_; the longer one belongs to role ollama_client.
    client = {name: value for name, value in public.items() if name.startswith("ollama_client_")}
    server = {name: value for name, value in public.items() if name.startswith("ollama_") and name not in client}
    return {
        "validator_id": values["validator_id"],
        "addresses": values["gizzi_addresses"] if "gizzi_addresses" in given else [values["ansible_host"]],
        "ssh_host": values["ansible_host"],
        "ssh_port": values["ansible_port"],
        "api": values[API_STATE] == "present",
        "ollama": without_prefix("ollama", server),
        "ollama_client": without_prefix("ollama_client", client),
        "given": sorted(given),
        "wrong": sorted(read.wrong),
    }


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return the problems of the inventory, each with the value and the solution."""
    found = inventory_problems(values)
    return found or _Fleet(values).mirror_problems()


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result for an inventory without a problem: see above."""
    fleet = _Fleet(values)
    listed = {values["inventory"][name]["validator_id"] for name in fleet.validators}
    missing = [number for number in range(1, values["expected_validators"] + 1) if number not in listed]
    return {
        "validators": fleet.validators,
        "gizzi": fleet.gizzi,
        "servers": fleet.servers,
        "shared_servers": fleet.shared_servers,
        "fleet": list(values["inventory"]),
        "missing": missing,
        "port": PORT,
        "api": fleet.api,
        "certificates": {name: fleet.reached_by(name) for name in fleet.gateways},
        "mirror": fleet.mirror,
        "mirrored": _unique(model for name in fleet.pullers for model in fleet.pulled(name)),
        "pulled": _unique(model for name in fleet.servers for model in fleet.pulled(name)),
        "hosts": {name: fleet.host(name) for name in values["inventory"]},
        "warnings": [_missing_text(values, fleet.validators, missing)] if missing else [],
    }


def _missing_text(values: Mapping[str, Any], validators: list[str], missing: list[int]) -> str:
    numbers = ", ".join(str(number) for number in missing)
    return (
        f"{len(validators)} of {values['expected_validators']} validators are in the inventory. "
        f"No host with validator_id {numbers}."
    )


def server_names(groups: Mapping[str, list[str]]) -> list[str]:
    """Return the hosts that can serve the whole fleet: group ollama_servers, or else the Gizzi host."""
    return groups["ollama_servers"] or groups["gizzi"]


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _url(scheme: str, address: str, port: int) -> str:
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


class _Fleet:
    """Computes the settings of each host from the topology."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        groups = values["groups"]
        self._values = values
        self._inventory = values["inventory"]
        self.topology: str = values["topology"]
        self.validators: list[str] = list(groups["validators"])
        self.gizzi: str = groups["gizzi"][0]
        distributed = self.topology == "distributed"
        # With topology distributed, these are the validators' fallback.
        self.shared_servers: list[str] = (
            [] if distributed and not values["fallback_server"] else list(server_names(groups))
        )
        self.servers = _unique([*(self.validators if distributed else []), *self.shared_servers])
        self.sources = _unique(text for name in self.validators for text in self._inventory[name]["addresses"])
        # The Gizzi host, where it has models that others need too.
        others = [name for name in self.servers if name != self.gizzi]
        self.mirror = self.gizzi if values["gateway_mirror"] and self.gizzi in self.servers and others else ""
        self.pullers = others if self.mirror else []
        self.api: bool = self._inventory[self.gizzi]["api"]
        # The Gizzi API and the mirror are always behind one.
        self.gateways = _unique([*self.shared_servers, *([self.gizzi] if self.api or self.mirror else [])])

    def _role_names(self, name: str) -> list[str]:
        client = ["ollama_client"] if name in self.validators else []
        return ["takeover", "ollama", *client, "gateway", *(["gizzi_api"] if name == self.gizzi else [])]

    def pulled(self, name: str) -> list[str]:
        """Return the names of the models that a host has from the registry, in the short form."""
        return [_short(model["name"]) for model in pulled_models(self._inventory[name]["ollama"]["models"])]

    def mirror_problems(self) -> list[str]:
        """Return the models that a host is to pull from a mirror which is not to have them."""
        if self._values["gateway_mirror_fallback"]:
            return []
        return [
            f"ollama_models of {name} has {model}, and it pulls from the mirror of {self.gizzi}, which is not to have "
            f"it. List it in ollama_models of {self.gizzi} too, let gateway_mirror_fallback be true, or set "
            "gateway_mirror to false."
            for name in self.pullers
            for model in self.pulled(name)
            if model not in self._mirrored(name)
        ]

    def _mirrored(self, name: str) -> list[str]:
        """Return the names of the models that a host is to find at the mirror, or to give as one."""
        # Letter by letter, as the mirror finds a file.
        there = self.pulled(self.gizzi)
        concerned = name in (self.mirror, *self.pullers)
        return [model for model in self.pulled(name) if model in there] if concerned else []

    def reached_by(self, name: str) -> list[str]:
        """Return the addresses and names by which others may reach a host."""
        known = self._inventory[name]
        return _unique([*known["addresses"], known["ssh_host"], name])

    def host(self, name: str) -> dict[str, Any]:
        known = self._inventory[name]
        endpoints = self._endpoints(name)
        neighbour = self._neighbour(name)
        models = [_compact(model) for model in known["ollama"]["models"] if model["state"] != "absent"]
        about = {
            "host": name,
            "validator": name in self.validators,
            "validator_id": known["validator_id"],
            "gizzi": name == self.gizzi,
            "addresses": known["addresses"],
            "ssh_name": _ssh_name(known["ssh_host"], known["ssh_port"]),
            # Each of these roles has state present or absent.
            "roles": self._role_names(name),
            "serves": name in self.servers,
            "shared": name in self.shared_servers,
            "sources": self.sources if name in self.shared_servers else [],
            "port": PORT,
            "version": known["ollama"]["version"],
            "models": models,
            "model": models[0]["name"] if models else "",
            "endpoints": endpoints,
            "urls": [endpoint["url"] for endpoint in endpoints],
            "url": endpoints[0]["url"],
            "network_url": self._network_url(name),
            "mirror": self._mirror_url(name),
            "neighbour": neighbour,
            "neighbour_addresses": self._inventory[neighbour]["addresses"] if neighbour else [],
            "client": name in self.validators and known["ollama_client"]["state"] == "present",
            "client_python": known["ollama_client"]["python"],
            "client_model": _client_model(known, models),
            "context_length": _client_context(known),
        }
        roles = self._roles(known, about)
        return {**about, **roles, "wanted": self._wanted(about, roles)}

    def _network_url(self, name: str) -> str:
        """Return the Gizzi API as a host reaches it. In some clouds a host cannot reach its own public address."""
        if name == self.gizzi:
            return _url("http", "127.0.0.1", NETWORK_PORT)
        return _url("https", self._inventory[self.gizzi]["addresses"][0], API_PORT)

    def _mirror_url(self, name: str) -> str:
        """Return where a host pulls models from within the fleet, or ""."""
        if name not in self.pullers:
            return ""
        return _url("http", self._inventory[self.mirror]["addresses"][0], MIRROR_PORT)

    def _endpoints(self, name: str) -> list[dict[str, str]]:
        """Return the servers that a host asks, in this order. A server asks itself first, on loopback."""
        own = [{"name": "own", "url": _url("http", "127.0.0.1", PORT)}] if name in self.servers else []
        others = [server for server in self._turned(name) if server != name]
        return own + [
            {"name": server, "url": _url("https", self._inventory[server]["addresses"][0], OLLAMA_PORT)}
            for server in others
        ]

    def _place(self, name: str) -> int:
        return self.validators.index(name) if name in self.validators else 0

    def _turned(self, name: str) -> list[str]:
        """Return the shared servers; the first one differs for each validator, so that the servers share the work."""
        first = self._place(name) % max(1, len(self.shared_servers))
        return [*self.shared_servers[first:], *self.shared_servers[:first]]

    def _neighbour(self, name: str) -> str:
        here = self._place(name)
        others = [*self.validators[here:], *self.validators[:here]]
        return next((other for other in others if other != name and other not in self.shared_servers), "")

    def _roles(self, known: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values for the roles."""
        client = known["ollama_client"]
        validators = [
            {
                "number": self._inventory[name]["validator_id"],
                "name": name,
                # Prometheus runs on the Gizzi host too.
                "address": "127.0.0.1" if name == self.gizzi else self._inventory[name]["addresses"][0],
            }
            for name in self.validators
        ]
        return {
            "ollama": {
                **known["ollama"],
                "state": "present" if about["serves"] else "absent",
                "listen": f"127.0.0.1:{PORT}",
                "allowed_sources": [],
                "mirror": about["mirror"],
                "mirror_fallback": self._values["gateway_mirror_fallback"],
                "bundle": "" if about["mirror"] else self._values["bundle"],
            },
            "ollama_client": {
                "state": client["state"],
                "endpoints": about["endpoints"],
                "api_url": about["network_url"],
                "model": about["client_model"],
                "context_length": about["context_length"],
                "users": client["users"],
            },
            "gateway": self._gateway(known, about),
            "gizzi_api": {
                "listen": f"127.0.0.1:{NETWORK_PORT}",
                "allowed_sources": [],
                "validators": validators,
            }
            if about["gizzi"]
            else {},
        }

    def _gateway(self, known: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
        ollama = known["ollama"]
        threads = {"num_thread": ollama["cpu_threads"]} if ollama["cpu_threads"] else {}
        pullers = self.pullers if about["host"] == self.mirror else []
        readers = _unique([*self.sources, *self._values["operator_addresses"]])
        return {
            "state": "present" if about["host"] in self.gateways else "absent",
            "ollama_sources": about["sources"],
            "api_sources": readers if about["gizzi"] and self.api else [],
            "validators": self.validators,
            "addresses": {name: self._inventory[name]["addresses"] for name in self.validators},
            "options": {"num_ctx": ollama["context_length"], **threads},
            "mirror_sources": _unique(text for name in pullers for text in self._inventory[name]["addresses"]),
            "mirror_models": self.pulled(about["host"]) if pullers else [],
            "mirror_models_dir": ollama["models_dir"],
        }

    def _wanted(self, about: Mapping[str, Any], roles: Mapping[str, Any]) -> dict[str, Any]:
        names = (
            *("host", "addresses", "serves", "shared", "validator", "version", "port", "urls", "models", "sources"),
            *("network_url", "client", "client_python", "client_model", "neighbour", "neighbour_addresses", "mirror"),
        )
        return {
            **{name: about[name] for name in names},
            "gizzi": about["gizzi"] and self.api,
            "api": self.api,
            "topology": self.topology,
            "fleet": self.validators,
            "gateway": {
                **({"ollama": OLLAMA_PORT} if about["shared"] else {}),
                **({"api": API_PORT} if about["gizzi"] and self.api else {}),
                **({"mirror": MIRROR_PORT} if about["host"] == self.mirror else {}),
            },
            "models_dir": roles["ollama"]["models_dir"],
            "api_port": NETWORK_PORT,
            "api_sources": roles["gateway"]["api_sources"],
            "mirror_sources": roles["gateway"]["mirror_sources"],
            "mirrored": self._mirrored(about["host"]),
            "capacity": {**{name: roles["ollama"][ours] for name, ours in CAPACITY.items()}, "port": PORT},
        }


def _client_model(known: Mapping[str, Any], models: list[dict[str, Any]]) -> str:
    """Return the model that the client asks: a derived model is preferred to a pulled one."""
    if "ollama_client_model" in known["given"] or not models:
        return str(known["ollama_client"]["model"])
    return str(next((model for model in models if "from" in model), models[0])["name"])


def _client_context(known: Mapping[str, Any]) -> int:
    """Return the client's context length: by default the server's, because another one makes Ollama load again."""
    given = "ollama_client_context_length" in known["given"]
    return int(known["ollama_client" if given else "ollama"]["context_length"])


def _short(text: str) -> str:
    """Return a model's name in the short form; a wrong name, of which its role tells, as it is."""
    try:
        return str(parse_model_name(text))
    except GizziError:
        return text


def _ssh_name(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"


def _compact(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model without the options that are not set."""
    return {key: value for key, value in model.items() if value is not None}
