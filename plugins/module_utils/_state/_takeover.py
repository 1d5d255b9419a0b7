# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an earlier installation by hand has left on the host: Ollama of install.sh, an API server, a client, rules."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils import _aside
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._unit import (
    DEFAULT_LISTEN,
    MAX_FILE,
    UNIT_FILE,
    Listen,
    assigned,
    is_address,
    parse_listen,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path("/")
# All files that the collection writes say so.
OURS = "etrid.gizzi"
COMMAND = "usr/local/bin/ollama"
RELEASES = "/opt/ollama/"
DROPINS = f"{UNIT_FILE}.d"
# What `systemctl enable` makes of install.sh's unit; the role's unit is wanted by another target.
ENABLED = "etc/systemd/system/default.target.wants/ollama.service"
LIBRARIES = "usr/local/lib/ollama"
API_UNIT = "etc/systemd/system/gizzi-api.service"
API_PROGRAM = "opt/gizzi/api_server.py"
CLIENT = "opt/validator/ollama_client.py"
USER = "ollama"
HOME = "usr/share/ollama"
_PORT = re.compile(r":\d{1,5}$")


def takeover(topics: list[str]) -> dict[str, Any]:
    """Return section takeover of module host_state: each topic, or unseen with the reason."""
    return {topic: _seen.seen_or_why(TOPICS[topic]) for topic in topics}


def old_store() -> str:
    """Return the store of an earlier Ollama; "" where there is none, or no user who could own its models."""
    home = _home()
    if not home:
        return ""
    files = _unit_files() or [_relative(path) for path in _kept_units()]
    named = [value for value in _variable(files, "OLLAMA_MODELS") if value.startswith("/")]
    for store in [*named[-1:], f"{home}/.ollama/models", f"/{HOME}/.ollama/models"]:
        if (ROOT / _relative(store) / "manifests").is_dir():
            return store
    return ""


def _ollama() -> dict[str, Any]:
    units = _unit_files()
    has_command = _is_other_command()
    is_there = bool(units) or has_command
    store = old_store()
    return {
        "units": [f"/{path}" for path in units],
        "enabled": [f"/{ENABLED}"] if is_there and os.path.lexists(ROOT / ENABLED) else [],
        "commands": [f"/{COMMAND}"] if has_command else [],
        "user": (_service_values(units, "User") or [""])[-1],
        "server": asdict(_listen(units)) if is_there else None,
        "variables": sorted({name for text in _service_values(units, "Environment") for name in assigned(text)}),
        "store": store,
        "models": [str(name) for name in Store(ROOT / _relative(store)).names()] if store else [],
        "left": _left_of_ollama(store),
    }


def _gizzi_api() -> dict[str, Any]:
    return _others([API_UNIT], [API_PROGRAM])


def _ollama_client() -> dict[str, Any]:
    return _others([], [CLIENT])


def _programs() -> dict[str, Any]:
    from ansible_collections.etrid.gizzi.plugins.module_utils._state._old_programs import old_programs

    seen = old_programs(ROOT)
    # The client of this collection has the same import; with the old file, that one may be meant.
    if not (ROOT / CLIENT).is_file():
        seen["found"] = [one for one in seen["found"] if one["why"] != "import"]
    return seen


def _rules() -> list[dict[str, Any]]:
    from ansible_collections.etrid.gizzi.plugins.module_utils._guard.host import Host, look
    from ansible_collections.etrid.gizzi.plugins.module_utils._guard.open_rules import open_rules

    seen = look(Host())
    if seen.unseen:
        raise _seen.UnseenError("; ".join(seen.unseen.values()))
    return [asdict(rule) for rule in open_rules(seen, PORTS)]


PORTS = (11434, 8080)
TOPICS: dict[str, Callable[[], Any]] = {
    "gizzi_api": _gizzi_api,
    "ollama": _ollama,
    "ollama_client": _ollama_client,
    "programs": _programs,
    "rules": _rules,
}


def _others(units: list[str], files: list[str]) -> dict[str, Any]:
    found = [f"/{path}" for path in units if _is_other(path)]
    found += [f"/{path}" for path in files if (ROOT / path).is_file()]
    return {"files": found, "left": _asides([*units, *files])}


def _unit_files() -> list[str]:
    """Return the unit and its drop-ins, where the unit is not the role's."""
    if not _is_other(UNIT_FILE):
        return []
    return [UNIT_FILE, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / DROPINS).glob("*.conf"))]


def _kept_units() -> list[str]:
    """Return the second names of an earlier unit and its drop-ins, which a role has replaced."""
    dropins = sorted((ROOT / DROPINS).glob(f"*{_aside.SUFFIX}*"))
    return [*_asides([UNIT_FILE]), *(f"/{path.relative_to(ROOT)}" for path in dropins)]


def _asides(paths: Iterable[str]) -> list[str]:
    return [f"/{Path(name).relative_to(ROOT)}" for name in _aside.asides(str(ROOT / path) for path in paths)]


def _is_other(path: str) -> bool:
    """Whether a file is there that no role of this collection has written."""
    return os.path.lexists(ROOT / path) and OURS not in _read(path)


def _is_other_command() -> bool:
    path = ROOT / COMMAND
    return os.path.lexists(path) and not (path.is_symlink() and str(path.readlink()).startswith(RELEASES))


def _listen(units: Iterable[str]) -> Listen:
    """Return where the earlier server listens: Ollama also takes an address without a port, or with a scheme."""
    text = re.sub(r"^https?://", "", ([DEFAULT_LISTEN, *_variable(units, "OLLAMA_HOST")])[-1]).rstrip("/")
    host = f"[{text}]" if is_address(f"[{text}]") else text
    return parse_listen(host if _PORT.search(host) else f"{host}:11434")


def _variable(files: Iterable[str], name: str) -> list[str]:
    """Return the values that unit files give to a variable, in order."""
    found = (assigned(text).get(name, "") for text in _service_values(files, "Environment"))
    return [value for value in found if value]


def _service_values(files: Iterable[str], key: str) -> list[str]:
    return [one.value for path in files for one in settings_of(_read(path), f"/{path}", (key,))]


def _home() -> str:
    try:
        return pwd.getpwnam(USER).pw_dir
    except KeyError:
        return ""


def _left_of_ollama(store: str) -> list[str]:
    """Return what an earlier Ollama has left that nothing of this collection needs."""
    folders = [f"/{path}" for path in (LIBRARIES, HOME) if (ROOT / path).is_dir()]
    # The folder that an operator has named for the models may have other things in it.
    apart = store != "" and not store.startswith(f"/{HOME}/")
    models = [f"{store}/{name}" for name in ("blobs", "manifests") if apart]
    return [*_kept_units(), *_asides([COMMAND]), *folders, *models]


def _read(path: str) -> str:
    try:
        with (ROOT / path).open("rb") as file:
            return file.read(MAX_FILE).decode("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""


def _relative(path: str) -> str:
    return path.lstrip("/")
