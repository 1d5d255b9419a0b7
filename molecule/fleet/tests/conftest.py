"""What the tests of the whole fleet share. They run in the order of the files: A, B, A again, then nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from lab.testing import Lab

Ran = subprocess.CompletedProcess[str]
LOOK = (
    "find /etc /opt /usr/local /var/lib/ollama -printf '%p %m %u %s %T@\\n'; iptables -S; ip6tables -S; "
    "nft --stateless list ruleset; "
    "systemctl show --property=ActiveState,ActiveEnterTimestamp,UnitFileState,NRestarts ollama.service"
)


@pytest.fixture
def site(lab: Lab) -> Callable[..., Ran]:
    """Return a function that runs site.yml for a topology, and returns how it ended."""

    def run(topology: str, *arguments: str, collections: Path | None = None, **variables: Any) -> Ran:
        return lab.playbook(
            "etrid.gizzi.site",
            *arguments,
            variables={"gizzi_topology": topology, **variables},
            collections=collections,
        )

    return run


@pytest.fixture
def report(lab: Lab, tmp_path: Path) -> Callable[..., tuple[Ran, dict[str, Any]]]:
    """Return a function that runs verify or diagnose, and returns how it ended and the report that it wrote."""

    def run(playbook: str, topology: str, **variables: Any) -> tuple[Ran, dict[str, Any]]:
        settings = {"gizzi_topology": topology, "gizzi_report_dir": str(tmp_path), **variables}
        result = lab.playbook(f"etrid.gizzi.{playbook}", variables=settings)
        reports = sorted(tmp_path.glob(f"{playbook}-*.json"))
        assert reports, result.stdout + result.stderr
        return result, json.loads(reports[-1].read_text())

    return run


@pytest.fixture
def state(lab: Lab, fleet: dict[str, Host]) -> Callable[[], set[str]]:
    """Return a function that returns what a playbook might have changed: files, rules, when the unit was started."""

    def look() -> set[str]:
        names = lab.groups["validators"]
        return {f"{name} {line}" for name in names for line in fleet[name].run(LOOK).stdout.splitlines()}

    return look
