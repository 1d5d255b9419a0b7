# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The valid values of a guard: its name, its port and its sources. All problems are reported together."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from .._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?")
UNIT_PATTERN = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|socket|target)")
# 10.0.0.0/8 and fc00::/7 are the largest private networks; a larger network includes public addresses.
WIDEST_PREFIX = {4: 8, 6: 7}


@dataclass(frozen=True)
class Guard:
    """A guard: only these sources have access to this port; these systemd units do not run without it."""

    name: str
    port: int
    sources: tuple[Network, ...]
    units: tuple[str, ...] = ()

    def of_version(self, version: int) -> list[Network]:
        """Return the sources of one IP version (4 or 6) in their order."""
        return [source for source in self.sources if source.version == version]

    @property
    def written(self) -> str:
        """Return the guard as JSON, the content of its file on the host."""
        values = {"name": self.name, "port": self.port, "sources": list(map(plain, self.sources))}
        return json.dumps({**values, "units": list(self.units)}, indent=2) + "\n"


def plain(network: Network) -> str:
    """Return a network as text; a single host without a prefix length."""
    host = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if host else str(network)


def parse_source(value: str) -> Network:
    """Return a source as a network, IPv4-mapped IPv6 as IPv4; GizziError for an invalid source."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise GizziError(
            f"source {value!r} is not an IP address or CIDR network: "
            "a firewall rule cannot hold a host name, write its addresses"
        ) from None
    if "%" in value:
        raise GizziError(f"source {value!r} has a zone: write the address without it")
    network: Network = interface.network
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return parse_source(f"{mapped}/{network.prefixlen - 96}")
    if network.prefixlen < WIDEST_PREFIX[network.version] or network.network_address.is_unspecified:
        raise GizziError(
            f"source {value!r} would open the port to everybody: list the addresses "
            f"that need it, or networks of /{WIDEST_PREFIX[network.version]} and smaller"
        )
    if interface.ip != network.network_address:
        raise GizziError(
            f"source {value!r} is neither a network nor a host: "
            f"write {network} for the network or {interface.ip} for the host"
        )
    return network


def name_problems(name: str) -> list[str]:
    """Return the problems of a guard's name."""
    if NAME_PATTERN.fullmatch(name):
        return []
    return [
        f"name {name!r} is not usable in a chain and a unit: write 1 to 16 of a-z, 0-9 and -, with no - at either end"
    ]


def source_problems(sources: Iterable[str]) -> list[str]:
    """Return the problems of the sources, each with the value and the solution."""
    return [problem for source in sources for problem in _source_problem(source)]


def _source_problem(source: str) -> list[str]:
    try:
        parse_source(source)
    except GizziError as error:
        return [str(error)]
    return []


def problems(name: str, port: int, sources: Iterable[str], units: Iterable[str] = ()) -> list[str]:
    """Return every problem of a guard's values."""
    found = name_problems(name)
    if not 1 <= port <= 65535:
        found.append(f"port {port} does not exist: write one from 1 to 65535")
    found += source_problems(sources)
    for unit in units:
        if not UNIT_PATTERN.fullmatch(unit):
            found.append(f"unit {unit!r} is not the name of a systemd unit: write it in full, as ollama.service")
    return found


def parse_guard(name: str, port: int, sources: Sequence[str], units: Sequence[str] = ()) -> Guard:
    """Return the guard with these values; GizziError with all their problems."""
    found = problems(name, port, sources, units)
    if found:
        raise GizziError("; ".join(found))
    networks = {parse_source(source) for source in sources}
    ordered = sorted(networks, key=lambda n: (n.version, n.network_address, n.prefixlen))
    return Guard(name, port, tuple(ordered), tuple(sorted(set(units))))


def read_guard(text: str) -> Guard:
    """Parse a text of ``Guard.written``; GizziError for any other text."""
    try:
        values: Any = json.loads(text)
        return parse_guard(str(values["name"]), int(values["port"]), values["sources"], values["units"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise GizziError(f"not the definition of a guard: {error}") from None
