# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.etrid.gizzi.plugins.module_utils import _blobs, _pull_notes
from ansible_collections.etrid.gizzi.plugins.module_utils._update import figures
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the notes of unfinished pulls; that of what was measured; this process keeps its priority."""
    folder = tmp_path.with_name(f"{tmp_path.name}-notes")
    monkeypatch.setattr(_pull_notes, "FOLDER", folder)
    monkeypatch.setattr(figures, "FOLDER", tmp_path.with_name(f"{tmp_path.name}-figures"))
    monkeypatch.setattr(_blobs, "be_idle", lambda: None)
    return folder


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with closing(FakeRegistry()) as server:
        yield server


@pytest.fixture
def ollama(registry: FakeRegistry) -> Iterator[FakeOllama]:
    with closing(FakeOllama(registry)) as server:
        yield server


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a module's main() as Ansible does, and return what it printed, with its warnings.

    In a process that has also imported Ansible's controller (as the filters do), a module's warnings go to the display.
    """
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, warning: warnings.append(warning))

    def run(main: Callable[[], None], check_mode: bool = False, **args: Any) -> dict[str, Any]:
        warnings.clear()
        with patch_module_args({**args, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {**result, "warnings": list(warnings)}

    return run
