# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a gateway: what the program that measures it is told, and the problems of the values for that."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TIMER = "gizzi-gateway-metrics.timer"
# Where a listener on all addresses of a family is reached from its own host.
_OWN = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
_PATH = re.compile(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*){2,}")


def metrics_problems(values: Mapping[str, Any]) -> list[str]:
    """Return the problems of the role's values, each with the value and the solution."""
    found, folder = [], values["metrics_dir"]
    if folder and not _PATH.fullmatch(folder):
        found.append(
            f'gateway_metrics_dir is "{folder}". Name node_exporter\'s folder for text files as an absolute path '
            'without spaces, for instance "/var/lib/prometheus/node-exporter", or leave it empty.'
        )
    for name, addresses in values["addresses"].items():
        if not isinstance(addresses, list) or not all(map(_is_address, addresses)):
            found.append(
                f"gateway_addresses has {addresses!r} for {name!r}. List the IPv4 and IPv6 addresses of each host."
            )
    return found


def folder_problems(folder: str, paths: Mapping[str, Any]) -> list[str]:
    """Return what the host lacks; paths: the section of host_state."""
    if not folder or (paths[folder] or {}).get("kind") == "folder":
        return []
    return [
        f'gateway_metrics_dir is "{folder}", and the host has no such folder. Install node_exporter first, on Debian '
        "and Ubuntu the package prometheus-node-exporter, or leave it empty."
    ]


def arguments(
    ports: Mapping[str, int], listens: Iterable[str], names: Iterable[str], addresses: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Return the values of the program's options, as its command line has them.

    :param ports: by the names of the listeners.
    :param listens: the families on which each of them listens, as 0.0.0.0 and [::].
    :param names: the hosts that are counted by name.
    :param addresses: theirs, by name, as far as they are known.
    """
    own = [_OWN[listen] for listen in listens]
    return {
        "listeners": [f"{name}={address}:{port}" for name, port in ports.items() for address in own],
        "clients": [f"{name}={','.join(addresses.get(name, []))}".rstrip("=") for name in names],
    }


def _is_address(text: object) -> bool:
    try:
        ipaddress.ip_address(text if isinstance(text, str) else "")
    except ValueError:
        return False
    return "%" not in str(text)
