# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers kept for a while: in memory for a program, in a folder for all commands of a user.

A cache is a help and never a reason to fail: what cannot be read is not there, what cannot be written is not kept.
Ages are counted by a clock that starts with the machine and that nobody sets.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from ollama_client.answer import Answer
from ollama_client.deadline import Deadline
from ollama_client.errors import DeadlineError
from ollama_client.folders import open_own_file, open_own_folder

log = logging.getLogger(__name__)
LOOK_AGAIN = 0.05  # seconds, while another asks the same
MAX_ANSWERS = 256  # in memory
MAX_BYTES = 8_000_000  # of an entry on disk


class Slot(Protocol):
    """The place of one question."""

    def read(self) -> Answer | None:
        """Return the answer, if there is one that is young enough."""

    def write(self, answer: Answer) -> None:
        """Keep it."""


class Cache(Protocol):
    def slot(self, key: str, deadline: Deadline) -> AbstractContextManager[Slot]:
        """Hold the place of one question, alone, so that it is asked once. Errors: DeadlineError."""


class NoCache:
    """Keeps nothing."""

    def slot(self, key: str, deadline: Deadline) -> AbstractContextManager[Slot]:
        return _nothing()


class _Empty:
    def read(self) -> Answer | None:
        return None

    def write(self, answer: Answer) -> None:
        pass


@contextmanager
def _nothing() -> Iterator[Slot]:
    yield _Empty()


def now() -> float:
    """Seconds since the machine started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def fresh(written: float, seconds: float) -> bool:
    """Tell whether an entry is young enough; one from the future is not."""
    return 0 <= now() - written <= seconds


class MemoryCache:
    """Args: seconds: how long an answer is kept."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[str, tuple[float, Answer]] = {}
        self._held: dict[str, tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, key: str, deadline: Deadline) -> Iterator[Slot]:
        with self._lock:
            held, users = self._held.get(key, (threading.Lock(), 0))
            self._held[key] = held, users + 1
        try:
            if not held.acquire(timeout=max(0.0, deadline.remaining())):
                raise _waited(deadline)
            try:
                yield _InMemory(self, key)
            finally:
                held.release()
        finally:
            with self._lock:
                held, users = self._held.pop(key)
                if users > 1:
                    self._held[key] = held, users - 1

    def read(self, key: str) -> Answer | None:
        with self._lock:
            written, answer = self._kept.get(key, (float("inf"), None))
        return answer if fresh(written, self._seconds) else None

    def write(self, key: str, answer: Answer) -> None:
        with self._lock:
            self._kept[key] = now(), answer
            self._kept = {one: kept for one, kept in self._kept.items() if fresh(kept[0], self._seconds)}
            while len(self._kept) > MAX_ANSWERS:
                del self._kept[next(iter(self._kept))]


class _InMemory:
    def __init__(self, cache: MemoryCache, key: str) -> None:
        self._cache = cache
        self._key = key

    def read(self) -> Answer | None:
        return self._cache.read(self._key)

    def write(self, answer: Answer) -> None:
        self._cache.write(self._key, answer)


class DiskCache:
    """Shared by all processes of one user, and by no others.

    An answer counts only for who could have written it: each user, root included, has a folder of their own in the one
    that is named, and reads nothing else. Members of one group do not believe each other either, for whoever writes an
    entry says in a model's name that all is healthy, and whoever holds a lock lets others wait.

    Args:
        folder: made if it is missing, with a folder of the user's number in it.
        seconds: how long an answer is kept.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder / str(os.geteuid())
        self._seconds = seconds

    @contextmanager
    def slot(self, key: str, deadline: Deadline) -> Iterator[Slot]:
        with ExitStack() as opened:
            try:
                folder = open_own_folder(self._folder)
                opened.callback(os.close, folder)
                _sweep(folder, max(10 * self._seconds, 3600))
                lock = open_own_file(f"{key}.lock", os.O_RDONLY | os.O_CREAT, folder)
                opened.callback(os.close, lock)
            except OSError as error:
                log.warning("the cache is not used: %s", error)
                yield _Empty()
                return
            while not _locked(lock):
                if deadline.remaining() <= 0:
                    raise _waited(deadline)
                time.sleep(min(LOOK_AGAIN, max(0.0, deadline.remaining())))
            yield _OnDisk(folder, key, self._seconds)


def _sweep(folder: int, seconds: float) -> None:
    """Remove what nobody can need any more."""
    # By the clock of the file system, and so with a wide margin; at worst a question is asked twice.
    limit = time.time() - seconds
    with suppress(OSError), os.scandir(folder) as found:
        for one in found:
            with suppress(OSError):
                if one.stat(follow_symlinks=False).st_mtime < limit:
                    os.unlink(one.name, dir_fd=folder)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _OnDisk:
    def __init__(self, folder: int, key: str, seconds: float) -> None:
        self._folder = folder
        self._key = key
        self._seconds = seconds

    def read(self) -> Answer | None:
        try:
            with os.fdopen(open_own_file(f"{self._key}.json", os.O_RDONLY, self._folder), "rb") as file:
                content = file.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            entry = json.loads(content)
            if entry["boot"] != _boot() or not fresh(entry["written"], self._seconds):
                return None
            return Answer.model_validate(entry["answer"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
            log.warning("not read from the cache: %s.json: %s", self._key, type(error).__name__)
            return None

    def write(self, answer: Answer) -> None:
        entry = {"boot": _boot(), "written": now(), "answer": answer.model_dump()}
        # One at a time writes, so this name is free, or was left by a process that was ended.
        draft = f"{self._key}.new"
        try:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=self._folder)
            new = open_own_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._folder)
            with os.fdopen(new, "w", encoding="utf-8") as file:
                json.dump(entry, file)
            os.replace(draft, f"{self._key}.json", src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError as error:
            log.warning("not kept in the cache: %s", error)
            with suppress(OSError):
                os.unlink(draft, dir_fd=self._folder)


def _boot() -> str:
    """Return the id of this start of the machine: the clock is at 0 again after each."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _waited(deadline: Deadline) -> DeadlineError:
    return DeadlineError("another caller asks the same question and has no answer yet", elapsed=deadline.elapsed())
