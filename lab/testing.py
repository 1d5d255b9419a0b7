"""Pytest plugin for the scenarios' tests: the fleet, the hosts outside it, reboots, and waiting for conditions.

Molecule's verifier loads it (``PYTEST_PLUGINS`` in ``.config/molecule/config.yml``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pytest
import testinfra
from testinfra.host import Host

from lab.artifacts.versions import Releases


def wait_until(condition: Callable[[], Any], timeout: float, what: str) -> Any:
    """Call ``condition`` every 0.2 s and return its first true value; fail with ``what`` after ``timeout`` seconds.

    An exception of ``condition`` counts as false; the failure's text has the last one.
    """
    deadline = time.monotonic() + timeout
    last: BaseException | None = None
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
            last = None
        except (AssertionError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            last = error
        time.sleep(0.2)
    pytest.fail(f"not within {timeout:g} s: {what}" + (f" (last: {last})" if last else ""))


@contextmanager
def module_calls() -> Iterator[tuple[dict[str, str], Callable[[], dict[str, list[str]]]]]:
    """Yield an environment in which ``ansible-playbook`` notes its modules, and a function that reads them by host."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "calls"
        notes.touch()
        environment = {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "module_calls",
            "LAB_MODULE_CALLS": str(notes),
        }

        def read() -> dict[str, list[str]]:
            calls: dict[str, list[str]] = {}
            for line in notes.read_text(encoding="utf-8").splitlines():
                call = json.loads(line)
                calls.setdefault(call["host"], []).append(call["module"])
            return calls

        yield environment, read


class Lab:
    """One scenario's lab."""

    def __init__(self, project: Path, scenario: str) -> None:
        self.project = project
        self.scenario = scenario
        self.inventory = project / ".ansible" / "lab" / scenario / "inventory"
        listing = subprocess.run(
            ["ansible-inventory", "--inventory", str(self.inventory), "--list"],
            check=True,
            capture_output=True,
            text=True,
        )
        data = json.loads(listing.stdout)
        self.variables: dict[str, dict[str, Any]] = data["_meta"]["hostvars"]
        self.groups: dict[str, list[str]] = {
            name: group["hosts"] for name, group in data.items() if name != "_meta" and "hosts" in group
        }
        own = next(iter(self.variables.values()))
        self.prefix: str = own["lab_prefix"]
        # The release that this lab runs, and its changed copies.
        self.releases = Releases(**own["lab_releases"])

    def host(self, name: str) -> Host:
        """Return the fleet host ``name``: SSH, root with sudo."""
        return testinfra.get_host(f"ansible://{name}", ansible_inventory=str(self.inventory), sudo=True)

    def outside(self, name: str) -> Host:
        """Return ``stranger`` or ``internet``. They are not in the inventory, so Docker runs the commands."""
        return testinfra.get_host(f"docker://{self.prefix}-{name}")

    def addresses(self, name: str) -> list[str]:
        """Return the IPv4 and the IPv6 address of a fleet host."""
        return list(self.variables[name]["gizzi_addresses"])

    def reboot(self, names: Iterable[str], timeout: float = 60) -> None:
        """Reboot fleet hosts (systemd starts again, the kernel's firewall rules are lost) and wait until they are up.

        Jobs that the boot starts are part of the boot; all of it may take ``timeout`` seconds.
        """
        names = list(names)
        containers = [self.variables[name]["lab_container"] for name in names]
        subprocess.run(["docker", "restart", *containers], check=True, capture_output=True)
        for name, container in zip(names, containers, strict=True):
            wait_until(partial(self._is_up, container), timeout, f"{name} is up after its reboot")

    @contextmanager
    def off(self, name: str, timeout: float = 60) -> Iterator[None]:
        """Switch a fleet host off during the block; afterwards it has booted again."""
        container = self.variables[name]["lab_container"]
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["docker", "start", container], check=True, capture_output=True)
            wait_until(partial(self._is_up, container), timeout, f"{name} is up again")

    @staticmethod
    def _is_up(container: str) -> bool:
        state = subprocess.run(
            ["docker", "exec", container, "systemctl", "is-system-running"], check=False, capture_output=True, text=True
        )
        return state.stdout.strip() in {"running", "degraded"}

    def playbook(
        self,
        playbook: str,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        collections: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``ansible-playbook`` on the lab's inventory; the caller checks the result.

        The collection is the checkout, or the one that is installed in the folder ``collections``.
        """
        command, environment = self._ansible(playbook, arguments, variables)
        if collections:
            environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
        return subprocess.run(
            command, cwd=self.project, env=environment, check=False, capture_output=True, text=True, timeout=900
        )

    def counted(
        self, playbook: str, *arguments: str, variables: Mapping[str, Any] | None = None
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, list[str]]]:
        """Run ``ansible-playbook`` as above; return also the modules that it sent, by host."""
        command, environment = self._ansible(playbook, arguments, variables)
        with module_calls() as (notes, calls):
            result = subprocess.run(
                command,
                cwd=self.project,
                env=environment | notes,
                check=False,
                capture_output=True,
                text=True,
                timeout=900,
            )
            return result, calls()

    @contextmanager
    def running(
        self,
        playbook: str,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        hold: str = "",
        times: int = 1,
    ) -> Iterator[RunningPlaybook]:
        """Start ``ansible-playbook`` as above; when the block ends, kill its processes that still run.

        With ``hold`` the run waits before the task of that name, at the ``times``-th occurrence, until ``held`` ends.
        """
        command, environment = self._ansible(playbook, arguments, variables)
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
            gate = Path(folder) / "gate"
            os.mkfifo(gate)
            if hold:
                environment |= {
                    "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
                    "ANSIBLE_CALLBACKS_ENABLED": "hold",
                    "LAB_HOLD_TASK": hold,
                    "LAB_HOLD_TIMES": str(times),
                    "LAB_HOLD_GATE": str(gate),
                }
            with subprocess.Popen(command, cwd=self.project, env=environment, stdout=output, stderr=output) as process:
                started = RunningPlaybook(process, output, gate)
                try:
                    yield started
                finally:
                    started.kill()

    def _ansible(
        self, playbook: str, arguments: Iterable[str], variables: Mapping[str, Any] | None
    ) -> tuple[list[str], dict[str, str]]:
        command = ["ansible-playbook", "--inventory", str(self.inventory), playbook, *arguments]
        if variables:
            command += ["--extra-vars", json.dumps(dict(variables))]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MOLECULE_")}
        environment |= {"ANSIBLE_CONFIG": str(self.project / "ansible.cfg"), "ANSIBLE_HOST_KEY_CHECKING": "false"}
        # Molecule forces colours in the programs that it calls.
        environment["ANSIBLE_FORCE_COLOR"] = "false"
        return command, environment


class RunningPlaybook:
    """A run of a playbook in parallel with the test."""

    def __init__(self, process: subprocess.Popen[bytes], output: TextIO, gate: Path) -> None:
        self._process = process
        self._output = output
        self._gate = gate

    def printed(self) -> str:
        """Return the output until now."""
        return os.pread(self._output.fileno(), 1 << 26, 0).decode()

    @contextmanager
    def held(self, timeout: float = 600) -> Iterator[None]:
        """Wait until the run holds before its task; when the block ends, the run continues."""

        def opened() -> int:
            if self._process.poll() is not None:
                pytest.fail(f"the run has ended and was not held:\n{self.printed()}")
            # An OSError until the run has opened the other end.
            return os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK)

        gate = wait_until(opened, timeout, "the run stands where it is to be held")
        try:
            yield
        finally:
            os.close(gate)

    def ends(self, timeout: float = 600) -> int:
        """Wait until the run has ended, and return its exit status."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """Kill the run and everything that it has started, without a chance to clean up, as a loss of power does."""
        # Ansible's workers have their own sessions, so a signal to a process group does not reach all of them.
        family = descendants(self._process.pid)
        self._process.kill()
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def descendants(pid: int) -> list[int]:
    """Return the numbers of a process's children, their children and so on."""
    listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())}
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family[1:]


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Return the lab of the scenario that molecule verifies."""
    return Lab(Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]), os.environ["MOLECULE_SCENARIO_NAME"])


@pytest.fixture(scope="session")
def fleet(lab: Lab) -> dict[str, Host]:
    """Return every host of the inventory by name."""
    return {name: lab.host(name) for name in lab.variables}


@pytest.fixture(scope="session")
def stranger(lab: Lab) -> Host:
    """Return the host that is on the network but not in the fleet."""
    return lab.outside("stranger")


@pytest.fixture(scope="session")
def internet(lab: Lab) -> Host:
    """Return the stand-in internet."""
    return lab.outside("internet")
