# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role ollama: what is wrong between them, what follows from them, and what the host must have.

The values are those of the role's argument specification, with their types and without the prefix ``ollama_``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import LLAMA_SERVER, parse_version
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_environment import (
    environment_lines,
    environment_problems,
    limits_cpus,
    override_lines,
    override_problems,
    server_environment,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_models import (
    created_models,
    models_problems,
    pulled_models,
    removed_models,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._unit import is_address, parse_listen

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = "/var/lib/ollama"
ROOT = "/opt/ollama"

VERSION = re.compile(r"\d+\.\d+\.\d+(-rc\d+)?", re.ASCII)
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_MEMORY = re.compile(r"([0-9]+[KMGT]?|[0-9]{1,2}%)?")
# At least two levels, no blanks, no part that begins with a dot.
_PATH = re.compile(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*){2,}")
# Where the system, the users and the releases have their files; the sandbox hides some of it.
_NO_STORE = re.compile(
    r"/(bin|boot|dev|etc|home|lib[^/]*|proc|root|run|sbin|sys|tmp|usr)/.*|/var/(lock|run|tmp)/.*|/var/[^/]+"
    r"|/opt/ollama(/.*)?|/var/lib/ollama"
)
# Each number, and the least that it may be.
_LEAST = {
    "reserved_memory": 0,
    "reserved_disk": 0,
    "prompt_cache": 0,
    "minimum_cpus": 1,
    "start_timeout": 1,
    "pull_timeout": 1,
    "pull_stall_timeout": 1,
    "context_length": 256,
}


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with the values, each with the value and the remedy."""
    version = known_version(values)
    return [
        *_version_problems(values),
        *_source_problems(values),
        *_listen_problems(values["listen"]),
        *_path_problems(values),
        *models_problems(values["models"], version, values["context_length"]),
        *environment_problems(values["environment"]),
        *override_problems(values["systemd_overrides"]),
        *_limit_problems(values),
        *_number_problems(values),
    ]


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what follows from sound values; the role's files and templates read it."""
    listen = parse_listen(values["listen"])
    variables = _variables(values)
    environment = server_environment(values["environment"])
    pulled = pulled_models(values["models"])
    created = created_models(values["models"])
    return {
        "url": listen.url,
        "port": listen.port,
        "on_loopback": listen.on_loopback,
        "release": f"{ROOT}/{values['version']}",
        **_store_places(values["models_dir"]),
        "models_removed": removed_models(values["models"]),
        "models_pulled": pulled,
        "models_created": created,
        "models_wanted": [model["name"] for model in [*pulled, *created]],
        "variables": variables,
        "environment_lines": environment_lines(environment),
        "environment_names": [*variables, *environment],
        "override_lines": override_lines(values["systemd_overrides"]),
        # All that the metrics' program may reach.
        "metrics_address": "localhost" if _is_local(listen.url) else listen.host.strip("[]"),
    }


def known_version(values: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Return the version as numbers, None where it is none."""
    return parse_version(values["version"]) if VERSION.fullmatch(values["version"]) else None


def _store_places(models_dir: str) -> dict[str, Any]:
    """Return who makes the store's folder.

    Below the home the server makes it: a state folder of systemd there would be opened through a link that the user
    ollama can set. Elsewhere below /var/lib systemd makes it, and anywhere else the role.
    """
    at_home = models_dir.startswith(f"{HOME}/")
    in_state = models_dir.startswith("/var/lib/")
    elsewhere = [] if at_home or not in_state else [models_dir[len("/var/lib/") :]]
    return {
        "state_directories": ["ollama", *elsewhere],
        "store_at_home": at_home,
        "store_elsewhere": not in_state,
    }


def _variables(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the drop-in sets in the server's environment by variables of the role."""
    variables: dict[str, Any] = {
        "OLLAMA_HOST": values["listen"],
        "OLLAMA_MODELS": values["models_dir"],
        "OLLAMA_CONTEXT_LENGTH": values["context_length"],
    }
    if _reads_llama_args(values):
        variables["LLAMA_ARG_CACHE_RAM"] = values["prompt_cache"] // (1024 * 1024)
    # Without a limit of the CPU the number of threads is Ollama's own.
    if values["cpu_threads"] > 0:
        variables["LLAMA_ARG_THREADS"] = values["cpu_threads"]
    return variables


def _reads_llama_args(values: Mapping[str, Any]) -> bool:
    version = known_version(values)
    return version is not None and version >= LLAMA_SERVER


def _version_problems(values: Mapping[str, Any]) -> list[str]:
    found = [
        f'ollama_{key} is "{values[key]}". Write it in quotes and without a v, for instance "{example}".'
        for key, example in (("version", "0.34.2"), ("minimum_version", "0.31.2"))
        if not VERSION.fullmatch(values[key])
    ]
    version, least = values["version"], values["minimum_version"]
    if not found and _rank(version) < _rank(least):
        found = [
            f"ollama_version {version} is older than ollama_minimum_version {least}. Older releases have known faults "
            "that let whoever reaches the port read or overwrite memory and files. To run it all the same, set "
            f'ollama_minimum_version to "{version}".'
        ]
    return found


def _rank(version: str) -> tuple[tuple[int, int, int], float]:
    """Return a version in a form that compares: a candidate goes before its release."""
    candidate = version.partition("-rc")[2]
    return parse_version(version), float(candidate) if candidate else float("inf")


def _source_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    checksum, release_url, registry = values["checksum"], values["release_url"], values["registry"]
    if not _SHA256.fullmatch(checksum):
        found.append(
            f'ollama_checksum is "{checksum}". It is the SHA-256 of the archive as 64 lower-case hex digits, or empty.'
        )
    if not _is_url(release_url, "https") and not (_is_url(release_url, "http") and checksum):
        found.append(
            f'ollama_release_url is "{_without_login(release_url)}". It must start with https://, or with http:// when '
            "ollama_checksum is set."
        )
    if not _is_url(registry, "https") and not _is_url(registry, "http"):
        found.append(f'ollama_registry is "{_without_login(registry)}". It must start with https:// or http://.')
    return found


def _is_url(text: str, scheme: str) -> bool:
    start = f"{scheme}://"
    return text.startswith(start) and len(text) > len(start)


def _without_login(url: str) -> str:
    """Return a URL without the name and the password that may stand in it."""
    start, separator, rest = url.rpartition("@")
    return f"{start.partition('://')[0]}://***@{rest}" if separator and "://" in start else url


def _listen_problems(listen: str) -> list[str]:
    host, _colon, port = listen.rpartition(":")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536
    if is_port and (host == "localhost" or is_address(host)):
        return []
    return [
        f'ollama_listen is "{listen}". Write an address and a port, for instance "127.0.0.1:11434" or "[::]:11434".'
    ]


def _path_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    store, metrics = values["models_dir"], values["metrics_dir"]
    if not _PATH.fullmatch(store) or _NO_STORE.fullmatch(store):
        found.append(
            f'ollama_models_dir is "{store}". Name an absolute path to a directory of its own, at least two levels '
            "deep, without spaces, and not where the system, the users or the releases have their files, for instance "
            '"/srv/ollama/models".'
        )
    if metrics and not _PATH.fullmatch(metrics):
        found.append(
            f'ollama_metrics_dir is "{metrics}". Name node_exporter\'s folder for text files as an absolute path '
            'without spaces, for instance "/var/lib/prometheus/node-exporter", or leave it empty.'
        )
    return found


def _limit_problems(values: Mapping[str, Any]) -> list[str]:
    found = []
    limits = limits_cpus(values["systemd_overrides"])
    if limits:
        found.append(
            f"ollama_systemd_overrides has {' and '.join(limits)}: this limits the CPUs without the matching number of "
            "threads, which makes Ollama some 45 times slower. Set ollama_cpu_threads, which sets both."
        )
    threads = values["cpu_threads"]
    if threads < 0 or (threads > 0 and not _reads_llama_args(values)):
        found.append(
            f"ollama_cpu_threads is {threads}. It must be 0 or more, and 0 with a version older than 0.30.0, which "
            "reads the number of threads from nowhere."
        )
    if not _MEMORY.fullmatch(values["memory_max"]):
        found.append(
            f'ollama_memory_max is "{values["memory_max"]}". Write it as "12G", "800M", a number of bytes or "50%", or '
            "leave it empty."
        )
    return found


def _number_problems(values: Mapping[str, Any]) -> list[str]:
    small = [
        f"ollama_{name} is {values[name]}. It must be {least} or more."
        for name, least in _LEAST.items()
        if values[name] < least
    ]
    return small + [
        f"ollama_{name} is {values[name]}. It goes from 1 to 10000."
        for name in ("cpu_weight", "io_weight")
        if not 1 <= values[name] <= 10000
    ]


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.", "http://localhost:", "http://[::1]:"))
