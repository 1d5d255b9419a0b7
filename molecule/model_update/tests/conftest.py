"""Runs of model_update on the fleet, their reports, and what the servers hold and serve."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from lab import registry
from lab.ollama import MODEL, STORE, digests, loaded
from lab.server import Server
from lab.testing import Lab, RunningPlaybook, wait_until

LOOPBACK = "127.0.0.1"
PLAYBOOK = "etrid.gizzi.model_update"
SETTINGS = {
    "gizzi_topology": "distributed",
    # The servers alone have no gateways. The test of a pool has them, and the mirror.
    "gateway_mirror": False,
    "model_update_prompts": [
        {"name": "France", "prompt": "What is the capital of France?", "pattern": "Paris", "tokens": 12}
    ],
    # After the canary all at once, which takes less time; one test has batches.
    "model_update_serial": ["100%"],
    # Servers share the machine with each other and with whatever else runs there: what that does to their speed must
    # not look like a worse model. One test has a limit.
    "model_update_minimum_speed": 0,
    # A server whose network is gone is noticed within ten seconds, instead of a minute.
    "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=5 -o ServerAliveCountMax=2",
}


@dataclass(frozen=True)
class Report:
    """One run's report."""

    document: dict[str, Any]

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict about the model on each host."""
        return {row["host"]: row["verdict"] for row in self.document["results"]}

    def row(self, host: str) -> dict[str, Any]:
        """What is said about the model of one host."""
        (row,) = [row for row in self.document["results"] if row["host"] == host]
        return dict(row)


class Update:
    """Runs the playbooks, each time with a new folder for the report."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._runs = 0

    def __call__(self, *arguments: str, fails: bool = False, playbook: str = PLAYBOOK, **more: Any) -> Report:
        """Run to the end, which must be the one expected; return the report."""
        result = self.result(*arguments, playbook=playbook, **more)
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return self.report()

    def result(self, *arguments: str, playbook: str = PLAYBOOK, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever it is."""
        return self._lab.playbook(playbook, *arguments, variables=self._variables(more))

    @contextmanager
    def running(self, hold: str = "", times: int = 1, **more: Any) -> Iterator[RunningPlaybook]:
        """Start a run to which something happens, as ``Lab.running`` does; it is killed when the block ends."""
        with self._lab.running(PLAYBOOK, hold=hold, times=times, variables=self._variables(more)) as run:
            yield run

    def report(self) -> Report:
        """Return what the last run has written."""
        paths = list((self._folder / str(self._runs)).glob("*.json"))
        assert len(paths) == 1, f"the run has written {len(paths)} reports"
        return Report(json.loads(paths[0].read_text()))

    def _variables(self, more: dict[str, Any]) -> dict[str, Any]:
        self._runs += 1
        return SETTINGS | {"model_update_report_dir": str(self._folder / str(self._runs))} | more


class Servers:
    """All servers, each seen from itself."""

    def __init__(self, lab: Lab, fleet: dict[str, Host]) -> None:
        self._hosts = {name: fleet[name] for name in lab.groups["validators"]}

    def begin(self, digest: str) -> None:
        """Bring them to what the registry has, which is this digest, in memory too, and nothing kept beside it.

        Where it is so already nothing is done.
        """

        def prepare(host: Host) -> None:
            server, there = Server(host), digests(host, LOOPBACK)
            if there.get(MODEL) != digest:
                server.api("/api/pull", {"model": MODEL, "stream": False})
                assert server.digest() == digest
            # The update's look at a server loads what is in use: where it is there before, it is no difference.
            if loaded(host, LOOPBACK).get(MODEL, digest) != digest:
                server.api("/api/generate", {"model": MODEL, "keep_alive": 0})
            if loaded(host, LOOPBACK).get(MODEL) != digest:
                server.api("/api/generate", {"model": MODEL, "stream": False})
                wait_until(lambda: loaded(host, LOOPBACK).get(MODEL) == digest, 60, "it is in memory")
            for model in there.keys() - {MODEL}:
                server.api("/api/delete", {"model": model}, "--request", "DELETE")

        with ThreadPoolExecutor(len(self._hosts)) as pool:
            list(pool.map(prepare, self._hosts.values()))

    @property
    def names(self) -> list[str]:
        """All of them, in the order of the inventory."""
        return list(self._hosts)

    def serve(self, digest: str) -> set[str]:
        """Return those which have the digest under the model's name: in the store, and in memory if it is loaded."""
        return {
            name
            for name, host in self._hosts.items()
            if digests(host, LOOPBACK).get(MODEL) == digest and loaded(host, LOOPBACK).get(MODEL, digest) == digest
        }

    def have_loaded(self, digest: str) -> set[str]:
        """Return those which have the digest in memory under the model's name."""
        return {name for name, host in self._hosts.items() if loaded(host, LOOPBACK).get(MODEL) == digest}

    def models(self, name: str) -> dict[str, str]:
        """Return the digest of each name in a server's store."""
        return digests(self._hosts[name], LOOPBACK)

    def loaded(self, name: str) -> dict[str, str]:
        """Return the digest of each name in a server's memory."""
        return loaded(self._hosts[name], LOOPBACK)

    def previous_models(self, name: str) -> set[str]:
        """Return the digests of what is kept beside the model."""
        return {digest for model, digest in self.models(name).items() if model.startswith(f"{MODEL}.gizzi-")}

    def weights(self, name: str) -> int:
        """Return how many files of weights a server's disk holds, finished or not."""
        return len(self._hosts[name].check_output("find %s/blobs -size +1M", STORE).splitlines())

    def starts(self) -> dict[str, str]:
        """Return what changes with each start of a service."""
        command = "systemctl show --value --property=InvocationID ollama.service"
        return {name: str(host.check_output(command)) for name, host in self._hosts.items()}


@pytest.fixture
def update(lab: Lab, tmp_path: Path) -> Update:
    """Return what runs the playbooks."""
    return Update(lab, tmp_path)


@pytest.fixture(scope="session")
def servers(lab: Lab, fleet: dict[str, Host]) -> Servers:
    """Return the servers."""
    return Servers(lab, fleet)


@pytest.fixture
def original(servers: Servers, internet: Host) -> str:
    """Begin with the model that the lab was made with, on every server and alone there; return its digest."""
    registry.move_back(internet)
    digest = registry.digest(internet)
    servers.begin(digest)
    return digest
