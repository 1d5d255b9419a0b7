"""The caches: young answers only, by a clock that nobody sets, whole, and for one user."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from ollama_client import Answer, errors
from ollama_client import cache as caches
from ollama_client.cache import MAX_ANSWERS, MAX_BYTES, Cache, DiskCache, MemoryCache
from ollama_client.deadline import Deadline

ANSWER = Answer(text="yes", model="m", endpoint="e", seconds=1.0, tokens_in=1, tokens_out=1, complete=True)


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Cache:
    return MemoryCache(45) if request.param == "memory" else DiskCache(tmp_path / "answers", 45)


def own(folder: Path) -> Path:
    """Return this user's part of a cache's folder."""
    return folder / str(os.geteuid())


def write(cache: Cache, key: str = "key") -> None:
    with cache.slot(key, Deadline(1)) as slot:
        slot.write(ANSWER)


def read(cache: Cache, key: str = "key") -> Answer | None:
    with cache.slot(key, Deadline(1)) as slot:
        return slot.read()


def test_what_was_written_is_read(cache: Cache) -> None:
    assert read(cache) is None
    write(cache)
    assert read(cache) == ANSWER
    assert read(cache, "other") is None


@pytest.mark.parametrize(("passed", "kept"), [(44, True), (46, False), (-10, False), (10_000, False)])
def test_an_age_has_two_limits(cache: Cache, monkeypatch: pytest.MonkeyPatch, passed: float, kept: bool) -> None:
    write(cache)
    start = time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr("ollama_client.cache.now", lambda: start + passed)
    assert (read(cache) is not None) == kept


def test_the_clock_of_the_wall_has_no_say(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    write(cache)
    start = time.time()
    for jump in (-86_400.0, 1000.0):
        monkeypatch.setattr("ollama_client.cache.time.time", lambda jump=jump: start + jump)
        assert read(cache) == ANSWER


def test_one_at_a_time_and_no_longer_than_allowed(cache: Cache) -> None:
    started, over = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.slot("key", Deadline(5)):
            started.set()
            over.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        started.wait(5)
        begun = time.monotonic()
        with pytest.raises(errors.DeadlineError), cache.slot("key", Deadline(0.2)):
            pass
        assert 0.2 <= time.monotonic() - begun < 1
        write(cache, "another question is free")
    finally:
        over.set()
        holder.join()
    assert read(cache) is None


def test_a_failure_leaves_nothing_behind(cache: Cache) -> None:
    with pytest.raises(RuntimeError), cache.slot("key", Deadline(1)):
        raise RuntimeError
    assert read(cache) is None


def test_memory_has_an_end() -> None:
    cache = MemoryCache(45)
    for number in range(MAX_ANSWERS + 10):
        write(cache, str(number))
    assert read(cache, "9") is None
    assert read(cache, "10") == ANSWER


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HEALTHY",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"boot": "other", "written": 1, "answer": {}}',
        b'{"written": "soon"}',
        b"[" * 200_000,
        b'{"boot": "' + b"x" * MAX_BYTES + b'"}',
    ],
)
def test_a_spoilt_file_is_no_answer_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    cache = DiskCache(tmp_path, 45)
    own(tmp_path).mkdir()
    (own(tmp_path) / "key.json").write_bytes(content)
    assert read(cache) is None
    write(cache)
    assert read(cache) == ANSWER


@pytest.mark.parametrize(
    "change", [{"boot": "another start"}, {"written": 1e12}, {"written": -1e12}, {"answer": {"text": ""}}]
)
def test_an_entry_of_another_start_or_time_or_form_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    cache = DiskCache(tmp_path, 45)
    write(cache)
    path = own(tmp_path) / "key.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read(cache) is None


def test_a_file_is_replaced_whole_and_for_its_user(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 45)
    before = os.umask(0)
    try:
        write(cache)
    finally:
        os.umask(before)
    folder = own(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}
    before = (folder / "key.json").stat().st_ino
    (folder / "key.new").write_text("left by one that was ended")
    write(cache)
    assert (folder / "key.json").stat().st_ino != before
    assert sorted(one.name for one in folder.iterdir()) == ["key.json", "key.lock"]


def test_old_files_are_swept(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 45)
    write(cache, "old")
    for one in own(tmp_path).iterdir():
        os.utime(one, (1, 1))
    write(cache, "new")
    assert sorted(one.name for one in own(tmp_path).iterdir()) == ["new.json", "new.lock"]


def test_an_entry_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache(tmp_path, 45)
    write(cache)
    entry = own(tmp_path) / "key.json"
    monkeypatch.setattr(caches, "MAX_BYTES", entry.stat().st_size)
    assert read(cache) == ANSWER
    monkeypatch.setattr(caches, "MAX_BYTES", entry.stat().st_size - 1)
    assert read(cache) is None
    # Its whole does not come into memory.
    os.truncate(entry, 1 << 42)
    assert read(cache) is None
