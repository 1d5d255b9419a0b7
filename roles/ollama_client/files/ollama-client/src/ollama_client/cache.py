# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers kept for a while: in memory for a program, in a folder for all commands of a host.

A cache is a help and never a reason to fail: what cannot be read is not there, what cannot be written is not kept.
Ages are counted by a clock that starts with the machine and that nobody sets.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from ollama_client.answer import Answer
from ollama_client.deadline import Deadline
from ollama_client.errors import DeadlineError

log = logging.getLogger(__name__)
LOOK_AGAIN = 0.05  # seconds, while another asks the same
MAX_ANSWERS = 256  # in memory


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
    """Shared by all processes that may write to the folder.

    Args:
        folder: made if it is missing; one that everybody may write to is not used.
        seconds: how long an answer is kept.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds

    @contextmanager
    def slot(self, key: str, deadline: Deadline) -> Iterator[Slot]:
        try:
            lock = self._open_lock(key)
        except OSError as error:
            log.warning("no cache: %s", error)
            yield _Empty()
            return
        try:
            while not _locked(lock):
                if deadline.remaining() <= 0:
                    raise _waited(deadline)
                time.sleep(min(LOOK_AGAIN, max(0.0, deadline.remaining())))
            yield _OnDisk(self._folder / f"{key}.json", self._seconds)
        finally:
            os.close(lock)

    def _open_lock(self, key: str) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_mode & stat.S_IWOTH:
            raise PermissionError(f"everybody may write to {self._folder}")
        self._sweep()
        lock = os.open(self._folder / f"{key}.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        # Who made it lets the group in, whatever the umask; the others cannot, and need not.
        with suppress(PermissionError):
            os.fchmod(lock, 0o640)
        return lock

    def _sweep(self) -> None:
        """Remove what nobody can need any more."""
        # By the clock of the file system, and so with a wide margin; at worst a question is asked twice.
        limit = time.time() - max(10 * self._seconds, 3600)
        with suppress(OSError), os.scandir(self._folder) as found:
            for one in found:
                with suppress(OSError):
                    if one.stat(follow_symlinks=False).st_mtime < limit:
                        Path(one.path).unlink()


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _OnDisk:
    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds

    def read(self) -> Answer | None:
        try:
            entry = json.loads(self._path.read_bytes())
            if entry["boot"] != _boot() or not fresh(entry["written"], self._seconds):
                return None
            return Answer.model_validate(entry["answer"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, ValidationError) as error:
            log.warning("not read from the cache: %s: %s", self._path, type(error).__name__)
            return None

    def write(self, answer: Answer) -> None:
        entry = {"boot": _boot(), "written": now(), "answer": answer.model_dump()}
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(entry, file)
                # Readable for the group that shares the folder.
                Path(name).chmod(0o640)
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            log.warning("not kept in the cache: %s", error)


def _boot() -> str:
    """Tell one start of the machine from another: the clock begins anew."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _waited(deadline: Deadline) -> DeadlineError:
    return DeadlineError("another asks the same and has no answer yet", elapsed=deadline.elapsed())
