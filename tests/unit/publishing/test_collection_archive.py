# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's archive: the same files give the same bytes, and ansible-galaxy takes it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from publishing.archive import PublishingError, build, folder_members, packed, seconds

GALAXY = """namespace: a
name: b
version: 1.2.3
readme: README.md
authors: [A]
"""
FILES = {
    "README.md": "# b\n",
    "docs/one.md": "one\n",
    "docs/two.md": "two\n",
    "run.sh": "#!/bin/sh\n",
    "galaxy.yml": GALAXY,
}
EPOCH = 1_700_000_000


def collection(folder: Path, names: list[str], mode: int, time: int) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name])
        path.chmod(mode | (0o111 if name == "run.sh" else 0))
        os.utime(path, (time, time))
    return folder


def reversed_walk(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    """Let ansible-galaxy see the folders in the other order, as another file system may list them."""
    code = "import os\nseen = os.listdir\nos.listdir = lambda *a: sorted(seen(*a), reverse=True)\n"
    (scratch / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(scratch))


def test_same_files_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(FILES)
    first = build(collection(tmp_path / "first", names, 0o644, 1), tmp_path / "out1", EPOCH)
    (tmp_path / "site").mkdir()
    reversed_walk(monkeypatch, tmp_path / "site")
    second = build(collection(tmp_path / "second", names[::-1], 0o600, 2_000_000_000), tmp_path / "out2", EPOCH)
    assert first.name == second.name == "a-b-1.2.3.tar.gz"
    assert first.read_bytes() == second.read_bytes()


def test_members_are_roots_of_one_time_and_in_order(tmp_path: Path) -> None:
    archive = build(collection(tmp_path / "source", list(FILES), 0o644, 1), tmp_path / "out", EPOCH)
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        listing = tar.extractfile("FILES.json")
        manifest = tar.extractfile("MANIFEST.json")
        assert listing and manifest
        checksum = hashlib.sha256(listing.read()).hexdigest()
        assert json.loads(manifest.read())["file_manifest_file"]["chksum_sha256"] == checksum
    names = [member.name for member in members]
    assert names == sorted(names)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(EPOCH, 0, 0, "", "")}
    assert {m.name: m.mode for m in members if m.name in {"run.sh", "README.md"}} == {
        "run.sh": 0o755,
        "README.md": 0o644,
    }
    assert archive.read_bytes()[4:8] == bytes(4), "gzip's head has a time"


def test_ansible_galaxy_installs_and_verifies_it(tmp_path: Path) -> None:
    archive = build(collection(tmp_path / "source", list(FILES), 0o644, 1), tmp_path / "out", EPOCH)
    command = [
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--collections-path",
        str(tmp_path),
        str(archive),
    ]
    subprocess.run(command, check=True, capture_output=True)
    installed = tmp_path / "ansible_collections/a/b"
    assert (installed / "docs/two.md").read_text() == "two\n"


def test_an_archive_stays_when_the_next_cannot_be_built(tmp_path: Path) -> None:
    source = collection(tmp_path / "source", list(FILES), 0o644, 1)
    archive = build(source, tmp_path / "out", EPOCH)
    before = archive.read_bytes()
    (source / "galaxy.yml").write_text("namespace: a\n")
    with pytest.raises(PublishingError, match="cannot build the collection"):
        build(source, tmp_path / "out", EPOCH)
    assert [file.name for file in (tmp_path / "out").iterdir()] == [archive.name]
    assert archive.read_bytes() == before


def test_a_folder_is_packed_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "site/sub").mkdir(parents=True)
    (tmp_path / "site/sub/page.html").write_text("x")
    assert folder_members(tmp_path / "site") == {"site/sub/page.html": (b"x", 0o644)}
    assert packed(folder_members(tmp_path / "site"), EPOCH) == packed(folder_members(tmp_path / "site"), EPOCH)


@pytest.mark.parametrize("text", [None, "", "now", "-1", "1.5", "\u0661"])
def test_a_wrong_time_names_the_remedy(text: str | None) -> None:
    with pytest.raises(PublishingError, match="git log -1"):
        seconds(text)


def test_a_right_time() -> None:
    assert seconds("1700000000") == EPOCH
