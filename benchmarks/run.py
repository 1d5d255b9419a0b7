"""Measure the figures of benchmarks/README.md in one run, on the lab's hosts, and print them as a Markdown table.

    benchmarks/run.py                       all of them
    benchmarks/run.py traffic 1 4           one kind, for fleets of that many hosts

Every figure is a ratio of two things measured one after the other on the same hosts, or a count of bytes: seconds
of one machine say nothing about another.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOG = PROJECT / ".ansible" / "benchmark.log"
REPEATS = 3
HOSTS = PROJECT / ".ansible" / "lab" / "benchmark" / "inventory"
SITE = ["ansible-playbook", "--inventory", str(HOSTS), "playbooks/site.yml"]


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


def internet(hosts: Path) -> str:
    """Return the name of the container that stands in for the internet."""
    prefix = next(
        line.split(":", 1)[1].strip()
        for line in (hosts / "hosts.yml").read_text().splitlines()
        if line.strip().startswith("lab_prefix:")
    )
    return f"{prefix}-internet"


def registry_traffic(hosts: Path) -> tuple[int, int]:
    """Return how many bytes the stand-in registry sent, and how many requests it answered."""
    log = subprocess.run(
        ["docker", "exec", internet(hosts), "cat", "/var/log/nginx/registry.json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    requests = [json.loads(line) for line in log.splitlines()]
    registry = [request for request in requests if "registry" in request["host"]]
    return sum(request["bytes"] for request in registry), len(registry)


def model_bytes(hosts: Path) -> int:
    """Return the size of the lab's model in bytes, as its first server tells it."""
    answer = subprocess.run(
        ["ansible", "validators[0]", "--inventory", str(hosts), "-m", "etrid.gizzi.ollama_info", "--one-line"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return int(json.loads(answer.split("=>", 1)[1])["models"][0]["size"])


def show(where: int | str, figure: str, value: str) -> None:
    """Print one row at once: a run of half an hour that is cut off has still measured something."""
    print(f"| {where} | {figure} | {value} |", flush=True)


@contextmanager
def deployed(topology: str, validators: int) -> Iterator[tuple[Path, list[str]]]:
    """Deploy a fleet for as long as the block takes; give its inventory, and the command to deploy it once more."""
    site = [*SITE, "-e", f"gizzi_topology={topology}"]
    try:
        run(["lab/fleet.sh", "create", "benchmark"], validators)
        run(site, validators)
        yield HOSTS, site
    finally:
        run(["lab/fleet.sh", "destroy", "benchmark"], validators)


def traffic(validators: int) -> None:
    """Measure what that many servers, each with a store of its own, cost the registry."""
    with deployed("distributed", validators) as (hosts, _site):
        sent, requests = registry_traffic(hosts)
        show(validators, "bytes from the registry / model size", f"{sent / model_bytes(hosts):.3f}")
        show(validators, "requests to the registry", str(requests))


def mirror(validators: int) -> None:
    """Measure Option B from nothing where the internet sends 20 MB/s in all, with the mirror and without it."""
    seconds = []
    for mirrored in ("true", "false"):
        try:
            run(["lab/fleet.sh", "create", "benchmark"], validators)
            inspect = ["docker", "inspect", "--format", "{{.State.Pid}}", internet(HOSTS)]
            process = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()
            shape = ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "160mbit", "burst", "256kb"]
            run(["nsenter", "--target", process, "--net", *shape, "latency", "400ms"], validators)
            wanted = ["-e", "gizzi_topology=distributed", "-e", f"gateway_mirror={mirrored}"]
            seconds.append(run([*SITE, *wanted], validators))
            sent, _requests = registry_traffic(HOSTS)
            how = "with" if mirrored == "true" else "without"
            title = f"bytes from the registry / model size, at 20 MB/s, {how} the mirror"
            show(validators, title, f"{sent / model_bytes(HOSTS):.3f}")
        finally:
            run(["lab/fleet.sh", "destroy", "benchmark"], validators)
    title = f"site.yml from nothing at 20 MB/s, with the mirror ({seconds[0]:.0f} s) / without ({seconds[1]:.0f} s)"
    show(validators, title, f"{seconds[0] / seconds[1]:.2f}")


def speed(validators: int, topology: str = "centralized") -> None:
    """Measure runs with nothing to do. On a centralized fleet every validator asks one server."""
    with deployed(topology, validators) as (hosts, site):
        every = ["ansible", "all", "--inventory", str(hosts), "--module-name"]
        server = ["ansible", "validators[0]", "--inventory", str(hosts), "--module-name"]
        setup = median([*every, "ansible.builtin.setup"], validators)
        second = median(site, validators)
        where = f"{validators}, {topology}"
        show(where, f"second site.yml ({second:.1f} s) / setup ({setup:.2f} s)", f"{second / setup:.1f}")
        verify = [
            "ansible-playbook",
            "--inventory",
            str(hosts),
            "playbooks/verify.yml",
            "-e",
            f"gizzi_topology={topology}",
        ]
        show(where, "verify.yml / setup", f"{median(verify, validators) / setup:.1f}")
        ping = median([*server, "ansible.builtin.ping"], validators)
        if topology == "distributed":
            alone = ["ansible-playbook", "--inventory", str(hosts), "benchmarks/role.yml"]
            show(where, "role ollama alone, nothing to do / ping", f"{median(alone, validators) / ping:.1f}")
        for state in ("present", "latest"):
            model = [*server, "etrid.gizzi.ollama_model", "--args", f"name=smollm2:135m state={state}"]
            show(where, f"ollama_model {state}, nothing to do / ping", f"{median(model, validators) / ping:.2f}")


def speed_distributed(validators: int) -> None:
    """Measure the same where every validator has a server of its own."""
    speed(validators, "distributed")


KINDS: dict[str, tuple[Callable[[int], None], tuple[int, ...]]] = {
    "traffic": (traffic, (1, 4, 21)),
    "mirror": (mirror, (4, 21)),
    "speed": (speed, (4, 21)),
    "speed_distributed": (speed_distributed, (4, 21)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the figures of benchmarks/README.md.")
    parser.add_argument("kind", nargs="?", choices=KINDS)
    parser.add_argument("hosts", nargs="*", type=int)
    arguments = parser.parse_args()
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("")
    print("| hosts | figure | value |\n|---|---|---|")
    for kind in [arguments.kind] if arguments.kind else KINDS:
        measure, fleets = KINDS[kind]
        for validators in arguments.hosts or fleets:
            measure(validators)


if __name__ == "__main__":
    main()
