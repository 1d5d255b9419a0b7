# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of the control host that keeps the fleet's authority and the gateways' certificates and keys."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import typing as t
from contextlib import ExitStack, contextmanager, suppress

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_file, opened_folder

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_OR_WRITE = 0o077
WRITE = 0o022
LOCK = ".lock"
PARTIAL = ".partial"
# Inventories are often in Git, and the folder stands beside them.
GIT = ".gitignore"
# More than any certificate or key has.
MOST_BYTES = 65536


class Folder:
    """Files of an open folder, each replaced in one moment. In check mode nothing is written."""

    def __init__(self, path: Path, descriptor: int | None, check: bool) -> None:
        self._path = path
        # None: there is no folder yet, and check mode makes none.
        self._descriptor = descriptor
        self._check = check

    def where(self, name: str) -> str:
        """Return a file's path for messages."""
        return str(self._path / name)

    def names(self) -> list[str]:
        """Return the names of the files that are not hidden, sorted."""
        return sorted(name for name in self._all() if not name.startswith("."))

    def read(self, name: str) -> str | None:
        """Return a file's text, None where there is no such file.

        Raise GizziError where it is none of this user's own, where others can read a key or write a certificate, and
        where it is no text.
        """
        if self._descriptor is None:
            return None
        try:
            with opened_file(self._descriptor, name) as file:
                _must_be_private(os.fstat(file), self.where(name), READ_OR_WRITE if name.endswith(".key") else WRITE)
                data = os.read(file, MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = "a link" if error.errno == errno.ELOOP else error.strerror
            raise GizziError(
                f"{self.where(name)} cannot be read ({reason}). It must be a file of this user's own."
            ) from None
        try:
            if len(data) > MOST_BYTES:
                raise ValueError
            return data.decode("ascii")
        except ValueError:
            raise GizziError(f"{self.where(name)} is neither a certificate nor a key in PEM form.") from None

    def write(self, name: str, text: str) -> None:
        """Make or replace a file, with mode 0600. It is whole or as before, also after a loss of power."""
        if self._check or self._descriptor is None:
            return
        partial = f".{name}{PARTIAL}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, 0o600, dir_fd=self._descriptor), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self._check or self._descriptor is None:
            return
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)
            os.fsync(self._descriptor)

    def clean(self) -> None:
        """Remove what a run that was cut off has left. Only for the holder of the lock."""
        for name in self._all():
            if name.startswith(".") and name.endswith(PARTIAL):
                self.remove(name)

    def _all(self) -> list[str]:
        if self._descriptor is None:
            return []
        with os.scandir(self._descriptor) as entries:
            return [entry.name for entry in entries]


@contextmanager
def opened(path: Path, check: bool) -> Iterator[Folder]:
    """Open the folder, alone, and yield it. Outside check mode it is made where it is missing.

    Raise GizziError where it cannot be used, and where others can look into it.
    """
    if not path.is_absolute():
        raise GizziError(
            f"The authority's folder is {str(path)!r}. Write the whole path, such as {{{{ inventory_dir }}}}.authority"
        )
    try:
        if path.is_symlink():
            raise GizziError(f"The folder {path} is a link. Write the path of the folder itself.")
        if check and not path.exists():
            yield Folder(path, None, check)
            return
        path.mkdir(0o700, parents=True, exist_ok=True)
        with ExitStack() as stack:
            descriptor = stack.enter_context(opened_folder(path))
            _must_be_private(os.fstat(descriptor), str(path), READ_OR_WRITE)
            stack.enter_context(_alone(descriptor, check))
            folder = Folder(path, descriptor, check)
            folder.clean()
            if folder.read(GIT) is None:
                folder.write(GIT, "*\n")
            yield folder
    except OSError as error:
        raise GizziError(f"The folder {path} cannot be used: {error}.") from error


@contextmanager
def _alone(folder: int, check: bool) -> Iterator[None]:
    """Let one run at a time into the folder. The file stays, so that two runs never lock two files."""
    flags = os.O_RDONLY if check else os.O_RDWR | os.O_CREAT
    try:
        lock = os.open(LOCK, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except FileNotFoundError:
        # Only in check mode: no run has ever been here.
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if check else fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _must_be_private(status: os.stat_result, where: str, others: int) -> None:
    """Raise GizziError where a file or folder is another user's, or where others may do with it what they must not."""
    if status.st_uid != os.geteuid():
        raise GizziError(
            f"{where} belongs to the user with number {status.st_uid}, and this run to {os.geteuid()}. Run it as that "
            f"user, or give it to this one: chown {os.geteuid()} {where}"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & others:
        raise GizziError(
            f"{where} can be read or written by others (mode {mode:04o}). Make it this user's alone: "
            f"chmod go= {where}. Where somebody may have read a key, replace the authority."
        )
