# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that measure, in the files that their roles install: nothing that they import is missing on a host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
RUNNER = ROLES.parent / "plugins/module_utils/_runner.py"


@pytest.mark.parametrize("role", ["ollama", "gateway"])
def test_a_program_runs_from_the_files_that_the_role_installs(role: str, tmp_path: Path) -> None:
    values = yaml.safe_load((ROLES / role / "vars/main.yml").read_text(encoding="utf-8"))
    (files,) = (found for found in values.values() if f"{role}_metrics.py" in str(found) and "source" in str(found))
    installed = [(Path(entry["path"]).name, entry["source"]) for entry in files if "source" in entry]
    for name, source in installed:
        if name.endswith(".py"):
            files = ROLES / role / "files"
            place = files / source.replace("{{ role_path }}", str(files.parent)) if source.endswith(".py") else RUNNER
            shutil.copy(place, tmp_path / name)
    command = [sys.executable, tmp_path / f"{role}_metrics.py", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert ended.returncode == 0, ended.stderr
    # A change of the programs restarts no server.
    if role == "ollama":
        quiet = " ".join(values["_ollama_quiet"])
        assert all(re.search(rf"/{re.escape(name)}\b", quiet) for name, _source in installed)
