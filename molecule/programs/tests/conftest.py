"""What the tests of the Gizzi API share; those of the client have their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

from lab.testing import Lab

Converge = Callable[..., str]
Program = Callable[..., str]


@pytest.fixture(scope="session")
def gizzi(fleet: dict[str, Host]) -> Host:
    """Return the host that runs the API."""
    return fleet["validator01"]


def guard_rules(gizzi: Host) -> list[str]:
    """Return the rules that guard the API's port."""
    return list(gizzi.run("nft --stateless list table inet gizzi-gizzi-api").stdout.splitlines())


def started(gizzi: Host) -> int:
    """Return how often the service was started since the host was."""
    journal = gizzi.check_output("journalctl --unit=gizzi-api.service --output=cat --no-pager")
    return int(journal.splitlines().count("Started gizzi-api.service - Gizzi API."))


@pytest.fixture
def converge(lab: Lab) -> Converge:
    """Return a function that runs the role with other values, and returns what was printed."""

    def run(*, fails: bool = False, **variables: object) -> str:
        result = lab.playbook("molecule/programs/api.yml", variables=variables)
        printed = result.stdout + result.stderr
        assert (result.returncode != 0) is fails, printed
        return " ".join(printed.split())

    return run


@pytest.fixture
def program(lab: Lab, tmp_path: Path) -> Program:
    """Return a function that makes another version of the program, one that ends at its start or a sound one."""

    def make(version: str, *, ends: bool = False) -> str:
        copy = tmp_path / version
        shutil.copytree(lab.project / "roles/gizzi_api/files/gizzi-api", copy)
        for file in (copy / "pyproject.toml", copy / "src/gizzi_api/__init__.py"):
            file.write_text(file.read_text().replace('"1.0.0"', f'"{version}"'))
        if ends:
            command = copy / "src/gizzi_api/cli.py"
            command.write_text(
                command.read_text().replace("    try:\n", '    sys.exit("ended at once")\n    try:\n', 1)
            )
        return str(copy)

    return make
