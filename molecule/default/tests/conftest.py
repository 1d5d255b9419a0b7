"""What the tests of the one server share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from lab.server import Server
from lab.testing import Lab


@pytest.fixture(scope="session")
def server(fleet: dict[str, Host]) -> Server:
    """Return the server."""
    return Server(fleet["server"])


@pytest.fixture
def converge(lab: Lab) -> Callable[..., str]:
    """Return a function that runs the role with other values, and returns what was printed."""

    def run(*arguments: str, fails: bool = False, **variables: Any) -> str:
        result = lab.playbook("molecule/default/converge.yml", *arguments, variables=variables)
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return result.stdout + result.stderr

    return run


@pytest.fixture
def restored(converge: Callable[..., str]) -> Iterator[None]:
    """Bring the scenario's own values back after a test with others."""
    yield
    converge()


@pytest.fixture
def requests(internet: Host) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that returns the requests that the stand-in internet has had since its last call."""
    log = "/var/log/nginx/registry.json"
    seen = 0

    def news() -> list[dict[str, Any]]:
        nonlocal seen
        lines = internet.check_output("cat %s", log).splitlines()
        seen, new = len(lines), lines[seen:]
        return [json.loads(line) for line in new]

    news()
    return news
