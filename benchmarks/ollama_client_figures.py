"""Measure the client in one run, beside what it is compared with, and print a table.

The server is a real Ollama, out of the lab's parts, with its small model; its own log counts what reaches it.

    make benchmark-client
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fake_ollama
import httpx
from ollama_client import OllamaClient, Settings
from ollama_client.cache import DiskCache

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "roles" / "ollama_client" / "files" / "ollama-client"
FOLDER = PROJECT / ".ansible" / "benchmark-client"
ADDRESS = "127.0.0.1:11599"
MODEL = "smollm2:135m"
ROUNDS = 3
QUERIES = 3
# Where an answer takes no time, what the client adds can be told from what differs by chance.
AT_ONCE = 200
COMMANDS = 20
PROMPT = "The capital of France is"
OPTIONS = {"num_ctx": 512, "num_predict": 16, "temperature": 0.0}


class Ollama:
    """A running server, and its log."""

    url = f"http://{ADDRESS}"

    def __init__(self, log: Path) -> None:
        self._log = log

    @property
    def asked(self) -> int:
        return sum("/api/generate" in line for line in self._log.read_text().splitlines())


@contextmanager
def ollama(scratch: Path) -> Iterator[Ollama]:
    """Run the lab's release of Ollama with the models of the lab's registry."""
    parts = [sys.executable, "-m", "lab.artifacts"]
    variables = os.environ | {"PYTHONPATH": str(PROJECT)}
    tree = Path(subprocess.run(parts, env=variables, check=True, capture_output=True, text=True).stdout.strip())
    release = tree / "www/ollama/ollama/releases/download/v0.9.3/ollama-linux-amd64.tgz"
    subprocess.run(["tar", "--extract", "--file", release, "--directory", scratch], check=True)
    (scratch / "models/manifests").mkdir(parents=True)
    (scratch / "models/blobs").symlink_to(tree / "registry/blobs")
    (scratch / "models/manifests/registry.ollama.ai").symlink_to(tree / "registry/manifests")
    settings = {"HOME": scratch, "OLLAMA_HOST": ADDRESS, "OLLAMA_MODELS": scratch / "models"}
    settings |= {"OLLAMA_NEW_ENGINE": "1", "OLLAMA_NOPRUNE": "1", "OLLAMA_KEEP_ALIVE": "-1"}
    log = scratch / "log"
    with log.open("w") as file:
        command = [str(scratch / "bin/ollama"), "serve"]
        environment = os.environ | {name: str(value) for name, value in settings.items()}
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        found = Ollama(log)
        limit = time.monotonic() + 60
        while True:
            try:
                # Loads the model, too.
                bare(found.url)
                break
            except OSError:
                if time.monotonic() > limit or server.poll() is not None:
                    raise SystemExit(log.read_text()) from None
                time.sleep(0.2)
        yield found
    finally:
        server.terminate()
        server.wait()


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
    """Ask with nothing around it."""
    body = json.dumps({"model": MODEL, "prompt": PROMPT, "options": OPTIONS, "stream": True}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/generate", body), timeout=120) as answer:
        content: bytes = answer.read()
    return content


def run(command: list[str], **variables: str) -> None:
    subprocess.run(command, env=os.environ | variables, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def together(command: list[str], count: int, **variables: str) -> float:
    start = time.perf_counter()
    # What a command says about an answer that ends at its length is no figure.
    nothing = subprocess.DEVNULL
    running = [
        subprocess.Popen(command, env=os.environ | variables, stdin=nothing, stdout=nothing, stderr=nothing)
        for _unused in range(count)
    ]
    statuses = {one.wait() for one in running}
    if statuses != {0}:
        raise SystemExit(f"{command} ended with {statuses}")
    return time.perf_counter() - start


def row(figure: str, ratios: list[float]) -> None:
    print(f"| {figure} | {statistics.median(ratios):.3g} | {', '.join(f'{one:.3g}' for one in ratios)} |", flush=True)


def at_once(scratch: Path) -> None:
    """Measure what the client adds, in milliseconds, against a server that answers at once."""
    with fake_ollama.running(fake_ollama.say("Paris.")) as server:
        ends = [{"name": "own", "url": server.url}]
        settings = Settings.model_validate({"model": MODEL, "endpoints": ends})
        client = OllamaClient(settings=settings)
        kept = OllamaClient(settings=settings, cache=DiskCache(scratch / "at-once", 3600))
        body = {"model": MODEL, "prompt": PROMPT, "stream": True}
        added, cached = [], []
        # A connection for each question, as the client has it.
        with httpx.Client(headers={"Connection": "close"}) as plain:
            for _unused in range(ROUNDS):
                post = seconds(lambda: plain.post(f"{server.url}/api/generate", json=body).raise_for_status(), AT_ONCE)
                added.append(1000 * (seconds(lambda: client.query(PROMPT, fresh=True), AT_ONCE) - post))
                kept.query(PROMPT)
                cached.append(1000 * seconds(lambda: kept.query(PROMPT), AT_ONCE))
    row("milliseconds that `query` adds to a bare httpx, the server answers at once", added)
    row("milliseconds of an answer from the cache on disk", cached)


def main() -> None:
    """Measure and print."""
    os.environ.pop("PYTHONPATH", None)
    commands = installed()
    python, gizzi = str(commands / "python"), str(commands / "gizzi")
    print(f"| ratio | median | rounds |\n|{'---|' * 3}")
    with tempfile.TemporaryDirectory() as scratch:
        at_once(Path(scratch))
    with tempfile.TemporaryDirectory() as scratch, ollama(Path(scratch)) as server:
        settings = Settings.model_validate(
            {
                "model": MODEL,
                "endpoints": [{"name": "own", "url": server.url}],
                "prompt": {"context_tokens": OPTIONS["num_ctx"], "answer_tokens": OPTIONS["num_predict"]},
            }
        )
        client = OllamaClient(settings=settings)
        client.query(PROMPT)
        overhead, added, cached = [], [], []
        for _unused in range(ROUNDS):
            fresh = seconds(lambda: client.query(PROMPT, fresh=True), QUERIES)
            post = seconds(lambda: bare(server.url), QUERIES)
            overhead.append(fresh / post)
            added.append(1000 * (fresh - post))
            client.query(PROMPT)
            cached.append(seconds(lambda: client.query(PROMPT), 100) / fresh)
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
        variables = {"GIZZI_ENDPOINTS": json.dumps([{"name": "own", "url": server.url}]), "GIZZI_MODEL": MODEL}
        variables |= {"GIZZI_PROMPT__CONTEXT_TOKENS": "512", "GIZZI_PROMPT__ANSWER_TOKENS": "16"}
        many, reached = [], []
        for number in range(ROUNDS):
            places = {"XDG_CACHE_HOME": f"{scratch}/{number}", "XDG_STATE_HOME": f"{scratch}/{number}"}
            one = together([gizzi, "ask", f"alone {number}"], 1, **variables, **places)
            before = server.asked
            many.append(together([gizzi, "ask", f"together {number}"], COMMANDS, **variables, **places) / one)
            reached.append(float(server.asked - before))
        row(f"{COMMANDS} `gizzi ask` at once with one question / one", many)
        row(f"requests that reach Ollama from these {COMMANDS}", reached)


if __name__ == "__main__":
    main()
