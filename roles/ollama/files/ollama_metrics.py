# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write how this host's Ollama is to a file for the textfile collector of Prometheus' node_exporter.

    ollama-metrics --url http://127.0.0.1:11434 --models-dir DIR --folder DIR [MODEL]...

Into the folder go ollama.prom and, for the next run, what the probes have found. What is not known is left out: with
a server that does not answer, ollama_up is 0 and nothing is said of its models. A run that fails leaves the earlier
file with its earlier time, by which node_textfile_mtime_seconds shows that it is old.

A model is loaded when the server lists its weights, under whatever name, and a process of its unit holds them: models
that are made from one another share their weights, and the server goes on listing a model whose process was killed.

A model is probed with a few tokens, at most every 15 minutes, and only while it is loaded already. A probe is a use
and so puts off the model's unloading: one that nobody else has used since the last probe is left to be unloaded.

A server that is busy with other questions sends nothing either. A probe without an answer, while the processes that
hold weights take processor time or cannot be seen, has neither succeeded nor failed: the next runs ask again, and only
when that was so for 15 minutes it has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Callable, Optional

REQUEST_TIMEOUT = 10.0
PROBE_TIMEOUT = 60.0
MAX_BYTES = 10_000_000
PROBE_TOKENS = 8
PROBE_INTERVAL = 900.0
# An older result says nothing about now.
PROBE_KEPT = 3600.0
# Seconds for which a server may be too busy to answer a probe.
BUSY_TIMEOUT = 900.0
# The share of a processor from which on a process is at work; one that waits takes next to nothing.
AT_WORK = 0.05
# A model that is to be unloaded sooner might be gone when the probe comes, which would load it again.
UNLOAD_MARGIN = 30.0
# Where a model is kept for ever, Ollama tells a time some 290 years ahead.
FOR_EVER = datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()

UNIT = "ollama.service"
# A unit may have been given a slice of its own.
SLICES = ("*.slice", "*.slice/*.slice")
# Where cgroups are listed: version 2; 1 with 2 beside it; 1.
TREES = ("", "unified", "systemd")
# Parameters of a model with which its weights are loaded. Another value in a question loads them anew.
LOADED_WITH = frozenset(("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread"))

_BLOB = re.compile(r'^(?:FROM|DRAFT|ADAPTER) .*sha256[-:]([0-9a-f]{64})"*$', re.MULTILINE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")

# A path, JSON to post or None, and the seconds to wait; returns the JSON that was answered.
Request = Callable[[str, Optional["Mapping[str, Any]"], float], Any]


class OllamaError(Exception):
    """The server does not answer, or not as an Ollama does; the text says how."""


class SilentError(OllamaError):
    """The server has taken the question, and has sent nothing in the time for it."""


@dataclass(frozen=True)
class Loaded:
    """A model that is listed: when it will be unloaded (seconds since the epoch), and its context in tokens if told.

    ``digest`` is that of the manifest that it was loaded from; ``probed`` tells whether a question loads nothing anew.
    """

    expires: float
    context: int | None = None
    digest: str = ""
    probed: bool = True


@dataclass(frozen=True)
class Server:
    """What a server says of itself; models by their full names.

    ``present`` has the digest of each model's manifest, ``loaded`` what is listed as loaded.
    """

    version: str
    present: Mapping[str, str]
    loaded: Mapping[str, Loaded]


@dataclass(frozen=True)
class Parts:
    """What a model is loaded from: the digests of its files, and what of its parameters counts when it is loaded."""

    files: tuple[str, ...]
    settings: frozenset[str]


@dataclass(frozen=True)
class Unit:
    """What is seen of the server's processes, None what is not.

    ``alive`` tells whether one of them holds weights, ``oom_kills`` how many the kernel has killed for want of memory.
    """

    alive: bool | None = None
    oom_kills: int | None = None


@dataclass(frozen=True)
class Probe:
    """A probe's result, its times in seconds since the epoch; ``success`` is None where it is not known.

    ``expires`` is the unloading that it led to, once seen. ``silent_since`` is when the server first sent nothing.
    """

    time: float
    success: bool | None
    tokens_per_second: float | None = None
    expires: float | None = None
    silent_since: float | None = None


@dataclass(frozen=True)
class Store:
    """The file system of the model store, in bytes; free is what an ordinary user can still write."""

    free: int
    size: int


def full_name(model: str) -> str:
    """Return a model's name as Ollama lists it: with its tag, without the default registry; in lower case."""
    name = model.lower()
    for default in ("registry.ollama.ai/", "library/"):
        if name.startswith(default):
            name = name[len(default) :]
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def timestamp(text: str) -> float:
    """Return a time in RFC 3339 as seconds since the epoch, without its fraction; ValueError for any other text."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00")).timestamp()


# --- the server -------------------------------------------------------------------------


def requester(url: str) -> Request:
    """Return a function that asks the server at ``url``; it raises OllamaError for whatever is no JSON answer."""
    # The host's proxy is not for the host's own Ollama.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(path: str, payload: Mapping[str, Any] | None, timeout: float) -> Any:
        body = None if payload is None else json.dumps(payload).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with opener.open(urllib.request.Request(url + path, body, headers), timeout=timeout) as answer:
                return json.loads(answer.read(MAX_BYTES))
        # Before Python 3.10 they are two.
        except (socket.timeout, TimeoutError) as error:
            raise SilentError(f"{url}{path}: {error}") from None
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            raise OllamaError(f"{url}{path}: {error}") from None

    return request


def read_server(request: Request) -> Server:
    """Ask for the version and the models; OllamaError if one of the three answers does not come or is no Ollama's."""
    version = request("/api/version", None, REQUEST_TIMEOUT)
    present = request("/api/tags", None, REQUEST_TIMEOUT)
    loaded = request("/api/ps", None, REQUEST_TIMEOUT)
    try:
        return Server(
            str(version["version"]),
            {full_name(model["name"]): digest_of(model) for model in present["models"]},
            {
                full_name(model["name"]): Loaded(
                    timestamp(model["expires_at"]), model.get("context_length"), digest_of(model)
                )
                for model in loaded["models"]
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OllamaError(f"the answers are not those of an Ollama ({type(error).__name__}: {error})") from None


def digest_of(model: Mapping[str, Any]) -> str:
    """Return the digest of a listed model in hex, empty if there is none."""
    return str(model.get("digest") or "").rpartition(":")[2]


def held(request: Request, wanted: Iterable[str], server: Server) -> dict[str, Loaded]:
    """Return which of the wanted models are listed, by weights, each with the entry that holds them.

    What a model is made of is asked for only where name and digest do not tell. A digest that no model of the store
    has any more stands for unknown weights.
    """
    known: dict[str, Parts | None] = {}
    names = {digest: name for name, digest in server.present.items() if digest}

    def parts(digest: str) -> Parts | None:
        if digest not in known:
            known[digest] = read_parts(request, names[digest]) if digest in names else None
        return known[digest]

    holders = {}
    for model in wanted:
        digest = server.present.get(model)
        if digest is None:
            continue
        for name, entry in server.loaded.items():
            if entry.digest == digest and (digest or name == model):
                holders[model] = entry
                break
            ours, theirs = parts(digest), parts(entry.digest)
            if ours is not None and theirs is not None and ours.files == theirs.files:
                holders[model] = replace(entry, probed=ours.settings == theirs.settings)
    return holders


def read_parts(request: Request, model: str) -> Parts | None:
    """Ask what a model is loaded from; None if the server does not tell."""
    try:
        shown = request("/api/show", {"model": model}, REQUEST_TIMEOUT)
        files = tuple(_BLOB.findall(shown["modelfile"]))
        lines = [" ".join(line.split()) for line in (shown.get("parameters") or "").splitlines()]
    except (OllamaError, KeyError, TypeError, AttributeError) as error:
        print(f"parts of {model}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    return Parts(files, frozenset(line for line in lines if line.partition(" ")[0] in LOADED_WITH)) if files else None


# --- the server's processes -------------------------------------------------------------


def read_unit(proc: Path, cgroup: Path) -> Unit:
    """Look at the processes and the memory of the server's unit, under either version of cgroups."""
    trees = [cgroup / tree for tree in TREES]
    counts = [(cgroup, "memory.events"), (cgroup / "memory", "memory.oom_control")]
    found = (with_weights(folder, proc) for folder in unit_folders(trees))
    kills = (count for tree, name in counts for count in oom_kills(tree, name))
    return Unit(next((bool(some) for some in found if some is not None), None), next(kills, None))


def unit_folders(trees: Iterable[Path]) -> list[Path]:
    """Return the folders of the server's unit in these trees of cgroups."""
    return [folder for tree in trees for where in SLICES for folder in sorted(tree.glob(f"{where}/{UNIT}"))]


def with_weights(folder: Path, proc: Path) -> list[Path] | None:
    """Return a cgroup's processes that hold weights, as their folders; None if none of its processes can be seen."""
    try:
        processes = [proc / number for number in (folder / "cgroup.procs").read_text("ascii").split()]
    except (OSError, ValueError):
        return None
    commands = {process: command for process in processes for command in [read_command(process)] if command}
    return [process for process, command in commands.items() if computes(command)] if commands else None


def cpu_seconds(proc: Path, cgroup: Path) -> dict[str, float] | None:
    """Return the processor time in seconds that each process with weights has taken, by its number; None if unseen."""
    found = (with_weights(folder, proc) for folder in unit_folders([cgroup / tree for tree in TREES]))
    processes = next((some for some in found if some is not None), None)
    return None if processes is None else {process.name: processor_time(process) for process in processes}


def processor_time(process: Path) -> float:
    """Return the processor time that a process has taken, in seconds; 0 for one that has ended."""
    try:
        # The name stands in brackets and may hold any sign (proc(5), /proc/PID/stat).
        fields = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def read_command(process: Path) -> list[str]:
    """Return a process' command line, empty for one that has ended or is hidden."""
    try:
        words = (process / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0")
    except OSError:
        return []
    return words.split("\0") if words else []


def computes(words: Sequence[str]) -> bool:
    """Tell by its command line whether a process holds weights: ``llama-server``, before 0.30 ``ollama runner``."""
    program = words[0].rpartition("/")[2]
    # Without a model it only looks for devices.
    return (program == "llama-server" and "--model" in words) or (
        program.startswith("ollama") and list(words[1:2]) == ["runner"]
    )


def oom_kills(tree: Path, name: str) -> list[int]:
    """Return the count of ``oom_kill`` in a file of the server's unit, empty if it cannot be seen."""
    counts = []
    for folder in unit_folders([tree]):
        try:
            pairs = [line.split() for line in (folder / name).read_text("ascii").splitlines()]
        except (OSError, ValueError):
            continue
        counts += [int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == "oom_kill" and pair[1].isdigit()]
    return counts


# --- the probe --------------------------------------------------------------------------


def due(wanted: Iterable[str], loaded: Mapping[str, Loaded], probes: Mapping[str, Probe], now: float) -> str | None:
    """Return the model to probe now: of those whose turn it is the one that has waited longest, None without any.

    One for each run, so that a run stays short.
    """

    def has_its_turn(model: str) -> bool:
        if model not in loaded or not loaded[model].probed or loaded[model].expires < now + UNLOAD_MARGIN:
            return False
        last = probes.get(model)
        if last is None or last.silent_since is not None:
            return True
        # Models that share weights are unloaded together, and a probe of one is no use of the other.
        probed = loaded[model].expires in {probe.expires for probe in probes.values()}
        used = not probed or loaded[model].expires > FOR_EVER
        return used and now - last.time >= PROBE_INTERVAL

    turns = [model for model in wanted if has_its_turn(model)]
    return min(turns, key=lambda model: probes[model].time if model in probes else 0.0, default=None)


def probe(request: Request, model: str, loaded: Loaded, now: float) -> Probe:
    """Let a loaded model generate a few tokens; a failure is a result too. Raise SilentError where nothing comes."""
    options: dict[str, Any] = {"num_predict": PROBE_TOKENS, "temperature": 0}
    # Another context than the loaded one would load the model anew.
    if loaded.context:
        options["num_ctx"] = loaded.context
    payload = {"model": model, "prompt": "Hello", "think": False, "stream": False, "options": options}
    try:
        answer = request("/api/generate", payload, PROBE_TIMEOUT)
        fault = fault_of(answer)
        if fault:
            print(f"probe of {model}: {fault}", file=sys.stderr)
            return Probe(now, success=False)
        tokens, nanoseconds = int(answer["eval_count"]), int(answer["eval_duration"])
        speed = tokens / nanoseconds * 1e9 if nanoseconds > 0 else None
    except SilentError:
        raise
    except (OllamaError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        print(f"probe of {model}: {type(error).__name__}: {error}", file=sys.stderr)
        return Probe(now, success=False)
    return Probe(now, success=True, tokens_per_second=speed)


def probed(
    ask: Callable[[], Probe], now: float, last: Probe | None, cpu: Callable[[], dict[str, float] | None]
) -> Probe:
    """Return the result of a probe; a silent server's by ``cpu_seconds`` before and after, and by the result before."""
    before = cpu()
    try:
        return ask()
    except SilentError as error:
        print(f"no answer to a probe: {error}", file=sys.stderr)
    after = cpu()
    if before is not None and after is not None:
        taken = sum(max(0.0, seconds - before.get(process, 0.0)) for process, seconds in after.items())
        if taken < PROBE_TIMEOUT * AT_WORK:
            return Probe(now, success=False)
    since = now if last is None or last.silent_since is None else last.silent_since
    return Probe(now, success=None if now - since < BUSY_TIMEOUT else False, silent_since=since)


def fault_of(answer: Mapping[str, Any]) -> str:
    """Return what is wrong with an answer to a probe, empty if nothing is."""
    if answer.get("done") is False:
        return "the server ended the answer because the model repeated one token"
    if answer.get("thinking") and not str(answer.get("response") or "").strip():
        return (
            f"it only thought for its {PROBE_TOKENS} tokens: it does not heed 'think: false', and answers late or never"
        )
    return ""


def noted(probes: Mapping[str, Probe], loaded: Mapping[str, Loaded], now: float) -> dict[str, Probe]:
    """Return the results that still count, each with the unloading that it led to.

    That is noted one run later: Ollama puts the unloading off only after it has answered.
    """
    return {
        model: (
            replace(last, expires=loaded[model].expires)
            if last.expires is None and last.silent_since is None and model in loaded
            else last
        )
        for model, last in probes.items()
        if 0 <= now - last.time < PROBE_KEPT
    }


def parse_probes(text: str) -> dict[str, Probe]:
    """Read what ``format_probes`` has written; of anything else nothing is kept, and the models are probed anew."""
    try:
        return {str(model): Probe(**fields) for model, fields in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def format_probes(probes: Mapping[str, Probe]) -> str:
    """Return the results as ``parse_probes`` reads them."""
    return json.dumps({model: asdict(last) for model, last in probes.items()})


# --- the file ---------------------------------------------------------------------------


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
    unit: Unit,
    probes: Mapping[str, Probe],
    store: Store | None,
) -> str:
    """Return the metrics in Prometheus' text format; what is None is left out.

    A model that is listed, while the server's processes cannot be seen, is neither loaded nor not.
    """
    lines: list[str] = []

    def gauge(name: str, text: str, samples: Mapping[str, float], label: str = "", kind: str = "gauge") -> None:
        if samples:
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
        for value, number in samples.items():
            pairs = f'{{{label}="{escaped(value)}"}}' if label else ""
            lines.append(f"{name}{pairs} {number:.15g}")

    gauge("ollama_up", "Whether the server answers.", {"": server is not None})
    if server is not None:
        gauge("ollama_version_info", "The server's version.", {server.version: 1}, "version")
        present = {model: model in server.present for model in wanted}
        gauge("ollama_model_present", "Whether the server has the wanted model.", present, "model")
        states = {model: unit.alive if model in loaded else False for model in wanted}
        alive = {model: state for model, state in states.items() if state is not None}
        gauge("ollama_model_loaded", "Whether the wanted model is in memory.", alive, "model")
        known = {model: probes[model] for model in wanted if model in probes}
        success = {model: last.success for model, last in known.items() if last.success is not None}
        gauge("ollama_probe_success", "Whether the model answered the last probe.", success, "model")
        speeds = {model: last.tokens_per_second for model, last in known.items() if last.tokens_per_second is not None}
        gauge("ollama_probe_tokens_per_second", "Speed of the model's answer to it.", speeds, "model")
    if unit.oom_kills is not None:
        text = "Processes of the server that the kernel has killed for want of memory."
        gauge("ollama_oom_kills_total", text, {"": unit.oom_kills}, kind="counter")
    if store is not None:
        gauge("ollama_store_free_bytes", "Free space of the model store's file system.", {"": store.free})
        gauge("ollama_store_size_bytes", "Size of the model store's file system.", {"": store.size})
    return "\n".join(lines) + "\n"


def escaped(value: str) -> str:
    """Return a label's value as the text format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write(path: Path, text: str) -> None:
    """Replace a file at once, readable by everybody: a reader finds the old or the new one and never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(handle, 0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise


def read(path: Path) -> str:
    """Return a file's text, empty if there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


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
    unit = read_unit(arguments.proc, arguments.cgroup)
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
        model = due(wanted, loaded, probes, now) if unit.alive is not False else None
        if model is not None:
            ask = partial(probe, request, model, loaded[model], now)
            probes[model] = probed(ask, now, probes.get(model), partial(cpu_seconds, arguments.proc, arguments.cgroup))
        write(state, format_probes(probes))
    store = read_store(arguments.models_dir)
    write(arguments.folder / "ollama.prom", render(wanted, server, loaded, unit, probes, store))
    return 0


if __name__ == "__main__":
    sys.exit(main())
