from __future__ import annotations

from pathlib import Path

import pytest
from plays import RunPlay, runner


@pytest.fixture
def run_play(tmp_path: Path) -> RunPlay:
    """Return a function that runs a play's tasks on hosts that are all this machine."""
    return runner(tmp_path)
