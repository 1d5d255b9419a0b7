# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._aside import asides
from ansible_collections.etrid.gizzi.plugins.modules import set_aside

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., dict[str, Any]]


def test_a_file_gets_a_second_name_and_stays(run_module: Run, tmp_path: Path) -> None:
    unit = tmp_path / "ollama.service"
    unit.write_text("[Service]\n")
    dry = run_module(set_aside.main, check_mode=True, paths=[str(unit)])
    assert (dry["changed"], list(tmp_path.iterdir())) == (True, [unit])
    done = run_module(set_aside.main, paths=[str(unit)])
    assert done["paths"] == dry["paths"] == [f"{unit}.before-gizzi"]
    assert unit.samefile(f"{unit}.before-gizzi")
    assert run_module(set_aside.main, paths=[str(unit)])["changed"] is False
    # What replaces the file leaves the second name alone.
    (tmp_path / "new").write_text("other")
    (tmp_path / "new").rename(unit)
    assert Path(f"{unit}.before-gizzi").read_text() == "[Service]\n"


def test_of_a_program_the_path_leads_to_the_second_name(run_module: Run, tmp_path: Path) -> None:
    program = tmp_path / "ollama"
    program.write_bytes(b"ELF")
    program.chmod(0o755)
    assert run_module(set_aside.main, check_mode=True, programs=[str(program)])["changed"] is True
    assert not program.is_symlink()
    assert run_module(set_aside.main, programs=[str(program)])["paths"] == [f"{program}.before-gizzi"]
    assert str(program.readlink()) == "ollama.before-gizzi"
    assert (program.read_bytes(), os.access(program, os.X_OK)) == (b"ELF", True)
    assert run_module(set_aside.main, programs=[str(program)])["changed"] is False


def test_what_was_kept_before_is_not_lost(run_module: Run, tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.write_text("first")
    run_module(set_aside.main, paths=[str(unit)])
    unit.unlink()
    unit.write_text("other")
    assert run_module(set_aside.main, paths=[str(unit)])["paths"] == [f"{unit}.before-gizzi-2"]
    assert [Path(name).read_text() for name in asides([str(unit)])] == ["first", "other"]
    # A change that was taken back has written the file anew.
    unit.unlink()
    unit.write_text("first")
    assert run_module(set_aside.main, paths=[str(unit)])["changed"] is False


def test_a_path_without_a_file_is_passed_over(run_module: Run, tmp_path: Path) -> None:
    gone, inside = str(tmp_path / "gone"), str(tmp_path / "no/folder")
    assert run_module(set_aside.main, paths=[gone], programs=[inside])["changed"] is False


def test_a_folder_is_refused(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    assert run_module(set_aside.main, paths=[str(tmp_path / "unit")])["msg"].startswith(f"{tmp_path}/unit is a folder")
