# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write how this host's Ollama is to a file for the textfile collector of Prometheus' node_exporter.

    ollama-metrics --url http://127.0.0.1:11434 --models-dir DIR --folder DIR [MODEL]...

Into the folder go ollama.prom and, for the next run, what the probes have found. What is not known is left out: with
a server that does not answer, ollama_up is 0 and nothing is said of its models. A run that fails leaves the earlier
file with its earlier time, by which node_textfile_mtime_seconds shows that it is old.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ollama_probes import Probe, due, format_probes, noted, parse_probes, probe, probed
from ollama_server import Loaded, OllamaError, Server, full_name, held, read_server, requester
from runner import Unit
from textfile import metric, read, write


@dataclass(frozen=True)
class Processes:
    """What is seen of the server's processes, None what is not.

    ``alive`` tells whether one of them holds weights, ``oom_kills`` how many the kernel killed because memory ran out.
    """

    alive: bool | None = None
    oom_kills: int | None = None


@dataclass(frozen=True)
class Store:
    """The file system of the model store, in bytes; free is what an ordinary user can still write."""

    free: int
    size: int


def read_processes(unit: Unit) -> Processes:
    """Look at the processes of the server's unit."""
    runners = unit.runners()
    return Processes(None if runners is None else bool(runners), unit.oom_kills())


def read_store(models_dir: str) -> Store | None:
    """Look at the file system of the store; None if that is not possible."""
    try:
        found = os.statvfs(models_dir)
    except OSError as error:
        print(f"model store: {error}", file=sys.stderr)
        return None
    return Store(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def render(
    wanted: Sequence[str],
    server: Server | None,
    loaded: Mapping[str, Loaded],
    processes: Processes,
    probes: Mapping[str, Probe],
    store: Store | None,
) -> str:
    """Return the metrics in Prometheus' text format; what is None is left out.

    A model that is listed, while the server's processes cannot be seen, is neither loaded nor not.
    """

    def gauge(name: str, text: str, samples: Mapping[str, float | None], label: str = "model") -> str:
        known = [({label: value} if label else {}, number) for value, number in samples.items() if number is not None]
        return metric(name, "gauge", text, known)

    parts = [gauge("ollama_up", "Whether the server answers.", {"": server is not None}, "")]
    if server is not None:
        states = {model: processes.alive if model in loaded else False for model in wanted}
        known = {model: probes[model] for model in wanted if model in probes}
        success = {model: last.success for model, last in known.items()}
        speeds = {model: last.tokens_per_second for model, last in known.items()}
        parts += [
            gauge("ollama_version_info", "The server's version.", {server.version: 1}, "version"),
            gauge(
                "ollama_model_present",
                "Whether the server has the wanted model.",
                {model: model in server.present for model in wanted},
            ),
            gauge("ollama_model_loaded", "Whether the wanted model is in memory.", states),
            gauge("ollama_probe_success", "Whether the model answered the last probe.", success),
            gauge("ollama_probe_tokens_per_second", "Speed of the model's answer to it.", speeds),
        ]
    if processes.oom_kills is not None:
        text = "Processes of the server that the kernel has killed because memory ran out."
        parts.append(metric("ollama_oom_kills_total", "counter", text, [({}, processes.oom_kills)]))
    if store is not None:
        parts += [
            gauge("ollama_store_free_bytes", "Free space of the model store's file system.", {"": store.free}, ""),
            gauge("ollama_store_size_bytes", "Size of the model store's file system.", {"": store.size}, ""),
        ]
    return "".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="ollama-metrics", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--models-dir", required=True, help="the model store")
    parser.add_argument("--folder", required=True, type=Path, help="where ollama.prom is written")
    parser.add_argument("--proc", default=Path("/proc"), type=Path, help="where processes are seen")
    parser.add_argument("--cgroup", default=Path("/sys/fs/cgroup"), type=Path, help="where cgroups are mounted")
    parser.add_argument("models", nargs="*", metavar="model", help="a model that the server should have")
    arguments = parser.parse_args(argv)

    wanted = list(dict.fromkeys(map(full_name, arguments.models)))
    request = requester(arguments.url)
    now = time.time()
    state = arguments.folder / "probes.json"
    probes = parse_probes(read(state))
    unit = Unit(proc=arguments.proc, cgroup=arguments.cgroup)
    processes = read_processes(unit)
    server: Server | None = None
    loaded: dict[str, Loaded] = {}
    try:
        server = read_server(request)
    except OllamaError as error:
        print(error, file=sys.stderr)
    else:
        loaded = held(request, wanted, server)
        probes = noted(probes, loaded, now)
        # A probe of what is listed and was killed would load it.
        model = due(wanted, loaded, probes, now) if processes.alive is not False else None
        if model is not None:
            ask = partial(probe, request, model, loaded[model], now)
            probes[model] = probed(ask, now, probes.get(model), unit.cpu_seconds)
        write(state, format_probes(probes))
    store = read_store(arguments.models_dir)
    write(arguments.folder / "ollama.prom", render(wanted, server, loaded, processes, probes, store))
    return 0


if __name__ == "__main__":
    sys.exit(main())
