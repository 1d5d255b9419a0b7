"""Measure the client in one run, beside what it is compared with, and print a table.

The server is the tests' own, which answers at once and counts: what is measured is the client, and not a model.

    export PYTHONPATH=tests/unit/ollama_client:roles/ollama_client/files/ollama-client/src
    python benchmarks/ollama_client_figures.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import fake_ollama
from ollama_client import OllamaClient, Settings

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "roles" / "ollama_client" / "files" / "ollama-client"
FOLDER = PROJECT / ".ansible" / "benchmark-client"
ROUNDS = 5
QUERIES = 100
COMMANDS = 20
PROMPT = "Are all validators in step? " * 20


def installed() -> Path:
    """Install the package as the role does, once; return the environment's folder of commands."""
    folder = FOLDER / "bin"
    if not (FOLDER / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        pip = [str(folder / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(PACKAGE / "requirements.txt")], check=True)
        with tempfile.TemporaryDirectory() as scratch:
            # Building leaves files beside the source.
            source = Path(scratch) / "source"
            subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
            subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(source)], check=True)
        (FOLDER / "done").touch()
    return folder


def seconds(do: Callable[[], object], times: int) -> float:
    """Return the median of how long one call takes."""
    taken = []
    for _unused in range(times):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def bare(url: str) -> bytes:
    """Ask as the sketch does, with nothing around it."""
    body = json.dumps({"model": "llama3.1:8b", "prompt": PROMPT, "stream": True}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/generate", body), timeout=30) as answer:
        content: bytes = answer.read()
    return content


def run(command: list[str], **variables: str) -> None:
    subprocess.run(command, env=os.environ | variables, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def together(command: list[str], count: int, **variables: str) -> float:
    start = time.perf_counter()
    running = [
        subprocess.Popen(command, env=os.environ | variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _unused in range(count)
    ]
    statuses = {one.wait() for one in running}
    if statuses != {0}:
        raise SystemExit(f"{command} ended with {statuses}")
    return time.perf_counter() - start


def row(figure: str, ratios: list[float]) -> None:
    print(f"| {figure} | {statistics.median(ratios):.3g} | {', '.join(f'{one:.3g}' for one in ratios)} |", flush=True)


def main() -> None:
    """Measure and print."""
    os.environ.pop("PYTHONPATH", None)
    commands = installed()
    python, gizzi = str(commands / "python"), str(commands / "gizzi")
    print(f"| ratio | median | rounds |\n|{'---|' * 3}")
    with tempfile.TemporaryDirectory() as scratch, fake_ollama.running(fake_ollama.say("They are in step.")) as server:
        settings = Settings.model_validate({"endpoints": [{"name": "own", "url": server.url}]})
        client = OllamaClient(settings=settings)
        client.query(PROMPT)
        overhead, added, cached = [], [], []
        for _unused in range(ROUNDS):
            fresh = seconds(lambda: client.query(PROMPT, fresh=True), QUERIES)
            post = seconds(lambda: bare(server.url), QUERIES)
            overhead.append(fresh / post)
            added.append(1000 * (fresh - post))
            client.query(PROMPT)
            cached.append(seconds(lambda: client.query(PROMPT), QUERIES) / fresh)
        row("`query` / bare HTTP POST of the same prompt", overhead)
        row("the same as milliseconds that `query` adds", added)
        row("cached answer / uncached", cached)
        row(
            "`gizzi --help` / `python -c 'import httpx'`",
            [
                seconds(lambda: run([gizzi, "--help"]), 3) / seconds(lambda: run([python, "-c", "import httpx"]), 3)
                for _unused in range(ROUNDS)
            ],
        )
        variables = {"GIZZI_ENDPOINTS": json.dumps([{"name": "own", "url": server.url}])}
        many, reached = [], []
        for number in range(ROUNDS):
            places = {"XDG_CACHE_HOME": f"{scratch}/{number}", "XDG_STATE_HOME": f"{scratch}/{number}"}
            one = together([gizzi, "ask", f"alone {number}"], 1, **variables, **places)
            before = len(server.asked)
            many.append(together([gizzi, "ask", f"together {number}"], COMMANDS, **variables, **places) / one)
            reached.append(float(len(server.asked) - before))
        row(f"{COMMANDS} `gizzi ask` at once with one question / one", many)
        row(f"requests that reach Ollama from these {COMMANDS}", reached)


if __name__ == "__main__":
    main()
