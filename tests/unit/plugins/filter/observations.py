# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/tasks/observe.yml registers on a healthy server, a healthy client, and hosts of all kinds of ill."""

from __future__ import annotations

import json
from typing import Any

DIGEST = "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e"


def command(stdout: str, rc: int = 0, stderr: str = "") -> dict[str, Any]:
    return {"rc": rc, "stdout": stdout, "stderr": stderr}


def unit(**changes: str) -> dict[str, Any]:
    properties = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "Result": "success",
        "NRestarts": "0",
        "ExecMainStatus": "0",
        "MemoryCurrent": "6000000000",
        "UnsetEnvironment": "LLAMA_API_KEY OLLAMA_DEBUG",
    }
    return command("\n".join(f"{name}={value}" for name, value in (properties | changes).items()))


def guard(*changes: str, missing: tuple[str, ...] = ()) -> dict[str, Any]:
    plan = {"backend": "iptables", "changed": bool(changes or missing), "changes": changes, "missing": missing}
    return command(json.dumps(plan))


def listener(address: str, process: str = "ollama") -> str:
    return f'LISTEN 0      4096      {address}:11434      0.0.0.0:*    users:(("{process}",pid=812,fd=3))'


def sockets(*lines: str) -> dict[str, Any]:
    return command("\n".join(["LISTEN 0      128      0.0.0.0:22      0.0.0.0:*", *lines]))


def capacity(**failed: str) -> dict[str, Any]:
    names = ("memory_total", "memory_available", "cpus", "disk", "port")
    return {
        "checks": [
            {"name": name, "ok": name not in failed, "message": failed.get(name, f"{name} suffices")} for name in names
        ],
        "facts": {
            "memory_total": 16_000_000_000,
            "memory_available": 9_000_000_000,
            "cpus": 4,
            "disk_free": 80_000_000_000,
            "models_dir": "/var/lib/ollama/models",
        },
    }


def network(*unknown: str) -> dict[str, Any]:
    """What the Gizzi API answers, as uri registers it."""
    validators = [
        {"name": name, "status": "unknown" if name in unknown else "lagging", "reason": "no data"}
        for name in ("validator01", "validator02")
    ]
    return {"status": 200, "json": {"validators": validators}}


CENTRAL = "http://[2001:db8::1]:11434"


def others(*urls: str, **reply: Any) -> dict[str, Any]:
    """What the servers answer that the host falls back to."""
    answer = reply or {"version": "0.34.2", "models": []}
    return {"results": [{"item": {"name": "gizzi", "url": url}, **answer} for url in urls]}


def gizzi(*urls: str, model: str = "llama3.1:8b", api: str = "http://127.0.0.1:8080/") -> dict[str, Any]:
    """What ``gizzi config --json`` prints."""
    settings = {"model": model, "endpoints": [{"name": url, "url": url} for url in urls], "api": {"url": api}}
    return command(json.dumps({"file": "/etc/gizzi/client.toml", "settings": settings}))


LAYERS = ("reachable", "version", "present", "loads", "answers", "speed")


def health(failed: str = "", message: str = "") -> dict[str, Any]:
    layers: list[dict[str, Any]] = [
        {"layer": layer, "status": "pass", "message": "", "seconds": 0.1} for layer in LAYERS
    ]
    if failed:
        position = LAYERS.index(failed)
        layers[position] |= {"status": "fail", "message": message}
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


def environment(*foreign: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """What ollama_unit_info returns; foreign are names and where they are set."""
    found = {
        "foreign": [{"name": name, "source": source} for name, source in foreign],
        "problems": [],
        "unexpected": [],
        "secrets": [],
        "unseen": "",
    }
    return found | changes


def blobs(*changes: dict[str, Any], model: str = "llama3.1:8b") -> dict[str, Any]:
    """What ollama_blobs returns of one model with two blobs, and of what else is given."""
    sound = {"size": 2_500_000_000, "models": [model], "status": "ok", "message": ""}
    return {"blobs": [{"digest": "sha256:" + DIGEST} | sound, {"digest": "sha256:" + "0" * 64} | sound, *changes]}


STARTED = "2026-11-22T21:00:00+0000 systemd[1]: Started ollama.service - Ollama."
STOPPING = "2026-11-22T23:00:00+0000 systemd[1]: Stopping ollama.service - Ollama..."
OOM = "2026-11-22T22:00:00+0000 systemd[1]: ollama.service: A process of this unit has been killed by the OOM killer."
# The words of 0.33.0-rc2, and of 0.9.3.
KILLED = (
    "2026-11-22T22:00:01+0000 ollama[812]: time=2026-11-22T22:00:01.000Z level=WARN source=llama_server.go:699 "
    'msg="llama-server process no longer running" sys=9 string="signal: killed"'
)
RUNNER_KILLED = KILLED.replace("llama-server", "llama runner")
UNLOADED = KILLED.replace("process no longer running", "terminated")
CRASHED = KILLED.replace("sys=9", "sys=132").replace("signal: killed", "signal: illegal instruction (core dumped)")


def server() -> dict[str, Any]:
    return {
        "login": {"ping": "pong"},
        "capacity": capacity(),
        "unit": unit(),
        "installed": {"stat": {"exists": True, "lnk_source": "/opt/ollama/0.34.2"}},
        "sockets": sockets(listener("*")),
        "guard": guard(),
        "guard_unit": command("ActiveState=active\nUnitFileState=enabled"),
        "api_unit": unit(),
        "api_guard": guard(),
        "api_guard_unit": command("ActiveState=active\nUnitFileState=enabled"),
        "network": network(),
        "info": info(),
        "health": health(),
        "others": {"results": []},
        "knock": {"skipped": True},
        "client": gizzi("http://127.0.0.1:11434/"),
        "environment": environment(),
        "blobs": {"skipped": True},
        "exposure": command("→ Overall exposure level for ollama.service: 1.2 OK :-)"),
        "journal": command(STARTED),
        "partial": {"files": []},
    }


def client() -> dict[str, Any]:
    return server() | {
        "unit": unit(LoadState="not-found", ActiveState="inactive", UnitFileState="", MemoryCurrent="[not set]"),
        "installed": {"stat": {"exists": False}},
        "sockets": sockets(),
        "guard_unit": command("ActiveState=inactive\nUnitFileState="),
        "info": {"skipped": True},
        "journal": command("-- No entries --"),
    }


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "host": "validator01",
        "topology": "centralized",
        "serves": True,
        "shared": True,
        "validator": True,
        "version": "0.34.2",
        "port": 11434,
        "urls": ["http://127.0.0.1:11434"],
        "neighbour": "validator02",
        "models": [{"name": "llama3.1:8b", "state": "present"}],
        "sources": ["192.0.2.1", "2001:db8::1"],
        "gizzi": True,
        "network_url": "http://127.0.0.1:8080",
        "client": True,
        "client_model": "llama3.1:8b",
        "fleet": ["validator01", "validator02"],
    } | changes


UNREACHABLE = {"login": {"unreachable": True, "msg": "ssh: connect to host 192.0.2.1 port 22: Connection timed out"}}
NO_SUDO = {"login": {"failed": True, "msg": "Task failed: Missing sudo password"}}
