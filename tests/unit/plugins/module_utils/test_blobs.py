# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _blobs
from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import check_blob, check_blobs, take_away
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = bytes(range(256)) * 4096 * 2 + b"and a part of a piece"


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], str]:
    (tmp_path / "blobs").mkdir()

    def write(content: bytes) -> str:
        (tmp_path / "blobs" / f"sha256-{sha256(content)}").write_bytes(content)
        return f"sha256:{sha256(content)}"

    return write


def test_a_blob_of_several_pieces_is_hashed_as_a_whole(put: Callable[[bytes], str], tmp_path: Path) -> None:
    digest = put(LARGE)
    found = check_blob(tmp_path, digest)
    assert (found.status, found.size, found.reason) == ("ok", len(LARGE), "")
    path = tmp_path / "blobs" / digest.replace(":", "-")
    path.write_bytes(LARGE[:-1] + b"T")
    found = check_blob(tmp_path, digest)
    assert (found.status, found.size) == ("damaged", len(LARGE))


def test_a_folder_or_a_pipe_is_no_blob(put: Callable[[bytes], str], tmp_path: Path) -> None:
    digest = put(b"x")
    path = tmp_path / "blobs" / digest.replace(":", "-")
    path.unlink()
    assert check_blob(tmp_path, digest).status == "missing"
    os.mkfifo(path)
    assert check_blob(tmp_path, digest).status == "not_checked"


def test_each_is_hashed_once_and_idle(
    put: Callable[[bytes], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(_blobs, "be_idle", lambda: done.append("idle"))
    monkeypatch.setattr(_blobs, "check_blob", lambda store, digest: done.append(digest))
    one, two = put(b"one"), put(b"two")
    check_blobs(tmp_path, [one, two, one])
    assert done == ["idle", *sorted((one, two))]


def test_taking_away(put: Callable[[bytes], str], tmp_path: Path) -> None:
    digest = put(b"x")
    take_away(tmp_path, digest)
    take_away(tmp_path, digest)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_nothing_is_taken_away_through_a_link_of_somebody_elses(put: Callable[[bytes], str], tmp_path: Path) -> None:
    digest = put(b"x")
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o777)
    (store / "blobs").symlink_to(tmp_path / "blobs")
    with pytest.raises(GizziError, match="cannot be removed"):
        take_away(store, digest)
    assert check_blob(store, digest).status == "not_checked"
    assert check_blob(tmp_path, digest).status == "ok"


@pytest.mark.skipif("x86_64" not in os.uname().machine, reason="the number of the call is that of x86_64")
def test_idle_is_what_the_kernel_says() -> None:
    """In a process of its own, as this cannot be undone by everybody."""
    program = (
        "import ctypes, os, sys; sys.path[:0] = sys.argv[1].split(os.pathsep);"
        "from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import be_idle;"
        "be_idle(); print(ctypes.CDLL(None).syscall(252, 1, 0) >> 13, os.nice(0))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, os.pathsep.join(sys.path)], check=True, capture_output=True, text=True
    ).stdout
    assert shown.split() == ["3", "19"]
