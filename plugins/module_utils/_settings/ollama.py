# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of role ollama: their problems, values computed from them, and requirements for the host.

The values are those of the role's argument specification, with their types and without the prefix ``ollama_``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import source_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._release import ARCHITECTURES
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._bundle import (
    bundled_models,
    pinned_models,
    role_problems,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._guards import guard_before, wanted_guard
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_earlier import (
    earlier_notes,
    earlier_problems,
    taken_over,
    without_earlier,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_environment import (
    environment_lines,
    environment_problems,
    limits_cpus,
    override_lines,
    override_problems,
    server_environment,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_models import (
    models_problems,
    offered_models,
    offered_problems,
    sorted_models,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._unit import is_address, parse_listen
from ansible_collections.etrid.gizzi.plugins.module_utils._version import LLAMA_SERVER, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = "/var/lib/ollama"
ROOT = "/opt/ollama"
COMMAND = "/usr/local/bin/ollama"
GUARD = "ollama"
UNIT = "ollama.service"
METRICS_TIMER = "ollama-metrics.timer"
_UNITS = (UNIT, METRICS_TIMER)
_LOGS = ("/run/log/journal", "/var/log/journal")
# Options of module host_capacity, and the role's values for them.
CAPACITY = {
    **{name: name for name in ("models_dir", "registry", "offered", "version", "memory_max")},
    "context_length": "context_length",
    "prompt_cache": "prompt_cache",
    "reserved_memory": "reserved_memory",
    "reserved_disk": "reserved_disk",
    "min_cpus": "minimum_cpus",
}
# Notes about pulls and evaluations. They belong to the models in the store.
NOTES = ("/var/lib/gizzi-ollama-pulls", "/var/lib/gizzi-update")
# The first paths that an installation makes, and the last that a removal deletes.
TRACES = (ROOT, COMMAND, "/etc/systemd/system/ollama.service", "/etc/sysusers.d/ollama.conf")
# The sandbox and the limits need at least this version of systemd.
OLDEST_SYSTEMD = 247

VERSION = re.compile(r"\d+\.\d+\.\d+(-rc\d+)?", re.ASCII)
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_MEMORY = re.compile(r"([0-9]+[KMGT]?|[0-9]{1,2}%)?")
# At least two levels, no blanks, and no part that starts with a dot.
_PATH = re.compile(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*){2,}")
# Paths of the system, of users and of the releases; the sandbox hides some of them.
_NO_STORE = re.compile(
    r"/(bin|boot|dev|etc|home|lib[^/]*|proc|root|run|sbin|sys|tmp|usr)/.*|/var/(lock|run|tmp)/.*|/var/[^/]+"
    r"|/opt/ollama(/.*)?|/var/lib/ollama"
)
# The minimum of each number.
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
    """Return all problems of the values, each with the value and the solution."""
    version = known_version(values)
    return [
        *_version_problems(values),
        *_source_problems(values),
        *_listen_problems(values["listen"]),
        *(f"ollama_allowed_sources: {problem}." for problem in source_problems(values["allowed_sources"])),
        *_path_problems(values),
        *models_problems(values["models"], version, values["context_length"]),
        *offered_problems(values["offered"]),
        *role_problems(values["bundle"], values["mirror"], values["offered"]),
        *environment_problems(values["environment"]),
        *override_problems(values["systemd_overrides"]),
        *_limit_problems(values),
        *_number_problems(values),
    ]


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the role's files and templates use; the given values have no problem."""
    listen = parse_listen(values["listen"])
    variables = _variables(values)
    environment = server_environment(values["environment"])
    models = sorted_models(values["models"])
    pulled = models["models_pulled"]
    offered = offered_models(values["offered"], pulled)
    if values["bundle"]:
        models["models_pulled"] = pinned_models(pulled, offered)
    return {
        "url": listen.url,
        "port": listen.port,
        "on_loopback": listen.on_loopback,
        "release": f"{ROOT}/{values['version']}",
        "store_at_home": values["models_dir"].startswith(f"{HOME}/"),
        **models,
        "models_bundled": bundled_models(pulled),
        "offered": offered,
        "variables": variables,
        "environment_lines": environment_lines(environment),
        "override_lines": override_lines(values["systemd_overrides"]),
        # The only address that the metrics program may reach.
        "metrics_address": "localhost" if _is_local(listen.url) else listen.host.strip("[]"),
    }


def look(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of module host_state; the given values have no problem."""
    store = _way_to_store(values["models_dir"])
    if values["state"] == "absent":
        return {"paths": [*store, *_traces(values)], "takeover": ["ollama"]}
    own = [*_variables(values), *server_environment(values["environment"])]
    return {
        "paths": [*store, *filter(None, [values["metrics_dir"]])],
        "releases": [ROOT],
        "units": list(_UNITS),
        "guards": True,
        "takeover": ["ollama"],
        "ollama_environment": {"names": own, "overrides": values["systemd_overrides"].get("Service", {})},
        "capacity": {
            # A derived model uses its base's weights: it needs no disk, and the same memory as the base.
            "models": [model["name"] for model in sorted_models(values["models"])["models_pulled"]],
            "port": parse_listen(values["listen"]).port,
            **{option: values[name] for option, name in CAPACITY.items()},
        },
    }


def host_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what the host lacks, from the result for look(). Without a server only the store matters."""
    found = [*_store_problems(values["models_dir"], host["paths"]), *earlier_problems(host["takeover"]["ollama"])]
    if values["state"] == "absent":
        return found
    lacks = _system_problems(values, host)
    # Without systemd there is no unit to check.
    return [*found, *lacks, *([] if lacks else _unit_problems(host)), *_capacity_problems(host)]


def host_derived(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state before the first change, and the host's values that the unit needs."""
    machine, earlier = host["system"]["machine_id"], host["takeover"]["ollama"]
    journals = [f"{folder}.ollama" for folder in ("/run/systemd/journal", *(f"{log}/{machine}" for log in _LOGS))]
    if values["state"] == "absent":
        return {
            "journals": journals,
            "left": any(host["paths"][path] for path in _traces(values)),
            **taken_over(values, earlier),
        }
    releases, units, environment = host["releases"][ROOT], host["units"], host["ollama_environment"]
    listen = parse_listen(values["listen"])
    return {
        "journals": journals,
        "left": True,
        "installed": values["version"] in releases["finished"],
        "current": releases["current"],
        "running": units[UNIT]["active"] == "active",
        "measured": units[METRICS_TIMER]["active"] == "active",
        "before": earlier["server"] or environment["server"],
        "unset": without_earlier(environment["unset"], environment["foreign"], earlier),
        "guards": wanted_guard(
            GUARD, UNIT, listen.port, values["allowed_sources"], not listen.on_loopback, host["guards"]
        ),
        "guards_before": guard_before(GUARD, UNIT, host["guards"]),
        "memory_limit": values["memory_max"] or host["capacity"]["facts"]["memory_total"] - values["reserved_memory"],
        **taken_over(values, earlier),
    }


def host_notes(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return what becomes of an earlier Ollama."""
    return earlier_notes(values, host["takeover"]["ollama"])


def _system_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    found = []
    system, paths = host["system"], host["paths"]
    if system["architecture"] not in ARCHITECTURES:
        found.append(f"The host is {system['architecture']}. Ollama is released for {' and '.join(ARCHITECTURES)}.")
    if system["service_manager"] != "systemd" or (system["systemd"] or 0) < OLDEST_SYSTEMD:
        found.append(
            f"The host does not run systemd {OLDEST_SYSTEMD} or newer, on which the sandbox and the limits rest."
        )
    metrics = values["metrics_dir"]
    if metrics and _kind(paths.get(metrics)) != "folder":
        found.append(
            f'ollama_metrics_dir is "{metrics}", and the host has no such folder. Install node_exporter first, on '
            "Debian and Ubuntu the package prometheus-node-exporter, or leave it empty."
        )
    return found


def _unit_problems(host: Mapping[str, Any]) -> list[str]:
    """Return foreign drop-ins that change the role's settings, and parts of the unit that could not be read."""
    for seen in (host["ollama_environment"], host["releases"][ROOT], *(host["units"][name] for name in _UNITS)):
        if "unseen" in seen:
            return [f"What Ollama's unit is on the host cannot be seen: {seen['unseen']}. Run the role as root."]
    going = host["takeover"]["ollama"]["units"]
    # What a drop-in of an earlier server says goes with it.
    return [text for text in host["ollama_environment"]["problems"] if text.partition(" ")[0] not in going]


def _capacity_problems(host: Mapping[str, Any]) -> list[str]:
    seen = host["capacity"]
    return [text for text in (seen.get("unseen") or seen.get("refusal"),) if text]


def _kind(seen: Mapping[str, Any] | None) -> str | None:
    """Return the kind of a path from host_state: None where it does not exist, "unseen" where it cannot be read."""
    return None if seen is None else seen.get("kind", "unseen")


def _traces(values: Mapping[str, Any]) -> list[str]:
    """Return the paths that show remains of a server on a host without one; kept models do not count."""
    return [*TRACES, *([] if values["keep_models"] else [HOME, *NOTES, values["models_dir"]])]


def _way_to_store(models_dir: str) -> list[str]:
    """Return the parents of the store that the user ollama can replace, then the store's path."""
    inner = models_dir[len(HOME) + 1 :].split("/") if models_dir.startswith(f"{HOME}/") else []
    return [f"{HOME}/{'/'.join(inner[: number + 1])}" for number in range(len(inner))] or [models_dir]


def _store_problems(models_dir: str, paths: Mapping[str, Any]) -> list[str]:
    for path in _way_to_store(models_dir):
        seen = paths.get(path)
        kind = _kind(seen)
        if seen is None or kind == "folder":
            continue
        there = {
            "link": f"a link to {seen.get('target')}: who can write to its folder can set one, and root follows none",
            "unseen": f"not to be looked at: {seen.get('unseen')}",
        }.get(str(kind), "no folder")
        return [
            f'ollama_models_dir is "{models_dir}", and on the host {path} is {there}. Put a folder there, or name '
            "another path."
        ]
    return []


def known_version(values: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Return the version as numbers, None where the text is no version."""
    return parse_version(values["version"]) if VERSION.fullmatch(values["version"]) else None


def _variables(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment variables that the drop-in sets from the role's variables."""
    variables: dict[str, Any] = {
        "OLLAMA_HOST": values["listen"],
        "OLLAMA_MODELS": values["models_dir"],
        "OLLAMA_CONTEXT_LENGTH": values["context_length"],
    }
    if _reads_llama_args(values):
        variables["LLAMA_ARG_CACHE_RAM"] = values["prompt_cache"] // (1024 * 1024)
    # Without a CPU limit, Ollama decides the number of threads.
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
    """Return a version that can be compared: a release candidate is lower than its release."""
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
    mirror = values["mirror"]
    if mirror and not _is_url(mirror, "http") and not _is_url(mirror, "https"):
        found.append(
            f'ollama_mirror is "{_without_login(mirror)}". Write it as "http://192.0.2.1:11444", or leave it empty.'
        )
    return found


def _is_url(text: str, scheme: str) -> bool:
    start = f"{scheme}://"
    return text.startswith(start) and len(text) > len(start)


def _without_login(url: str) -> str:
    """Return a URL without the user name and the password in it."""
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
