"""Measure the update of models on four servers, beside the loop of the user's document, and print a table.

The loop logs in to one server after the other and runs `ollama pull` for each model. Both find the same: what one of
them has updated is taken back before the other one begins. Bytes are those of the stand-in registry's answers.

    make benchmark-update
    benchmarks/model_update.py "one of three"       one row
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from lab import registry
from lab.registry import Meter, Traffic
from lab.testing import Lab

PROJECT = Path(__file__).resolve().parent.parent
SCENARIO = "model_update"
LOG = PROJECT / ".ansible" / "benchmark-update.log"
MODELS = ("smollm2:135m", "phi3:mini", "mistral:latest")
SETTINGS = {
    "gizzi_topology": "distributed",
    "ollama_models": [{"name": model} for model in MODELS],
    # The servers alone have no gateways.
    "gateway_mirror": False,
    # Four servers share two cores: what that does to their speed is not the model's.
    "model_update_minimum_speed": 0,
    "model_update_report_dir": str(PROJECT / ".ansible" / "benchmark-update"),
}

Step = Callable[[], object]


def molecule(*steps: str) -> None:
    """Run steps of molecule on four hosts, with their output in the log."""
    environment = os.environ | {"VALIDATORS": "4"}
    for step in steps:
        with LOG.open("a") as log:
            command = ["molecule", step, "--scenario-name", SCENARIO]
            subprocess.run(command, cwd=PROJECT, env=environment, stdout=log, stderr=log, check=True)


def playbook(lab: Lab, name: str) -> None:
    """Run a playbook; end the benchmark if it fails."""
    result = lab.playbook(name, variables=SETTINGS)
    with LOG.open("a") as log:
        log.write(result.stdout + result.stderr)
    if result.returncode != 0:
        sys.exit(f"{name} failed; see {LOG}")


def loop(lab: Lab) -> None:
    """Pull every model on one server after the other, as by hand."""
    pulls = " && ".join(f"ollama pull {model}" for model in MODELS)
    for name in lab.groups["validators"]:
        variables = lab.variables[name]
        login = ["-i", variables["ansible_ssh_private_key_file"], *variables["ansible_ssh_common_args"].split()]
        target = f"{variables['ansible_user']}@{variables['ansible_host']}"
        with LOG.open("a") as log:
            subprocess.run(["ssh", *login, target, pulls], stdout=log, stderr=log, check=True)


def measure(meter: Meter, step: Step) -> tuple[float, Traffic]:
    """Return the seconds of a step, and what the registry answered meanwhile."""
    meter.read()
    start = time.monotonic()
    step()
    return time.monotonic() - start, meter.read()


def compare(lab: Lab, meter: Meter, title: str, undo: Step) -> None:
    """Measure both ways on the same servers, and print a row. ``undo`` takes back what the first one did."""
    ours, our_traffic = measure(meter, lambda: playbook(lab, "etrid.gizzi.model_update"))
    undo()
    theirs, their_traffic = measure(meter, lambda: loop(lab))
    row = [
        title,
        f"{sum_of(our_traffic):,}",
        f"{sum_of(their_traffic):,}",
        f"{sum_of(our_traffic) / sum_of(their_traffic):.3f}",
        f"{our_traffic.manifests} / {their_traffic.manifests}",
        f"{ours:.0f} s / {theirs:.0f} s",
        f"{ours / theirs:.2f}",
    ]
    print("| " + " | ".join(row) + " |", flush=True)


def _nothing() -> None:
    """There is nothing to take back."""


def sum_of(traffic: Traffic) -> int:
    """Return all bytes of the registry's answers."""
    return traffic.manifest_bytes + traffic.blob_bytes


def main() -> None:
    """Make the lab, measure, print, and take the lab away."""
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("")
    molecule("destroy", "create", "prepare")
    try:
        lab = Lab(PROJECT, SCENARIO)
        playbook(lab, f"molecule/{SCENARIO}/converge.yml")
        internet = lab.outside("internet")
        meter = Meter(internet)
        print("| stale | bytes, update | bytes, loop | ratio | manifests | wall time | ratio |")
        print("|---|---|---|---|---|---|---|", flush=True)
        rows: dict[str, tuple[str, ...]] = {"nothing": (), "one of three": MODELS[:1], "all three": MODELS}
        for title in sys.argv[1:] or rows:
            models = rows[title]
            with ExitStack() as tags:
                for model in models:
                    tags.enter_context(registry.moved(internet, "newer", model))
                undo = partial(playbook, lab, "etrid.gizzi.model_rollback") if models else _nothing
                compare(lab, meter, title, undo)
            # The loop keeps nothing to go back to.
            loop(lab)
    finally:
        molecule("destroy")


if __name__ == "__main__":
    main()
