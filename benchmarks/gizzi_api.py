"""Measure /api/network/status of the Gizzi API in one run, beside the user's sketch and a bare route, and print tables.

All three face the same real Prometheus with 21 validators, or stand where it would; each is loaded by the same program
for the same time, in turn, several times over. Needs ``prometheus`` and ``wrk`` (Debian packages of these names).

    PYTHONPATH=. python benchmarks/gizzi_api.py
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.validator.fleet import Fleet, free_port

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "roles" / "gizzi_api" / "files" / "gizzi-api"
FOLDER = PROJECT / ".ansible" / "benchmark-api"
SKETCH = ("flask==3.1.3", "requests==2.34.2")
ROUNDS = 5
SECONDS = 6
CONNECTIONS = 16
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What ``wrk`` saw: requests per second, and milliseconds."""

    rate: float
    p50: float
    p99: float


def environment(name: str, *packages: str) -> Path:
    """Make a virtual environment once; return its Python."""
    folder = FOLDER / name
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / "done").touch()
    return python


@contextmanager
def started(command: list[str], port: int, path: str, **variables: str) -> Iterator[tuple[int, float]]:
    """Run a server; yield its process id and the seconds until its first answer."""
    start = time.monotonic()
    with (FOLDER / "servers.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=os.environ | {"PORT": str(port)} | variables, stdout=log, stderr=log, cwd=FOLDER
        )
    try:
        refused: OSError | None = None
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError as error:
                refused = error
            if process.poll() is not None or time.monotonic() - start > 30:
                raise SystemExit(f"{command} does not serve ({refused}); see {FOLDER / 'servers.log'}")
            time.sleep(0.005)
        yield process.pid, time.monotonic() - start
    finally:
        process.terminate()
        process.wait(30)


def load(port: int) -> Load:
    options = ["--latency", f"-c{CONNECTIONS}", "-t1", f"-d{SECONDS}s", "--timeout", "30s"]
    command = ["wrk", *options, f"http://127.0.0.1:{port}/api/network/status"]
    result = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in result:
        raise SystemExit(result)

    def latency(percent: int) -> float:
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", result, re.MULTILINE)
        assert found, result
        return float(found[1]) * UNITS[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", result)
    assert rate, result
    return Load(float(rate[1]), latency(50), latency(99))


def memory(pid: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found, status
    return int(found[1]) / 1000


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    ours = environment("ours", "--require-hashes", "--requirement", str(PACKAGE / "requirements.txt"))
    source = str(PACKAGE / "src")
    sketch = environment("sketch", *SKETCH)
    loads: dict[str, list[Load]] = {"sketch": [], "bare": [], "ours": []}
    sizes: dict[str, list[float]] = {name: [] for name in loads}
    starts: dict[str, list[float]] = {name: [] for name in loads}

    with tempfile.TemporaryDirectory() as name, Fleet(Path(name), interval=5.0, block_time=6.0) as fleet:
        # The sketch knows one name that stock nodes do not have; ours is told it, so that both read the same.
        for number in range(1, 22):
            fleet.fault(number, rename={"substrate_sub_libp2p_peers_count": "substrate_peers_count"})
        fleet.scrapes(2)
        config = Path(name) / "api.toml"
        config.write_text(
            f"""[prometheus]
url = "{fleet.url}"
[expressions]
peers = 'substrate_peers_count{{job="$JOB"}}'
[thresholds]
max_lag = 10
max_finality_lag = 50
min_peers = 3
stall_seconds = 120
stale_seconds = 90.0
"""
            + "".join(f'[[validators]]\nnumber = {n}\nname = "validator{n:02d}"\n' for n in range(1, 22))
        )
        body = Path(name) / "body.json"

        def measure(kind: str, command: list[str], path: str, **variables: str) -> None:
            port = free_port()
            with started(command, port, path, GIZZI_API_PORT=str(port), **variables) as (pid, seconds):
                if kind == "ours":
                    body.write_bytes(check(port))
                loads[kind].append(load(port))
                sizes[kind].append(memory(pid))
                starts[kind].append(seconds)

        for _unused in range(ROUNDS):
            measure(
                "ours",
                [str(ours), "-m", "gizzi_api.cli"],
                "/healthz",
                PYTHONPATH=source,
                GIZZI_API_CONFIG=str(config),
            )
            measure("bare", [str(ours), str(PROJECT / "benchmarks/gizzi_bare.py"), str(body)], "/api/network/status")
            measure("sketch", [str(sketch), str(PROJECT / "benchmarks/gizzi_sketch.py")], "/none", PROMETHEUS=fleet.url)

    report(loads, sizes, starts)


def check(port: int) -> bytes:
    """Return an answer of ours, after making sure that it is worth measuring."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/network/status", timeout=10) as answer:
        body: bytes = answer.read()
    statuses = json.loads(body)["summary"]["by_status"]
    if statuses["healthy"] != 21:
        raise SystemExit(f"not all are healthy: {statuses}")
    return body


def report(loads: dict[str, list[Load]], sizes: dict[str, list[float]], starts: dict[str, list[float]]) -> None:
    print(f"| | requests/s | p50 ms | p99 ms | memory MB | start s |\n|{'---|' * 6}")
    titles = {"sketch": "the user's sketch", "bare": "a bare route", "ours": "Gizzi API"}
    for kind, title in titles.items():
        figures = [
            statistics.median(one.rate for one in loads[kind]),
            statistics.median(one.p50 for one in loads[kind]),
            statistics.median(one.p99 for one in loads[kind]),
            statistics.median(sizes[kind]),
            statistics.median(starts[kind]),
        ]
        print(
            f"| {title} | "
            + " | ".join(f"{figure:.3g}" if figure < 1000 else f"{figure:.0f}" for figure in figures)
            + " |"
        )
    print("\n| ratio of requests/s | median | rounds |\n|---|---|---|")
    for other in ("sketch", "bare"):
        ratios = [mine.rate / theirs.rate for mine, theirs in zip(loads["ours"], loads[other], strict=True)]
        shown = ", ".join(f"{ratio:.3g}" for ratio in ratios)
        print(f"| Gizzi API to {titles[other]} | {statistics.median(ratios):.3g} | {shown} |")


if __name__ == "__main__":
    main()
