# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _store_parts
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._store_parts import write_part
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import put_blob

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_store_parts, "PART", 1000)
    (tmp_path / "tmp").mkdir(0o700)
    return put_blob(tmp_path, CONTENT)


def test_parts_are_the_blob(tmp_path: Path, digest: str) -> None:
    place = tmp_path / "tmp/part"
    parts = []
    while write_part(tmp_path, digest, sum(map(len, parts)), place):
        parts.append(place.read_bytes())
    assert [len(part) for part in parts] == [1000, 1000, 560]
    assert b"".join(parts) == CONTENT
    assert place.read_bytes() == b""


def test_a_part_is_for_the_user_of_the_connection_alone(
    tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(_store_parts.os, "fchown", lambda file, user, group: given.append((user, group)))
    write_part(tmp_path, digest, 0, tmp_path / "tmp/part")
    folder = (tmp_path / "tmp").stat()
    assert given == [(folder.st_uid, folder.st_gid)]
    assert (tmp_path / "tmp/part").stat().st_mode & 0o777 == 0o600


def test_a_part_is_not_written_through_a_link(tmp_path: Path, digest: str) -> None:
    (tmp_path / "elsewhere").write_bytes(b"of somebody else")
    (tmp_path / "tmp/part").symlink_to(tmp_path / "elsewhere")
    write_part(tmp_path, digest, 0, tmp_path / "tmp/part")
    assert (tmp_path / "elsewhere").read_bytes() == b"of somebody else"
    assert (tmp_path / "tmp/part").read_bytes() == CONTENT[:1000]


def test_a_blob_that_cannot_be_read(tmp_path: Path, digest: str) -> None:
    blob = tmp_path / "blobs" / digest.replace(":", "-")
    blob.unlink()
    with pytest.raises(GizziError, match="cannot be read: No such file"):
        write_part(tmp_path, digest, 0, tmp_path / "tmp/part")
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GizziError, match="cannot be read"):
        write_part(tmp_path, digest, 0, tmp_path / "tmp/part")
