# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._lock import HeldError, Holder, LockFile
from ansible_collections.etrid.gizzi.plugins.modules import run_lock
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _holder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., dict[str, Any]]

ME = {"user": "ops", "host": "control", "boot_id": "b1", "pid": 10, "start": 100}
OTHER = {"user": "eve", "host": "laptop", "boot_id": "b2", "pid": 10, "start": 100}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "update.lock"


@pytest.fixture
def lock(run_module: Callable[..., dict[str, Any]], path: Path) -> Run:
    def run(*holder: dict[str, Any], **args: Any) -> dict[str, Any]:
        return run_module(run_lock.main, **{"path": str(path), "holder": holder[0] if holder else ME, **args})

    return run


def test_one_holds_it_and_another_is_told_who(lock: Run, path: Path) -> None:
    assert lock()["taken_from"] == ""
    result = lock(OTHER)
    assert result["failed"] is True
    assert result["held_by"] == ME
    assert "ops@control (process 10) has held the lock since 20" in result["msg"]
    assert json.loads(path.read_text())["holder"] == ME
    # The other one's leaving changes nothing.
    lock(OTHER, state="free")
    assert path.exists()
    lock(state="free")
    assert not path.exists()
    assert lock(OTHER)["taken_from"] == ""


def test_the_lease_begins_anew_for_its_holder(lock: Run, path: Path) -> None:
    lock(lease=10)
    before = json.loads(path.read_text())
    lock(lease=1000)
    after = json.loads(path.read_text())
    assert after["since"] == before["since"]
    assert after["expires"] > before["expires"] + 900


def test_who_overstays_loses_it_and_is_told(lock: Run) -> None:
    lock(lease=0)
    assert lock(OTHER, lease=1000)["taken_from"].startswith("ops@control")
    assert lock(lease=0)["held_by"] == OTHER


def test_only_the_holder_that_has_ended_is_replaced(lock: Run) -> None:
    """Two runs find the same dead holder; the second must not take the first one's lock."""
    lock(OTHER)
    assert lock(ended=OTHER)["taken_from"].startswith("eve@laptop")
    third = {**ME, "pid": 11}
    assert lock(third, ended=OTHER)["held_by"] == ME


def test_a_file_of_somebody_else_is_left_alone(lock: Run, path: Path) -> None:
    path.write_text("{}")
    assert "no lock of ours" in lock()["msg"]
    assert path.read_text() == "{}"


def test_without_a_holder_nothing_is_taken(lock: Run, path: Path) -> None:
    assert "action plugin" in lock(holder=None)["msg"]
    assert "has no 'pid'" in lock({"user": "a", "host": "b", "boot_id": "c"})["msg"]
    assert not path.exists()


def test_a_folder_that_is_missing_is_named(run_module: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    result = run_module(run_lock.main, path=str(tmp_path / "not" / "there" / "lock"), holder=ME)
    assert f"{tmp_path}/not/there" in result["msg"]


def test_of_many_who_try_at_once_one_gets_it(path: Path) -> None:
    start = threading.Barrier(8)

    def take(pid: int) -> bool:
        start.wait()
        try:
            LockFile(path).take(Holder("u", "h", "b", pid, 1), None, 60, 0)
        except HeldError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def test_times_are_said_in_utc(path: Path) -> None:
    _before, entry = LockFile(path).take(Holder("u", "h", "b", 1, 2), None, 60, 0)
    told = "has held the lock since 1970-01-01T00:00:00Z, at most until 1970-01-01T00:01:00Z"
    assert str(entry) == f"u@h (process 1) {told}"


def test_a_living_process_has_not_ended() -> None:
    me = _holder.myself()
    assert me["pid"] == os.getpid()
    assert not _holder.has_ended(me, me)


def test_a_process_that_ended_has() -> None:
    me = _holder.myself()
    child = subprocess.Popen(["sleep", "60"])
    theirs = {**me, "pid": child.pid, "start": _holder.start_of(child.pid)}
    assert not _holder.has_ended(theirs, me)
    child.kill()
    # Killed, and not yet waited for: it is in the table of processes, and runs no more.
    while _holder.start_of(child.pid) is not None:
        time.sleep(0.01)
    assert _holder.has_ended(theirs, me)
    child.wait()
    assert _holder.has_ended(theirs, me)


def test_a_number_that_is_used_again_is_another_process() -> None:
    me = _holder.myself()
    assert _holder.has_ended({**me, "start": me["start"] - 1}, me)


def test_a_reboot_ends_every_process_of_this_host_and_of_no_other() -> None:
    me = _holder.myself()
    assert _holder.has_ended({**me, "boot_id": "before"}, me)
    assert not _holder.has_ended({**me, "host": "elsewhere", "boot_id": "before", "pid": 0}, me)


def test_a_name_with_parentheses_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    fields = ["S", *map(str, range(4, 22)), "4711", "0"]
    (folder / "stat").write_text(f"7 (a) b (c) {' '.join(fields)}\n")
    assert _holder.start_of(7, tmp_path) == 4711


def test_a_folder_that_others_can_open_is_refused(lock: Run, tmp_path: Path) -> None:
    """Any user who can open a folder can hold its lock (flock) for ever, and no update would ever begin."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    result = lock(path=str(folder / "lock"))
    assert f"{folder} can be opened by others" in result["msg"]
    folder.chmod(0o700)
    if os.geteuid() == 0:
        # In a folder of another's a link could take what is written elsewhere.
        os.chown(folder, 61_001, 61_001)
        assert f"{folder} can be opened by others" in lock(path=str(folder / "lock"))["msg"]
    assert lock(path=str(tmp_path / "made" / "lock"))["taken_from"] == ""
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
