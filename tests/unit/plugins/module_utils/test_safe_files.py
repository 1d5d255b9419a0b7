# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_file, opened_folder, read_file


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "file").write_bytes(b"content")
    (tmp_path / "real" / "link").symlink_to("deep")
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "round").symlink_to("round")
    return tmp_path


@pytest.mark.parametrize("path", ["real/deep", "real/link", "absolute/link", "real/../real/deep"])
def test_links_in_folders_of_our_own_are_followed(folder: Path, path: str) -> None:
    with opened_folder(folder / path) as opened:
        assert read_file(opened, "file", 7) == b"content"


@pytest.mark.parametrize("path", ["real/link", "absolute/link"])
def test_links_in_folders_of_others_are_not(folder: Path, path: str) -> None:
    (folder / "real").chmod(0o777)
    with pytest.raises(OSError, match="not followed") as told, opened_folder(folder / path):
        pass
    assert told.value.filename == str(folder / "real" / "link")
    with opened_folder(folder / "absolute" / "deep"):
        pass


@pytest.mark.parametrize("path", ["round", "nothing", "real/deep/file"])
def test_what_is_no_folder(folder: Path, path: str) -> None:
    before = descriptors()
    with pytest.raises(OSError, match=r"not followed|No such file|Not a directory"), opened_folder(folder / path):
        pass
    assert descriptors() == before


def test_only_regular_files_of_the_size(folder: Path) -> None:
    (folder / "file").symlink_to("real/deep/file")
    os.mkfifo(folder / "pipe")
    with opened_folder(folder) as opened:
        for name in ("file", "pipe", "real"):
            with pytest.raises(OSError, match=r"symbolic links|not a regular file"), opened_file(opened, name):
                pass
    with opened_folder(folder / "real/deep") as opened, pytest.raises(OSError, match="more than 6 bytes"):
        read_file(opened, "file", 6)
