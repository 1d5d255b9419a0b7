# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The problems of an inventory, each with the value and the solution; ``values`` are those of ``fleet.py``."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import shown
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._bundle import fleet_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def inventory_problems(values: Mapping[str, Any]) -> list[str]:
    """Return the problems of the inventory."""
    groups = values["groups"]
    if not groups["all"]:
        return ["The inventory has no host. Name the fleet's with -i, for instance -i inventories/production."]
    return [
        *_topology_problems(values),
        *_group_problems(groups),
        *_id_problems(values),
        *_address_problems(values["inventory"]),
        *_operator_problems(values["operator_addresses"]),
        *_context_problems(values),
        *fleet_problems(values["bundle"], values["bundle_sha256"]),
    ]


def _topology_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    if values["topology"] is None:
        found.append(
            "gizzi_topology is not set. Set it to centralized (the hosts of group ollama_servers, or the Gizzi host, "
            "serve the fleet) or distributed (every validator serves itself), in group_vars/all or with -e."
        )
    numbers = ("expected_validators", "answer_timeout")
    return found + [f"gizzi_{name} is {values[name]}. It must be 1 or more." for name in numbers if values[name] < 1]


def _group_problems(groups: Mapping[str, list[str]]) -> list[str]:
    found = []
    if not groups["validators"]:
        found.append("Group validators has no host. Put every validator of the fleet into it.")
    if len(groups["gizzi"]) != 1:
        names = ", ".join(groups["gizzi"]) or "none"
        found.append(f"Group gizzi has {names}. It must have exactly one host, which is in group validators too.")
    elif groups["validators"] and groups["gizzi"][0] not in groups["validators"]:
        found.append(f"Group gizzi has {groups['gizzi'][0]}, which is not in group validators. Put it in there too.")
    return found


def _id_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    highest = values["expected_validators"]
    by_id: dict[int, list[str]] = {}
    for name in values["groups"]["validators"]:
        host = values["inventory"][name]
        number = host["validator_id"]
        if "validator_id" in host["wrong"]:
            continue
        if number is None:
            found.append(f"validator_id of {name} is not set. Give it a whole number from 1 to {highest}.")
        elif not 1 <= number <= highest:
            found.append(
                f"validator_id of {name} is {number}. It must be from 1 to gizzi_expected_validators ({highest})."
            )
        else:
            by_id.setdefault(number, []).append(name)
    for number, names in by_id.items():
        if len(names) > 1:
            found.append(f"validator_id of {_joined(names)} is {number}. Give each validator a number of its own.")
    return found


def _address_problems(inventory: Mapping[str, Any]) -> list[str]:
    found = []
    by_address: dict[str, list[str]] = {}
    for name, host in inventory.items():
        if not host["addresses"] and "gizzi_addresses" not in host["wrong"]:
            found.append(
                f"gizzi_addresses of {name} is empty. List the IPv4 and IPv6 addresses from which it talks to others."
            )
        for text in host["addresses"]:
            address = _address(text)
            if address is None:
                found.append(
                    f"gizzi_addresses of {name} has {shown(text)}. Write IPv4 and IPv6 addresses of hosts; names are "
                    "not allowed, because the firewall is built from them."
                )
            elif name not in by_address.setdefault(address, []):
                by_address[address].append(name)
    for address, names in by_address.items():
        if len(names) > 1:
            found.append(
                f"gizzi_addresses of {_joined(names)} have the address {address} in common. Give each host its own."
            )
    return found


def _operator_problems(sources: Iterable[str]) -> list[str]:
    return [
        f"gizzi_operator_addresses has {shown(text)}. Write addresses or networks, for instance 192.0.2.0/24."
        for text in sources
        if not _is_source(text)
    ]


def _address(text: str) -> str | None:
    """Return the short form of an address, None where the text is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if "%" in text or address.is_unspecified or address.is_multicast else str(address)


def _is_source(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text


def _joined(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _context_problems(values: Mapping[str, Any]) -> list[str]:
    """Return the clients whose context differs from that of a shared server: its gateway lets no other one pass."""
    if values["topology"] == "distributed" and not values["fallback_server"]:
        return []
    inventory = values["inventory"]
    lengths = {host["ollama"]["context_length"] for host in inventory.values()}
    return [
        f"ollama_client_context_length of {name} is {host['ollama_client']['context_length']}, and "
        f"ollama_context_length is {' or '.join(map(str, sorted(lengths)))}. With another context a server loads the "
        "model again for everybody, so that its gateway refuses it. Leave ollama_client_context_length out, or set "
        "ollama_context_length."
        for name, host in inventory.items()
        if "ollama_client_context_length" in host["given"] and {host["ollama_client"]["context_length"]} != lengths
    ]
