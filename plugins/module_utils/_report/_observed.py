# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks verify and diagnose saw of one host, and what is wanted of it."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import Given, UnseenError, reason
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import (
    API,
    API_SERVICE,
    CLIENT,
    MIRROR,
    OLLAMA,
    RELEASES,
    SERVICE,
    version_page,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._program import too_old
from ansible_collections.etrid.gizzi.plugins.module_utils._settings.gateway import GUARDS
from ansible_collections.etrid.gizzi.plugins.module_utils._settings.gateway import UNIT as GATEWAY_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import Wanted

# The guards of ports that nobody else reaches any more, from before there was a gateway.
EARLIER_GUARDS = ("ollama", "gizzi-api")


class Listener(NamedTuple):
    """Who listens at a port."""

    address: str
    process: str
    unit: str

    @property
    def loopback(self) -> bool:
        """Whether its own host alone reaches it."""
        return ipaddress.ip_address(self.address).is_loopback


def full_name(model: str) -> str:
    """Return a model's name as Ollama lists it: with its tag."""
    return str(parse_model_name(model))


class Host:
    """Each property is what was seen, with its type, or raises UnseenError."""

    def __init__(self, results: Mapping[str, Any], wanted: Wanted) -> None:
        """Take the results of the playbooks' tasks by name; none of them is trusted to be there or to have a form."""
        self._results = results
        self.wanted = wanted

    def _given(self, name: str, key: str) -> Given:
        """Return a task's result; where it lacks what it has when it is one, it could not be seen."""
        result = self._results.get(name)
        if not isinstance(result, dict) or key not in result:
            raise UnseenError(reason(result))
        return Given(result, f"the result of {name}")

    def _section(self, name: str) -> Given:
        return self._given("state", "system").mapping(name)

    @property
    def blind(self) -> str:
        """Why the host cannot be looked at; empty when it can."""
        try:
            self._given("state", "system")
        except UnseenError as error:
            return str(error)
        return ""

    @property
    def unreachable(self) -> bool:
        """Whether nobody could log in."""
        result = self._results.get("state")
        return isinstance(result, dict) and result.get("unreachable") is True

    @property
    def unit(self) -> Given:
        """Ollama's service, as host_state describes a unit."""
        return self._section("units").mapping(SERVICE)

    @property
    def api_unit(self) -> Given:
        """The Gizzi API's service."""
        return self._section("units").mapping(API_SERVICE)

    @property
    def gateway_unit(self) -> Given:
        """The gateway's service."""
        return self._section("units").mapping(GATEWAY_SERVICE)

    @property
    def ipv6(self) -> bool:
        """Whether the host has IPv6."""
        return self._section("system").flag("ipv6")

    @property
    def installed(self) -> str:
        """The installed version; empty when there is none."""
        return self._section("releases").mapping(RELEASES).text("current")

    def listeners(self, port: int) -> list[Listener]:
        """Return who listens at a port."""
        rows = self._section("ports").rows(str(port))
        found = [
            Listener(row.text("address"), row.text("process") or "an unknown process", row.text("unit")) for row in rows
        ]
        for listener in found:
            with contextlib.suppress(ValueError):
                ipaddress.ip_address(listener.address)
                continue
            raise UnseenError("what listens has an address that is none")
        return found

    @property
    def memory(self) -> Given:
        """Bytes of memory: total, available."""
        return self._section("memory")

    @property
    def disk(self) -> Given:
        """The disk of the models: bytes free and total, path."""
        return self._section("disks").mapping(self.wanted.models_dir)

    def capacity(self, name: str) -> Given:
        """One of the checks of whether the host suffices."""
        for check in self._section("capacity").rows("checks"):
            if check.text("name") == name:
                return check
        raise UnseenError(f"host_state did not look at {name}")

    @property
    def partial_downloads(self) -> int:
        """How many parts of unfinished downloads the store has."""
        return self._section("capacity").mapping("facts").count("partial_downloads")

    @property
    def info(self) -> Given:
        """Version and models of the host's own server."""
        return self._given("info", "models")

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each model of the host's own server."""
        return {model.text("name"): model.text("digest") for model in self.info.rows("models")}

    @property
    def loaded(self) -> dict[str, bool]:
        """The models that the server lists as loaded, and whether a process that can answer with them is alive."""
        models = {model.text("name"): model for model in self.info.rows("models")}
        names = [model.text("name") for model in self.info.rows("loaded")]
        unseen = [name for name in names if name not in models or models[name].is_none("loaded")]
        if unseen:
            raise UnseenError(f"whether a process of {', '.join(unseen)} is alive")
        return {name: models[name].flag("loaded") for name in names}

    @property
    def environment(self) -> Given:
        """What is in the environment of the host's own server, beside what the role has put there."""
        return self._section("ollama_environment")

    @property
    def blobs(self) -> list[Given] | None:
        """What ollama_blobs found of each blob of the host's models; None when nobody asked for it."""
        result = self._results.get("blobs")
        if isinstance(result, dict) and result.get("skipped") is True:
            return None
        return self._given("blobs", "blobs").rows("blobs")

    @property
    def health(self) -> Given:
        """What the host's server answers the host."""
        return self._given("health", "layers")

    def layer(self, name: str) -> Given:
        """One of the layers of ollama_health."""
        for layer in self.health.rows("layers"):
            if layer.text("layer") == name:
                return layer
        raise UnseenError(f"ollama_health did not get as far as '{name}'")

    def _page(self, url: str) -> Given:
        """The document that a page answered."""
        return self._section("urls").mapping(url).mapping("json")

    @property
    def unreached(self) -> list[tuple[str, str]]:
        """Which of the servers that the host falls back to do not answer it, and why."""
        answers = [(url, self._silence(url)) for url in self.wanted.urls[1:]]
        return [(url, why) for url, why in answers if why]

    def _silence(self, url: str) -> str:
        """Return why a server does not answer, "" where it does."""
        try:
            self._page(version_page(url)).text("version")
        except UnseenError as error:
            return str(error)
        return ""

    @property
    def knocks(self) -> list[tuple[str, bool]]:
        """The neighbour's addresses, and whether each of them takes a connection."""
        rows = self._given("state", "connections").rows("connections")
        if not rows:
            raise UnseenError("there is no neighbour to try")
        return [(row.text("address"), row.flag("open")) for row in rows]

    @property
    def unknown_validators(self) -> list[tuple[str, str]]:
        """Of which validators the Gizzi API cannot tell the state, and why."""
        rows = self._page(self.wanted.status_page).rows("validators")
        states = {row.text("name"): row for row in rows}
        found = []
        for name in self.wanted.fleet:
            if name not in states:
                found.append((name, "it is not in the API's settings"))
            elif states[name].text("status") == "unknown":
                found.append((name, states[name].text("reason")))
        return found

    @property
    def left_guards(self) -> list[str]:
        """The guards of ports that nobody is to be let in to."""
        needless = [*EARLIER_GUARDS, *(GUARDS[name] for name in GUARDS if name not in self.wanted.gateway)]
        return [name for name in needless if name in self._section("guards")]

    def guard_problem(self, name: str) -> str:
        """Return what the guard of one of the gateway's ports lacks; empty when it is as wanted."""
        sources = {OLLAMA: self.wanted.sources, API: self.wanted.api_sources, MIRROR: self.wanted.mirror_sources}
        return self._guard(GUARDS[name], self.wanted.gateway[name], sources[name])

    def _guard(self, name: str, port: int, sources: list[str]) -> str:
        guards = self._section("guards")
        if name not in guards:
            return f"port {port} has no guard"
        guard = guards.mapping(name)
        if guard.flag("unseen"):
            raise UnseenError(guard.text("reason"))
        if not guard.flag("effective"):
            return guard.text("reason")
        if guard.count("port") != port:
            return f"the guard is of port {guard.count('port')}, not of {port}"
        found, wanted = ({_network(text) for text in texts} for texts in (guard.texts("sources"), sources))
        lacking, strange = ", ".join(sorted(wanted - found)), ", ".join(sorted(found - wanted))
        problems = [f"does not let in {lacking}"] * bool(lacking) + [f"lets in {strange}"] * bool(strange)
        return f"the guard {' and '.join(problems)}" if problems else ""

    def certificate(self, port: int) -> Given:
        """What gateway_info tells of the certificate that the host serves at a port."""
        return self._given("gateway", "certificates").mapping("certificates").mapping(str(port))

    def gateway(self, url: str) -> Given:
        """What gateway_info tells of a gateway that the host asks."""
        return self._given("gateway", "gateways").mapping("gateways").mapping(url)

    def mirror(self, url: str) -> Given:
        """What gateway_info tells of the models that a mirror gives the host, by their names."""
        return self._given("gateway", "mirrors").mapping("mirrors").mapping(url)

    @property
    def client_left_out(self) -> str:
        """Why playbook site goes on without the command gizzi; empty where it does not, or where gizzi is there."""
        if not self._section("documents").is_none(CLIENT):
            return ""
        python = self.wanted.client_python
        try:
            version = self._section("pythons").mapping(python).text("minor_version")
            return too_old("ollama_client", python, {"minor_version": version})
        except (UnseenError, ValueError):
            return ""

    @property
    def client_problem(self) -> str:
        """What is wrong with the command gizzi or its settings; empty when they are as wanted."""
        documents = self._section("documents")
        if documents.is_none(CLIENT):
            return "gizzi is not installed"
        shown = documents.mapping(CLIENT).mapping("json")
        if "error" in shown:
            return f"gizzi refuses its settings: {shown.mapping('error').text('message')}"
        settings = shown.mapping("settings")
        wanted = self.wanted
        asked = [endpoint.text("url") for endpoint in settings.rows("endpoints")]
        if [_place(url) for url in asked] != [_place(url) for url in wanted.urls]:
            return f"gizzi asks {', then '.join(asked)}; {', then '.join(wanted.urls)} is wanted"
        api = settings.mapping("api").text("url")
        if _place(api) != _place(wanted.network_url):
            return f"gizzi looks for the Gizzi API at {api}; {wanted.network_url} is wanted"
        model = settings.text("model")
        if full_name(model) != full_name(wanted.client_model):
            return f"gizzi asks {model}; {wanted.client_model} is wanted"
        return ""

    @property
    def journal(self) -> Given:
        """The end of Ollama's journal: lines, death."""
        return self._section("journals").mapping(SERVICE)


def _network(text: str) -> str:
    """Return an address or network as it is written in short."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise UnseenError(f"a source of the guard is {text}, which is no address") from error


def _place(url: str) -> tuple[str, str, int | None, str]:
    """Return where a URL leads, however it is written; raise UnseenError where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UnseenError(f"{url} is no address") from error
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return parts.scheme, host, port or {"http": 80, "https": 443}.get(parts.scheme), parts.path.rstrip("/")
