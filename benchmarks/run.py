"""Measure the figures of benchmarks/README.md in one run, on the lab's hosts, and print them as a Markdown table.

    benchmarks/run.py HOSTS...      how many hosts each fleet has, for instance: 1 4 21

Every figure is a ratio of two things measured one after the other on the same hosts, or a count of bytes: seconds
of one machine say nothing about another.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SCENARIO = "distributed"
INVENTORY = PROJECT / ".ansible" / "lab" / SCENARIO / "inventory"
LOG = PROJECT / ".ansible" / "benchmark.log"
REPEATS = 3


def run(command: Sequence[str], validators: int) -> float:
    """Run ``command`` with its output in the log; return its seconds, end the benchmark if it fails."""
    environment = os.environ | {"VALIDATORS": str(validators)}
    start = time.monotonic()
    with LOG.open("a") as log:
        result = subprocess.run(command, cwd=PROJECT, env=environment, stdout=log, stderr=log, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}; see {LOG}")
    return time.monotonic() - start


def median(command: Sequence[str], validators: int) -> float:
    """Return the median of the seconds that ``command`` takes, in seconds."""
    return statistics.median(run(command, validators) for repeat in range(REPEATS))


def ad_hoc(*arguments: str) -> list[str]:
    """Return an ``ansible`` command for all hosts of the lab."""
    return ["ansible", "all", "--inventory", str(INVENTORY), *arguments]


def registry_traffic() -> tuple[int, int]:
    """Return how many bytes the stand-in registry sent, and how many requests it answered."""
    prefix = next(
        line.split(":", 1)[1].strip()
        for line in (INVENTORY / "hosts.yml").read_text().splitlines()
        if line.strip().startswith("lab_prefix:")
    )
    log = subprocess.run(
        ["docker", "exec", f"{prefix}-internet", "cat", "/var/log/nginx/registry.json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    requests = [json.loads(line) for line in log.splitlines()]
    registry = [request for request in requests if "registry" in request["host"]]
    return sum(request["bytes"] for request in registry), len(registry)


def model_bytes() -> int:
    """Return the size of the lab's model in bytes, as its first server tells it."""
    answer = subprocess.run(
        ["ansible", "validators[0]", "--inventory", str(INVENTORY), "-m", "etrid.gizzi.ollama_info", "--one-line"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return int(json.loads(answer.split("=>", 1)[1])["models"][0]["size"])


def show(validators: int, figure: str, value: str) -> None:
    """Print one row at once: a run of half an hour that is cut off has still measured something."""
    print(f"| {validators} | {figure} | {value} |", flush=True)


def main() -> None:
    """Measure and print."""
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("")
    site = ["ansible-playbook", "--inventory", str(INVENTORY), "playbooks/site.yml", "-e", f"gizzi_topology={SCENARIO}"]
    print("| hosts | figure | value |\n|---|---|---|")
    try:
        for validators in map(int, sys.argv[1:]):
            run(["molecule", "destroy", "--scenario-name", SCENARIO], validators)
            run(["molecule", "converge", "--scenario-name", SCENARIO], validators)
            sent, requests = registry_traffic()
            ratio = sent / model_bytes()
            show(validators, "bytes from the registry / model size", f"{ratio:.3f}")
            show(validators, "the same, per server", f"{ratio / validators:.3f}")
            show(validators, "requests to the registry", str(requests))
            if validators == 1:
                continue
            setup = median(ad_hoc("--module-name", "ansible.builtin.setup"), validators)
            # Long enough to be steady when run once.
            second = run(site, validators)
            show(validators, "second site.yml / setup", f"{second / setup:.1f}")
            show(validators, "setup, seconds per host", f"{setup / validators:.2f}")
            show(validators, "second site.yml, seconds per host", f"{second / validators:.2f}")
            ping = median(ad_hoc("--module-name", "ansible.builtin.ping"), validators)
            for state in ("present", "latest"):
                arguments = f"name=smollm2:135m state={state}"
                model = ad_hoc("--module-name", "etrid.gizzi.ollama_model", "--args", arguments)
                show(
                    validators, f"ollama_model {state}, nothing to do / ping", f"{median(model, validators) / ping:.2f}"
                )
    finally:
        run(["molecule", "destroy", "--scenario-name", SCENARIO], 1)


if __name__ == "__main__":
    main()
