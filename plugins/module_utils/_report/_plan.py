# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks verify and diagnose look at on one host: which modules, and with which options."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.etrid.gizzi.plugins.module_utils._settings.gateway import UNIT as GATEWAY_SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access

SERVICE = "ollama.service"
API_SERVICE = "gizzi-api.service"
RELEASES = "/opt/ollama"
# The gateway's listeners.
OLLAMA, API, MIRROR = "ollama", "api", "mirror"
CLIENT = "client"
COMMAND = "/usr/local/bin/gizzi"


class Step(NamedTuple):
    """One module with its options; its result has a name."""

    name: str
    module: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a host is to be, by the inventory.

    Attributes:
        serves: whether it runs a server; shared, whether others ask it.
        urls: the servers that it asks, in order.
        sources: who is let in to its gateway for its server.
        gizzi: whether it runs the Gizzi API, at api_port of loopback; api, whether the fleet has one.
        api_sources: who is let in to its gateway for the Gizzi API.
        gateway: the ports of its gateway by what is behind them, OLLAMA, API or MIRROR; none where it has no gateway.
        mirror_sources: who is let in to its gateway for the models of its server.
        mirror: the URL of the mirror that it pulls its models from, "" where that is the registry.
        mirrored: the models that it is to find there, or to give as the mirror.
        addresses: those by which others reach it.
        client: whether it has the command gizzi, run by client_python, with client_model.
        fleet: the names of all validators.
        neighbour: the next validator that serves itself alone, at neighbour_addresses, "" where there is none.
        models_dir: where the models are, or would be.
        capacity: options of host_capacity, without the models.
    """

    host: str
    topology: str
    serves: bool
    shared: bool
    validator: bool
    version: str
    port: int
    urls: list[str]
    neighbour: str
    neighbour_addresses: list[str]
    models_dir: str
    capacity: Mapping[str, Any]
    models: list[Mapping[str, Any]]
    sources: list[str]
    gizzi: bool
    api: bool
    api_port: int
    api_sources: list[str]
    mirror_sources: list[str]
    mirror: str
    mirrored: list[str]
    gateway: Mapping[str, int]
    addresses: list[str]
    network_url: str
    client: bool
    client_python: str
    client_model: str
    fleet: list[str]

    @property
    def status_page(self) -> str:
        """Where the Gizzi API tells the network's state."""
        return f"{self.network_url}/api/network/status"

    @property
    def gateway_urls(self) -> list[str]:
        """The gateways that it asks, as a validator."""
        return [url for url in self.urls if _is_gateway(url)] if self.validator else []

    @property
    def tls_ports(self) -> list[int]:
        """The ports of its gateway that show a certificate: Ollama pulls from a mirror without one."""
        return [port for name, port in self.gateway.items() if name != MIRROR]

    @property
    def own_mirror(self) -> str:
        """The URL of the mirror that it is, as it reaches it itself, "" where it is none."""
        return f"http://127.0.0.1:{self.gateway[MIRROR]}" if MIRROR in self.gateway else ""

    @property
    def mirrors(self) -> list[str]:
        """The mirrors that are to give its models: the one that it is, and the one that it pulls from."""
        return [url for url in (self.own_mirror, self.mirror) if url]


def parse_wanted(value: Mapping[str, Any]) -> Wanted:
    """Return what is wanted of a host, from the mapping that the inventory gives; a KeyError names what is missing."""
    return Wanted(**{field.name: value[field.name] for field in fields(Wanted)})


def version_page(url: str) -> str:
    """Return where a server tells its version."""
    return f"{url}/api/version"


def first_step(about: str, wanted: Wanted, access: Access) -> Step:
    """Return the look at the host itself, which also shows whether anybody can log in there."""
    pages = [wanted.status_page] if wanted.validator and wanted.api else []
    # What the host falls back to is not asked a question: that it is there is enough.
    versions = [version_page(url) for url in wanted.urls[1:]] if wanted.validator else []
    alone = wanted.topology == "distributed" and wanted.validator
    options: dict[str, Any] = {
        "units": [SERVICE, GATEWAY_SERVICE, *([API_SERVICE] if wanted.gizzi else [])],
        "guards": True,
        "exposure": about == "verify" and wanted.serves,
        "ports": [wanted.port, *([wanted.api_port] if wanted.gizzi else []), *wanted.gateway.values()],
        "releases": [RELEASES],
        "memory": True,
        "disks": [wanted.models_dir],
        "urls": [*pages, *versions],
        # The Gizzi API's gateway goes by the address of who asks.
        "tokens": {url: access.token for url in versions if access.token and _is_gateway(url)},
        "ca": access.ca,
        "connections": [
            {"address": address, "port": wanted.port} for address in (wanted.neighbour_addresses if alone else [])
        ],
        "documents": [{"name": CLIENT, "argv": [COMMAND, "config", "--json"]}] if wanted.client else [],
        "pythons": [wanted.client_python] if wanted.client else [],
        "journals": [SERVICE] if about == "diagnose" else [],
    }
    if wanted.serves:
        # A derived model shares the weights of its base.
        pulled = [str(model["name"]) for model in wanted.models if not model.get("from")]
        options["capacity"] = {**wanted.capacity, "models": pulled}
    if wanted.serves and about == "verify":
        options["ollama_environment"] = {}
    return Step("state", "etrid.gizzi.host_state", options)


def steps(about: str, wanted: Wanted, access: Access, blobs: bool, timeout: float) -> Iterator[Step]:
    """Yield what else is looked at; blobs: whether to read every model; timeout: seconds for an answer."""
    names = [str(model["name"]) for model in wanted.models]
    if wanted.serves:
        yield Step("info", "etrid.gizzi.ollama_info", {"url": f"http://127.0.0.1:{wanted.port}"})
    if wanted.serves and about == "verify" and blobs:
        stored = {"models_dir": wanted.models_dir, "models": names, "fail_on": "never"}
        yield Step("blobs", "etrid.gizzi.ollama_blobs", stored)
    # What a gateway refuses shows to verify alone: each of these questions is in its log as a refusal.
    asked = wanted.gateway_urls if about == "verify" else []
    mirrors = [{"url": url, "models": wanted.mirrored} for url in wanted.mirrors]
    if wanted.gateway or asked or mirrors:
        options = {"ports": wanted.tls_ports, "urls": asked, "ca": access.ca, "mirrors": mirrors}
        shown = {"token": access.token} if asked else {}
        yield Step("gateway", "etrid.gizzi.gateway_info", {**options, **shown})
    if wanted.validator:
        patience = {"timeout": timeout, "stall_timeout": timeout, "fail_on": "never"}
        # Without a model, a server that answers is all that there is to see.
        model = {"model": names[0]} if names else {}
        through = {"token": access.token, "ca": access.ca} if _is_gateway(wanted.urls[0]) else {}
        yield Step("health", "etrid.gizzi.ollama_health", {"url": wanted.urls[0], **through, **model, **patience})


def _is_gateway(url: str) -> bool:
    """Tell whether a server is asked through a gateway, which alone speaks TLS."""
    return url.startswith("https:")
