# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.plugin_utils import _bundle
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import put_model, weights

if TYPE_CHECKING:
    from pathlib import Path

HEADER = {"token_bytes": 23_040, "context": 8192}
LICENCE = b"licence"


class StoreBlobs:
    """A host whose parts have 1000 bytes."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.calls: list[tuple[str, int]] = []

    def read(self, digest: str, start: int, target: _bundle.Target) -> int:
        self.calls.append((digest, start))
        data = (self.store / "blobs" / digest.replace(":", "-")).read_bytes()[start : start + 1000]
        target.write(data)
        return len(data)


@pytest.fixture
def blobs(tmp_path: Path) -> StoreBlobs:
    return StoreBlobs(tmp_path / "store")


@pytest.fixture
def models(blobs: StoreBlobs) -> _bundle.Entries:
    mistral = put_model(blobs.store, "mistral/latest", b"config", weights("mistral"), LICENCE)
    phi3 = put_model(blobs.store, "phi3/mini", b"", weights("phi3"), LICENCE)
    return {
        "mistral:latest": _bundle.entry(mistral.decode(), HEADER, ""),
        "phi3:mini": _bundle.entry(phi3.decode(), None, "no header"),
    }


def test_what_was_written_is_read(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    path = tmp_path / "models.tar"
    written = _bundle.write(path, models, blobs, check=False)
    assert written == _bundle.Written(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, True)
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["models.tar"]
    bundle = _bundle.Bundle(path)
    assert bundle.models == models
    assert bundle.is_good()
    # The config, the weights, and the licence that both have.
    assert len(bundle.sizes) == 5
    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert names[0] == "index.json"
        assert names[1:] == sorted(f"blobs/{digest.replace(':', '-')}" for digest in bundle.sizes)
    target = io.BytesIO()
    digest = models["mistral:latest"]["layers"][1]
    bundle.copy(digest, 10, 5, target)
    assert target.getvalue() == weights("mistral")[10:15]


def test_the_same_models_make_the_same_file(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    first = _bundle.write(tmp_path / "a.tar", models, blobs, check=False)
    other = _bundle.write(tmp_path / "b.tar", dict(reversed(models.items())), blobs, check=False)
    assert first == other


def test_a_file_that_is_there_and_good_stays(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    path = tmp_path / "models.tar"
    first = _bundle.write(path, models, blobs, check=False)
    blobs.calls.clear()
    inode = path.stat().st_ino
    again = _bundle.write(path, models, blobs, check=False)
    assert (again.sha256, again.changed, blobs.calls) == (first.sha256, False, [])
    assert path.stat().st_ino == inode
    # One byte of a blob.
    data = bytearray(path.read_bytes())
    data[data.index(LICENCE)] ^= 1
    path.write_bytes(data)
    assert _bundle.write(path, models, blobs, check=True).changed
    mended = _bundle.write(path, models, blobs, check=False)
    assert mended == first


def test_a_damaged_blob_leaves_no_file(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    path = tmp_path / "models.tar"
    blob = blobs.store / "blobs" / models["mistral:latest"]["layers"][1].replace(":", "-")
    good = blob.read_bytes()
    for bad in (good[:-1] + b"?", good[:-1], good + b"?", b""):
        blob.write_bytes(bad)
        with pytest.raises(GizziError, match="of the host is damaged"):
            _bundle.write(path, models, blobs, check=False)
        assert [entry.name for entry in tmp_path.iterdir()] == ["store"]


def test_a_run_that_fails_leaves_the_file_before_it(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    path = tmp_path / "models.tar"
    few = {"phi3:mini": models["phi3:mini"]}
    _bundle.write(path, few, blobs, check=False)
    before = path.read_bytes()
    (blobs.store / "blobs" / models["mistral:latest"]["layers"][1].replace(":", "-")).write_bytes(b"?")
    with pytest.raises(GizziError):
        _bundle.write(path, models, blobs, check=False)
    assert path.read_bytes() == before


def test_what_a_killed_run_has_left_is_overwritten(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    (tmp_path / ".models.tar.partial").write_bytes(b"?" * 100_000)
    written = _bundle.write(tmp_path / "models.tar", models, blobs, check=False)
    assert written.size < 100_000
    assert _bundle.Bundle(tmp_path / "models.tar").is_good()
    assert not (tmp_path / ".models.tar.partial").exists()


def test_one_run_at_a_time(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    other = os.open(tmp_path / ".models.tar.partial", os.O_WRONLY | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(GizziError, match="Another run is writing"):
        _bundle.write(tmp_path / "models.tar", models, blobs, check=False)
    assert (tmp_path / ".models.tar.partial").exists()
    os.close(other)


def test_check_mode_reads_and_writes_nothing(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    written = _bundle.write(tmp_path / "models.tar", models, blobs, check=True)
    assert (written.sha256, written.changed, blobs.calls) == (None, True, [])
    assert [entry.name for entry in tmp_path.iterdir()] == ["store"]


def test_another_file_is_not_replaced(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    path = tmp_path / "models.tar"
    path.write_text("something else")
    with pytest.raises(GizziError, match=r"is no bundle.*Remove it, or name another file"):
        _bundle.write(path, models, blobs, check=False)
    assert path.read_text() == "something else"
    with pytest.raises(GizziError, match="cannot be read"):
        _bundle.write(tmp_path, models, blobs, check=False)
    with pytest.raises(GizziError, match="cannot be written: No such file"):
        _bundle.write(tmp_path / "nowhere/models.tar", models, blobs, check=False)


def test_no_disk(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        f_bavail, f_frsize = 1, 512

    monkeypatch.setattr(_bundle.os, "statvfs", lambda path: Full)
    with pytest.raises(GizziError, match="has not enough disk for the bundle, which takes"):
        _bundle.write(tmp_path / "models.tar", models, blobs, check=True)


def test_a_blob_of_more_than_8_gib_has_a_place(tmp_path: Path) -> None:
    member = tarfile.TarInfo("blobs/x")
    member.size = 40 * 1024**3
    # More than the 11 octal digits of an older tar: this must not raise.
    assert len(member.tobuf(tarfile.GNU_FORMAT)) == tarfile.BLOCKSIZE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda index: {**index, "format": 2}, "is not of format 1"),
        (lambda index: {"format": 1}, "has no models"),
        (lambda index: [index], "is not of format 1"),
        (lambda index: {"format": 1, "models": {"a b": index["models"]["phi3:mini"]}}, "is wrong about a b"),
        (lambda index: {"format": 1, "models": {"Phi3": index["models"]["phi3:mini"]}}, "is wrong about Phi3"),
        (lambda index: {"format": 1, "models": {"phi3:mini": {}}}, "is wrong about phi3:mini"),
        (lambda index: {"format": 1, "models": {"phi3:mini": []}}, "is wrong about phi3:mini"),
        (
            lambda index: {"format": 1, "models": {"phi3:mini": {**index["models"]["phi3:mini"], "header": {"a": 1}}}},
            "is wrong about phi3:mini",
        ),
        (
            lambda index: {"format": 1, "models": {"phi3:mini": {**index["models"]["phi3:mini"], "digest": "0" * 64}}},
            "is wrong about phi3:mini",
        ),
        (
            lambda index: {"format": 1, "models": {"phi3:mini": {**index["models"]["phi3:mini"], "manifest": "{}"}}},
            "is wrong about phi3:mini",
        ),
    ],
)
def test_an_index_that_is_wrong(
    tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs, change: object, reason: str
) -> None:
    path = tmp_path / "models.tar"
    _bundle.write(path, models, blobs, check=False)
    with tarfile.open(path) as tar:
        index = json.loads(_bundle.Bundle(path).index)
        blob = tar.extractfile(tar.getmembers()[1])
        assert blob
    data = json.dumps(change(index)).encode()  # type: ignore[operator]
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("index.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    with pytest.raises(GizziError, match=reason):
        _bundle.Bundle(path)


def test_a_file_that_is_cut_off(tmp_path: Path, models: _bundle.Entries, blobs: StoreBlobs) -> None:
    path = tmp_path / "models.tar"
    written = _bundle.write(path, models, blobs, check=False)
    data = path.read_bytes()
    for length in (0, 100, 5000, written.size // 2, written.size - 10_000):
        path.write_bytes(data[:length])
        with pytest.raises(GizziError, match=r"is no bundle|is not whole|is missing"):
            _bundle.Bundle(path)
    path.unlink()
    with pytest.raises(GizziError, match="cannot be read: No such file"):
        _bundle.Bundle(path)
    with pytest.raises(GizziError, match="cannot be read: No such file"):
        _bundle.sha256_of(path)
