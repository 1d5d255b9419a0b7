# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lock for runs from several control hosts: a file that says who holds it, since when, and until when at most."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


OTHERS = 0o077


@dataclass(frozen=True)
class Holder:
    """The process that controls a run. Its number alone does not do: numbers are used again."""

    user: str
    host: str
    boot_id: str
    pid: int
    # Clock ticks after boot.
    start: int

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid})"


@dataclass(frozen=True)
class Entry:
    holder: Holder
    since: float
    expires: float

    def __str__(self) -> str:
        return f"{self.holder} has held the lock since {clock(self.since)}, at most until {clock(self.expires)}"


class HeldError(GizziError):
    """Somebody else has the lock."""

    def __init__(self, path: Path, entry: Entry) -> None:
        self.entry = entry
        super().__init__(f"{entry} ({path}).")


def clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class LockFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, holder: Holder, dead: Holder | None, lease: float, now: float) -> tuple[Entry | None, Entry]:
        """Take or renew the lock; dead is a holder who is known to have ended. Return who had it before and who has."""
        with self._alone():
            before = self._read()
            if before and before.holder not in (holder, dead) and before.expires > now:
                raise HeldError(self._path, before)
            own = before is not None and before.holder == holder
            entry = Entry(holder, before.since if before and own else now, now + lease)
            self._write(entry)
            return before, entry

    def release(self, holder: Holder) -> bool:
        """Give the lock back; return whether it was ours."""
        with self._alone():
            before = self._read()
            if before is None or before.holder != holder:
                return False
            self._path.unlink()
            return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time reads and writes. The folder itself is what is locked: it stays.

        Nobody else may open it: whoever can, can hold its lock for ever.
        """
        try:
            with suppress(FileExistsError):
                self._path.parent.mkdir(0o700)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise GizziError(f"The folder {self._path.parent} cannot be opened: {error}.") from error
        try:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & OTHERS:
                raise GizziError(
                    f"The folder {self._path.parent} can be opened by others than this user, who could hold the lock "
                    "for ever. Name a file in a folder of this user's with mode 0700; one that is not there is made."
                )
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise GizziError(f"The lock {self._path} cannot be used: {error}.") from error
        finally:
            os.close(folder)

    def _read(self) -> Entry | None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            document = from_json(text)
            return Entry(
                Holder(**{field: document["holder"][field] for field in Holder.__dataclass_fields__}),
                float(document["since"]),
                float(document["expires"]),
            )
        except (ValueError, KeyError, TypeError):
            raise GizziError(
                f"{self._path} is no lock of ours: look at it, and remove it when no update is running."
            ) from None

    def _write(self, entry: Entry) -> None:
        # Complete or not there at all, whenever the host loses its power.
        partial = self._path.with_name(f".{self._path.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(entry), file)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(self._path)
