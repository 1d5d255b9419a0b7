# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that waits for ever is ended, and what it has started too."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _archive, _programs, _python_release
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard import host as guard_host
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen
from ansible_collections.etrid.gizzi.plugins.modules import files, python_release

if TYPE_CHECKING:
    from collections.abc import Callable

# It has a child, which would go on without it, and says which.
HANGS = "#!/bin/sh\nsleep 60 & echo $! > {0}/child\nwait\n"


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """A program that never ends."""
    path = tmp_path / "hanging"
    path.write_text(HANGS.format(tmp_path))
    path.chmod(0o755)
    return path


def assert_ended(folder: Path, started: float) -> None:
    """Check that the program's child has ended, within a moment, and that nobody waited for it."""
    assert time.monotonic() - started < 10
    child = int((folder / "child").read_text())
    until = time.monotonic() + 5
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_program_says() -> None:
    script = "read line; echo $line; echo bad >&2; exit 3"
    assert _programs.run(["sh", "-c", script], 20, "", "hello\n", os.environ) == (3, "hello\n", "bad\n")
    assert _programs.run(["printf", r"\377"], 20, "") == (0, "\ufffd", "")
    with pytest.raises(_programs.NotRunError, match=r"/no/such does not run: .*No such file"):
        _programs.run(["/no/such"], 20, "")


def test_a_program_without_end_is_ended_with_what_it_has_started(hanging: Path) -> None:
    started = time.monotonic()
    with pytest.raises(_programs.LateError) as error:
        _programs.run([str(hanging), "--now"], 0.5, "Look at the disk.")
    assert str(error.value) == f"{hanging} --now had not ended after 0.5 s, and was ended. Look at the disk."
    assert_ended(hanging.parent, started)


def test_the_guard_waits_for_no_program_without_end(hanging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_host, "PATIENCE", 0.5)
    started = time.monotonic()
    with pytest.raises(
        GizziError, match=r"hanging -S had not ended after 0\.5 s, and was ended\. See what it waits for"
    ):
        guard_host.Host().run([str(hanging), "-S"])
    assert_ended(hanging.parent, started)
    # systemctl waits for units, which take longer.
    (hanging.parent / "systemctl").symlink_to("/bin/sleep")
    monkeypatch.setattr(guard_host, "SEARCH_PATH", f"{hanging.parent}:{guard_host.SEARCH_PATH}")
    assert guard_host.Host().run(["systemctl", "1"]) == ""


def test_a_look_waits_for_no_program_without_end(hanging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its child held the output open, so that the look took as long as the child."""
    monkeypatch.setattr(_seen, "PATIENCE", 0.5)
    started = time.monotonic()
    with pytest.raises(_seen.UnseenError, match=r"hanging --now had not ended after 0\.5 s, and was ended"):
        _seen.ask([str(hanging), "--now"])
    assert_ended(hanging.parent, started)
    with pytest.raises(_seen.UnseenError, match=r"/no/such does not run"):
        _seen.ask(["/no/such"])


def test_an_archive_is_not_unpacked_for_ever(hanging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "PATIENCE", 0.5)
    started = time.monotonic()
    with pytest.raises(_programs.LateError, match=r"hanging --decompress .* had not ended after 0\.5 s"):
        _archive.unpack(hanging.parent / "a.tar.zst", str(hanging), hanging.parent / "out")
    assert_ended(hanging.parent, started)


def test_a_python_that_hangs_is_named(
    hanging: Path, run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_python_release, "ASK_PATIENCE", 0.5)
    given = {"label": "P", "prefix": "p", "source": "/", "version": "1", "content": "c"}
    started = time.monotonic()
    told = run_module(python_release.main, **given, root=str(hanging.parent), python=str(hanging))
    assert told["msg"].startswith(f"{hanging} -c ")
    assert "had not ended after 0.5 s, and was ended. See what it waits for" in told["msg"]
    assert_ended(hanging.parent, started)


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_of_a_release_that_is_not_built_in_time_nothing_is_left(
    hanging: Path, run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The real module with a Python that never makes an environment, or one whose pip never ends."""
    folder = hanging.parent
    monkeypatch.setattr(_python_release, "BUILD_PATIENCE", 0.5)
    python = folder / "python"
    make = {"venv": f'mkdir -p "$3/bin"; exec {hanging}', "pip": f'mkdir -p "$3/bin"; cp {hanging} "$3/bin/pip"'}[step]
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec echo "[3, 12, true]"\n{make}\n')
    python.chmod(0o755)
    (folder / "program").mkdir()
    (folder / "program/requirements.txt").touch()
    subprocess.run(["tar", "-cf", folder / "a.tar", "-C", folder, "program"], check=True)
    checksum = subprocess.run(["sha256sum", folder / "a.tar"], check=True, capture_output=True, text=True).stdout[:64]
    given = {"label": "P", "prefix": "p", "source": "/", "version": "1", "content": "c", "python": str(python)}
    started = time.monotonic()
    told = run_module(
        python_release.main, **given, root=str(folder / "opt"), archive=str(folder / "a.tar"), checksum=checksum
    )
    assert told["msg"].startswith("P 1-")
    assert "could not be installed, and what runs was not changed." in told["msg"]
    assert "had not ended after 0.5 s, and was ended." in told["msg"]
    assert list((folder / "opt").iterdir()) == []
    assert_ended(folder, started)


def test_a_file_whose_check_hangs_is_not_replaced(
    hanging: Path, run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hanging.parent
    monkeypatch.setattr(files, "PATIENCE", 0.5)
    monkeypatch.setattr(files._state._undo, "FOLDER", folder / "undo")
    monkeypatch.setattr(files._state._record, "FOLDER", folder / "record")
    (folder / "conf").write_text("before")
    entry = {"path": str(folder / "conf"), "content": "after", "validate": [str(hanging), "%s"]}
    started = time.monotonic()
    told = run_module(files.main, name="one", files=[entry])
    assert "had not ended after 0.5 s, and was ended. See what it waits for" in told["msg"]
    assert (folder / "conf").read_text() == "before"
    assert not (folder / "undo").exists()
    assert_ended(folder, started)
