# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/tasks/observe.yml saw of a host, in the words of verify and diagnose."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import re
import typing as t
import urllib.parse
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.plugin_utils._journal import Death, last_death, redact


class UnseenError(Exception):
    """What was to be looked at could not be seen."""


@dataclass(frozen=True)
class Listener:
    address: str
    process: str

    @property
    def wide(self) -> bool:
        return self.address in ("*", "0.0.0.0", "[::]")

    @property
    def loopback(self) -> bool:
        return self.address == "[::1]" or self.address.startswith("127.")


def brief(result: t.Mapping[str, t.Any] | None) -> str:
    """Why a task saw nothing, in one line."""
    if not result:
        return "it was not looked at"
    text = str(result.get("stderr") or result.get("module_stderr") or result.get("msg") or "no reason given")
    return text.strip().splitlines()[-1] if text.strip() else "no reason given"


def full_name(model: str) -> str:
    """The name as Ollama lists it: with its tag."""
    return str(parse_model_name(model))


class Host:
    def __init__(self, seen: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> None:
        self._seen = seen
        self.serves = bool(wanted["serves"])
        self.validator = bool(wanted["validator"])
        self.topology = str(wanted["topology"])
        self.version = str(wanted["version"])
        self.port = int(wanted["port"])
        self.shared = bool(wanted["shared"])
        self.urls: list[str] = list(wanted["urls"])
        self.neighbour = str(wanted["neighbour"])
        self.models: list[t.Mapping[str, t.Any]] = list(wanted["models"])
        self.sources: list[str] = list(wanted["sources"])
        self.gizzi = bool(wanted["gizzi"])
        self.network_url = str(wanted["network_url"])
        self.client = bool(wanted["client"])
        self.client_model = str(wanted["client_model"])
        self.fleet: list[str] = list(wanted["fleet"])

    @property
    def url(self) -> str:
        """The server that the host asks first."""
        return self.urls[0]

    def _result(self, name: str) -> t.Mapping[str, t.Any]:
        return self._seen.get(name) or {}

    def _output(self, name: str) -> str:
        result = self._result(name)
        if result.get("rc") != 0:
            raise UnseenError(brief(result))
        return str(result.get("stdout", ""))

    @property
    def blind(self) -> str:
        """Why the host cannot be looked at; empty when it can."""
        login = self._result("login")
        return "" if login.get("ping") == "pong" else brief(login)

    @property
    def unreachable(self) -> bool:
        return bool(self._result("login").get("unreachable"))

    @cached_property
    def unit(self) -> dict[str, str]:
        return _properties(self._output("unit"))

    @property
    def installed(self) -> str:
        """The installed version; empty when there is none."""
        result = self._result("installed")
        if "stat" not in result:
            raise UnseenError(brief(result))
        stat = result["stat"]
        return str(stat.get("lnk_source", "")).rstrip("/").rpartition("/")[2] if stat.get("exists") else ""

    @cached_property
    def listeners(self) -> list[Listener]:
        found = []
        for line in self._output("sockets").splitlines():
            fields = line.split()
            address, _colon, port = fields[3].rpartition(":")
            if port == str(self.port):
                process = re.search(r'users:\(\("([^"]+)"', line)
                found.append(Listener(address, process.group(1) if process else "an unknown process"))
        return found

    def capacity(self, name: str) -> t.Mapping[str, t.Any]:
        result = self._result("capacity")
        for check in result.get("checks", []):
            if check["name"] == name:
                return t.cast("t.Mapping[str, t.Any]", check)
        raise UnseenError(brief(result))

    def measured(self, fact: str) -> t.Any:
        """One of the facts of host_capacity."""
        result = self._result("capacity")
        if result.get("facts", {}).get(fact) is None:
            raise UnseenError(brief(result))
        return result["facts"][fact]

    @property
    def info(self) -> t.Mapping[str, t.Any]:
        """Version and models of the host's own server."""
        result = self._result("info")
        if "models" not in result:
            raise UnseenError(brief(result))
        return result

    @property
    def digests(self) -> dict[str, str]:
        return {model["name"]: model["digest"] for model in self.info["models"]}

    @property
    def listed(self) -> dict[str, bool]:
        """The models that the server lists as loaded, and whether a process that can answer with them is alive."""
        alive = {str(model["name"]): model.get("loaded") for model in self.info["models"]}
        found = {str(model["name"]): alive.get(model["name"]) for model in self.info["loaded"]}
        unseen = [name for name, lives in found.items() if lives is None]
        if unseen:
            raise UnseenError(f"whether a process of {', '.join(unseen)} is alive")
        return {name: bool(lives) for name, lives in found.items()}

    @property
    def environment(self) -> t.Mapping[str, t.Any]:
        """What ollama_unit_info found in the environment of the host's own server."""
        result = self._result("environment")
        if "foreign" not in result:
            raise UnseenError(brief(result))
        return result

    @property
    def blobs(self) -> list[t.Mapping[str, t.Any]] | None:
        """What ollama_blobs found of each blob of the host's models; None when nobody asked for it."""
        result = self._result("blobs")
        if result.get("skipped"):
            return None
        if "blobs" not in result:
            raise UnseenError(brief(result))
        return list(result["blobs"])

    @property
    def unset(self) -> set[str]:
        """The variables that the service takes out of its environment."""
        return set(self.unit.get("UnsetEnvironment", "").split())

    @property
    def health(self) -> t.Mapping[str, t.Any]:
        """What the host's server answers the host."""
        result = self._result("health")
        if "layers" not in result:
            raise UnseenError(brief(result))
        return result

    def layer(self, name: str) -> t.Mapping[str, t.Any]:
        for layer in self.health["layers"]:
            if layer["layer"] == name:
                return t.cast("t.Mapping[str, t.Any]", layer)
        raise UnseenError(f"ollama_health did not get as far as '{name}'")

    @property
    def unreached(self) -> list[tuple[str, str]]:
        """Which of the servers that the host falls back to do not answer it, and why."""
        results = {str(result["item"]["url"]): result for result in self._result("others").get("results", [])}
        return [(url, brief(results.get(url))) for url in self.urls[1:] if "models" not in results.get(url, {})]

    @property
    def exposure(self) -> float:
        level = re.search(r"Overall exposure level for ollama\.service: ([0-9.]+)", self._output("exposure"))
        if not level:
            raise UnseenError("systemd-analyze gives no exposure level")
        return float(level.group(1))

    @property
    def knocks(self) -> list[tuple[str, bool]]:
        """The neighbour's addresses, and whether each of them answered."""
        results = self._result("knock").get("results", [])
        if not results:
            raise UnseenError("there is no neighbour to try")
        answers = []
        for result in results:
            answered = "to stop" in str(result.get("msg", ""))
            if not answered and result.get("state") != "stopped":
                raise UnseenError(brief(result))
            answers.append((str(result["item"]), answered))
        return answers

    @property
    def guard(self) -> str:
        """What the guard of Ollama's port lacks; empty when it is as wanted, which may be: not there."""
        return self._guard("guard") or (self._guard_unit("ollama", "guard_unit") if self.shared else "")

    @property
    def api_guard(self) -> str:
        """What the guard of the Gizzi API's port lacks; empty when it is as wanted."""
        return self._guard("api_guard") or self._guard_unit("gizzi-api", "api_guard_unit")

    def _guard(self, name: str) -> str:
        result = self._result(name)
        if not str(result.get("stdout", "")).startswith("{"):
            raise UnseenError(brief(result))
        plan = json.loads(result["stdout"])
        if "error" in plan:
            raise UnseenError(plan["error"])
        if plan["missing"]:
            return f"{', '.join(plan['missing'])} is not installed"
        if plan["changed"]:
            return "the rules are not as wanted; to do: " + " | ".join("\n".join(plan["changes"]).splitlines())
        return ""

    def _guard_unit(self, guard: str, name: str) -> str:
        unit = _properties(self._output(name))
        if (unit.get("ActiveState"), unit.get("UnitFileState")) != ("active", "enabled"):
            return f"the rules are there, but gizzi-firewall-{guard}.service would not restore them at boot"
        return ""

    @cached_property
    def api_unit(self) -> dict[str, str]:
        return _properties(self._output("api_unit"))

    @property
    def unknown_validators(self) -> list[tuple[str, str]]:
        """Of which validators the Gizzi API cannot tell the state, and why."""
        result = self._result("network")
        listed = result.get("json", {}).get("validators") if result.get("status") == 200 else None
        if not isinstance(listed, list):
            raise UnseenError(brief(result))
        states = {validator["name"]: validator for validator in listed}
        missing = [(name, "it is not in the API's settings") for name in self.fleet if name not in states]
        return missing + [
            (name, str(states[name]["reason"]))
            for name in self.fleet
            if name in states and states[name]["status"] == "unknown"
        ]

    @property
    def client_problem(self) -> str:
        """What is wrong with the command gizzi or its settings; empty when they are as wanted."""
        result = self._result("client")
        output = str(result.get("stdout", ""))
        if result.get("rc") == errno.ENOENT and not output and not result.get("stderr"):
            return "gizzi is not installed"
        shown = json.loads(output) if output.startswith("{") else {}
        if "error" in shown:
            return f"gizzi refuses its settings: {shown['error']['message']}"
        if "settings" not in shown:
            raise UnseenError(brief(result))
        settings = shown["settings"]
        asked = [str(endpoint["url"]) for endpoint in settings["endpoints"]]
        if [_place(url) for url in asked] != [_place(url) for url in self.urls]:
            return f"gizzi asks {', then '.join(asked)}; {', then '.join(self.urls)} is wanted"
        if _place(settings["api"]["url"]) != _place(self.network_url):
            return f"gizzi looks for the Gizzi API at {settings['api']['url']}; {self.network_url} is wanted"
        if full_name(settings["model"]) != full_name(self.client_model):
            return f"gizzi asks {settings['model']}; {self.client_model} is wanted"
        return ""

    @cached_property
    def journal(self) -> list[str]:
        """The end of Ollama's journal, without what may be secret."""
        return [redact(line) for line in self._output("journal").splitlines()]

    @property
    def last_death(self) -> Death | None:
        """The last death of a llama-server that the journal tells of; None when it tells of none."""
        return last_death(self.journal)

    @property
    def partial_downloads(self) -> list[str]:
        result = self._result("partial")
        if "files" not in result:
            raise UnseenError(brief(result))
        return [file["path"] for file in result["files"]]


def _place(url: str) -> tuple[str, str, int | None, str]:
    """Where a URL leads, however it is written."""
    parts = urllib.parse.urlsplit(str(url))
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return parts.scheme, host, parts.port or {"http": 80, "https": 443}.get(parts.scheme), parts.path.rstrip("/")


def _properties(text: str) -> dict[str, str]:
    """What systemctl show prints."""
    return {name: value for name, _equals, value in (line.partition("=") for line in text.splitlines())}
