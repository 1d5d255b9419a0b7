"""What the tests share: the playbook that takes the fleet over."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from lab.testing import Lab


@pytest.fixture
def site(lab: Lab) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs site.yml with more variables; the run must succeed."""

    def run(*arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        settings = {"gizzi_topology": "centralized", **variables}
        result = lab.playbook("etrid.gizzi.site", *arguments, variables=settings)
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    return run
