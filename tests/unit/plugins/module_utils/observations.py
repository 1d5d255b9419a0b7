# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/tasks/look.yml registers on a healthy server, a healthy client, and hosts of all kinds of ill."""

from __future__ import annotations

from typing import Any

DIGEST = "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e"


CENTRAL = "https://[2001:db8::1]:11443"
STATUS = "http://127.0.0.1:8080/api/network/status"
DEATH = "2026-11-22T22:00:01Z ollama[812]: llama-server process no longer running"


def unit(**changes: Any) -> dict[str, Any]:
    """A unit, as host_state describes it."""
    return {
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "enabled": "enabled",
        "result": "success",
        "restarts": 0,
        "exit_status": 0,
        "memory": 6_000_000_000,
        "unset_environment": ["LLAMA_API_KEY", "OLLAMA_DEBUG"],
        "exposure": 1.2,
    } | changes


ABSENT: dict[str, Any] = {"load": "not-found", "active": "inactive", "enabled": "", "memory": None}


def state(**changes: Any) -> dict[str, Any]:
    """What host_state returns of a server that serves the fleet; changes replace whole sections."""
    return {
        "system": {"root": True, "ipv6": True},
        "memory": {"total": 16_000_000_000, "available": 9_000_000_000},
        "disks": {
            "/var/lib/ollama/models": {"free": 80_000_000_000, "total": 10**11, "path": "/var/lib/ollama/models"}
        },
        "releases": {"/opt/ollama": {"current": "0.34.2", "finished": ["0.34.2"], "unfinished": []}},
        "ports": ports(listener("127.0.0.1")),
        "units": units(),
        "guards": guards(),
        "journals": journal("2026-11-22T21:00:00Z systemd[1]: Started ollama.service - Ollama."),
        "urls": urls(network()),
        "connections": [],
        "documents": gizzi("http://127.0.0.1:11434/"),
        "pythons": {"/usr/bin/python3": {"minor_version": "3.11"}},
    } | changes


def units(
    gizzi_api: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """The units that are looked at; changes are to Ollama's."""
    return {
        "ollama.service": unit(**changes),
        "gizzi-api.service": gizzi_api or unit(),
        "gizzi-gateway.service": gateway or unit(),
    }


def journal(*lines: str, death: str = "", killed: bool = True) -> dict[str, Any]:
    told = {"line": death, "killed": killed} if death else None
    return {"ollama.service": {"lines": list(lines), "death": told}}


def releases(current: str) -> dict[str, Any]:
    return {"/opt/ollama": {"current": current, "finished": [current] if current else [], "unfinished": []}}


SOURCES = ["192.0.2.1", "2001:db8::1"]


def guard(**changes: Any) -> dict[str, Any]:
    """A guard that holds, as host_state describes it."""
    return {"port": 11443, "sources": SOURCES, "effective": True, "unseen": False, "reason": ""} | changes


def guards(**changes: Any) -> dict[str, Any]:
    """The guards of the Gizzi host under Option A; changes are to that of the gateway's port for Ollama."""
    return {"gateway": guard(**changes), "gateway-api": guard(port=8443)}


def listener(address: str, process: str = "ollama", unit: str = "ollama.service") -> dict[str, Any]:
    return {"address": address, "pid": 812, "process": process, "unit": unit}


def nginx(*addresses: str, unit: str = "gizzi-gateway.service") -> list[dict[str, Any]]:
    """The gateway at one of its ports."""
    return [listener(address, "nginx", unit) for address in addresses]


def ports(*listeners: dict[str, Any], **others: list[dict[str, Any]]) -> dict[str, Any]:
    """Who listens at Ollama's port, and where it is not as it should be, at those of ``api``, ``gateway`` (of Ollama),
    ``gateway_api`` and ``mirror``."""
    both = nginx("0.0.0.0", "::")
    return {
        "11434": list(listeners),
        "8080": others.get("api", [listener("127.0.0.1", "gizzi-api", "gizzi-api.service")]),
        "11443": others.get("gateway", both),
        "8443": others.get("gateway_api", both),
        "11444": others.get("mirror", both),
    }


DAY = 86400


def gateway(stranger: int = 401, change: int = 403, token: str = "", **certificate: Any) -> dict[str, Any]:
    """What gateway_info returns; certificate changes that of the port for Ollama."""
    sound = {"problem": "", "left": 364.9 * DAY, "addresses": SOURCES}
    return {
        "certificates": {"11443": sound | certificate, "8443": sound},
        "gateways": {CENTRAL: {"token": token, "stranger": stranger, "change": change}},
    }


def capacity(**failed: str) -> dict[str, Any]:
    names = ("memory_total", "memory_available", "cpus", "disk", "port")
    return {
        "checks": [
            {"name": name, "ok": name not in failed, "message": failed.get(name, f"{name} suffices")} for name in names
        ],
        "facts": {"partial_downloads": 0},
    }


def network(*unknown: str) -> dict[str, Any]:
    """What the Gizzi API answers."""
    validators = [
        {"name": name, "status": "unknown" if name in unknown else "lagging", "reason": "no data"}
        for name in ("validator01", "validator02")
    ]
    return {"status": 200, "json": {"validators": validators}}


def urls(status: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    """What the pages answer: the Gizzi API's, and the servers' that the host falls back to."""
    return {
        STATUS: status,
        f"{CENTRAL}/api/version": others.get("central", {"status": 200, "json": {"version": "0.34.2"}}),
    }


def gizzi(*urls: str, model: str = "llama3.1:8b", api: str = "http://127.0.0.1:8080/") -> dict[str, Any]:
    """What ``gizzi config --json`` prints, as host_state returns it."""
    settings = {"model": model, "endpoints": [{"name": url, "url": url} for url in urls], "api": {"url": api}}
    return {"client": {"code": 0, "json": {"file": "/etc/gizzi/client.toml", "settings": settings}}}


def refuses(message: str) -> dict[str, Any]:
    """What it prints where it refuses its settings."""
    return {"client": {"code": 1, "json": {"error": {"message": message}}}}


LAYERS = ("reachable", "version", "present", "loads", "answers", "speed")


def health(failed: str = "", message: str = "", status: str = "fail") -> dict[str, Any]:
    layers: list[dict[str, Any]] = [
        {"layer": layer, "status": "pass", "message": "", "seconds": 0.1} for layer in LAYERS
    ]
    if failed:
        position = LAYERS.index(failed)
        layers[position] |= {"status": status, "message": message}
        for layer in layers[position + 1 :]:
            layer |= {"status": "skip", "seconds": None}
    return {"healthy": not failed, "failed_layer": failed or None, "layers": layers, "version": "0.34.2"}


def info(loaded: bool | None = True, listed: tuple[str, ...] = ("llama3.1:8b",)) -> dict[str, Any]:
    """What ollama_info returns: one model, loaded or not, and what the server lists as loaded."""
    return {
        "version": "0.34.2",
        "models": [{"name": "llama3.1:8b", "digest": DIGEST, "loaded": loaded}],
        "loaded": [{"name": name, "digest": DIGEST} for name in listed],
    }


def environment(*foreign: tuple[str, str], problems: tuple[str, ...] = (), **process: Any) -> dict[str, Any]:
    """What is in the environment of the server: foreign are names and where they are set, process what its own has."""
    return {
        "foreign": [{"name": name, "source": source} for name, source in foreign],
        "problems": list(problems),
        "process": process if "unseen" in process else {"unexpected": [], "secrets": []} | process,
    }


def blobs(*changes: dict[str, Any], model: str = "llama3.1:8b") -> dict[str, Any]:
    """What ollama_blobs returns of one model with two blobs, and of what else is given."""
    sound = {"size": 2_500_000_000, "models": [model], "status": "ok", "message": ""}
    return {"blobs": [{"digest": "sha256:" + DIGEST} | sound, {"digest": "sha256:" + "0" * 64} | sound, *changes]}


def server(**changes: Any) -> dict[str, Any]:
    """What is seen of a healthy server; changes are to sections of host_state."""
    return {
        "state": state(**{"capacity": capacity(), "ollama_environment": environment()} | changes),
        "info": info(),
        "health": health(),
        "gateway": gateway(),
        "blobs": {"skipped": True},
    }


def changed(host: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return what is seen of a host with changes: to sections of host_state, or to the results of other tasks."""
    sections = {name: value for name, value in changes.items() if name in host["state"]}
    return host | {"state": host["state"] | sections} | {name: changes[name] for name in changes.keys() - sections}


def client() -> dict[str, Any]:
    """What is seen of a healthy host that does not serve."""
    absent = {
        "units": units(gateway=unit(**ABSENT), **ABSENT),
        "guards": {},
        "releases": releases(""),
        "ports": ports(),
        "journals": journal(),
    }
    return server() | {"state": state(**absent), "info": {"skipped": True}}


def wanted(**changes: Any) -> dict[str, Any]:
    """What is wanted of the Gizzi host under Option A, as the inventory gives it."""
    return {
        "host": "validator01",
        "addresses": SOURCES,
        "gateway": {"ollama": 11443, "api": 8443},
        "topology": "centralized",
        "serves": True,
        "shared": True,
        "validator": True,
        "version": "0.34.2",
        "port": 11434,
        "urls": ["http://127.0.0.1:11434"],
        "neighbour": "validator02",
        "neighbour_addresses": ["192.0.2.2"],
        "models_dir": "/var/lib/ollama/models",
        "capacity": {"port": 11434},
        "models": [{"name": "llama3.1:8b", "state": "present"}],
        "sources": SOURCES,
        "gizzi": True,
        "api": True,
        "api_port": 8080,
        "api_sources": SOURCES,
        "mirror_sources": SOURCES,
        "mirror": "",
        "mirrored": [],
        "network_url": "http://127.0.0.1:8080",
        "client": True,
        "client_python": "/usr/bin/python3",
        "client_model": "llama3.1:8b",
        "fleet": ["validator01", "validator02"],
    } | changes


UNREACHABLE = {"state": {"unreachable": True, "msg": "ssh: connect to host 192.0.2.1 port 22: Connection timed out"}}
NO_SUDO = {"state": {"failed": True, "msg": "Task failed: Missing sudo password"}}
