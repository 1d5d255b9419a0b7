# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read and change files as root in folders that other users can write: by descriptors, without following links."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import (
    is_ours_alone,
    opened_folder,
    read_file,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

# Maximum size of an existing file in bytes; the collection's own files are much smaller.
LARGEST = 16_000_000
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Seen:
    """The state of a path."""

    kind: str = "absent"
    mode: int = 0
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""


ABSENT = Seen()


@contextmanager
def parent(path: str) -> Iterator[tuple[int, str]]:
    """Open the parent folder of a path; yield its descriptor and the name in it. Raise OSError for a failure."""
    whole = Path(path)
    with opened_folder(whole.parent) as folder:
        yield folder, whole.name


def look(path: str, folder_wanted: bool = False) -> Seen:
    """Return the state of a path. Where a folder is wanted, a link to one counts too, if only root can make it."""
    try:
        with parent(path) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                if folder_wanted and is_ours_alone(folder) and Path(path).is_dir():
                    return _look_at_folder(path)
                return Seen("link", 0o777, status.st_uid, status.st_gid, target=os.readlink(name, dir_fd=folder))
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                return Seen("folder", mode, status.st_uid, status.st_gid)
            if not stat.S_ISREG(status.st_mode):
                return Seen("other", mode, status.st_uid, status.st_gid)
            content = read_file(folder, name, LARGEST)
            return Seen("file", mode, status.st_uid, status.st_gid, content)
    except FileNotFoundError:
        return ABSENT


def _look_at_folder(path: str) -> Seen:
    with opened_folder(Path(path)) as folder:
        status = os.fstat(folder)
        return Seen("folder", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def put_file(path: str, content: bytes, uid: int, gid: int, mode: int) -> None:
    """Replace a file with a rename: no reader gets half of it, and its owner and mode are right from the start."""
    with parent(path) as (folder, name):
        new = temporary(name)
        _forget(folder, new)
        file = os.open(new, _NEW, 0o600, dir_fd=folder)
        try:
            with os.fdopen(file, "wb", closefd=False) as stream:
                stream.write(content)
            os.fchown(file, uid, gid)
            os.fchmod(file, mode)
            os.fsync(file)
            os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _forget(folder, new)
            raise
        finally:
            os.close(file)
        os.fsync(folder)


def put_link(path: str, target: str) -> None:
    """Replace a link with a rename."""
    with parent(path) as (folder, name):
        new = temporary(name)
        _forget(folder, new)
        os.symlink(target, new, dir_fd=folder)
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def put_folder(path: str, uid: int, gid: int, mode: int) -> None:
    """Make a folder with this owner and mode, and its parents. An existing folder keeps its content."""
    for above in reversed(Path(path).parents[:-1]):
        if not os.path.lexists(above):
            with parent(str(above)) as (folder, name):
                os.mkdir(name, 0o755, dir_fd=folder)
    with parent(path) as (folder, name), suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
    with opened_folder(Path(path)) as folder:
        os.fchown(folder, uid, gid)
        os.fchmod(folder, mode)


def remove(path: str) -> bool:
    """Remove a file, a link or an empty folder, and its temporary file; return whether the path is gone."""
    with suppress(FileNotFoundError), parent(path) as (folder, name):
        _forget(folder, temporary(name))
        try:
            if _is_folder(folder, name):
                os.rmdir(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
    return True


def remove_tree(path: str, kept: Collection[str] = ()) -> bool:
    """Remove a folder with its content, except the kept paths and their folders; return whether it is gone."""
    with suppress(FileNotFoundError), parent(path) as (folder, name):
        return _remove_tree(folder, name, path, kept)
    return True


def _remove_tree(folder: int, name: str, path: str, kept: Collection[str]) -> bool:
    if path in kept:
        return False
    if not _is_folder(folder, name):
        os.unlink(name, dir_fd=folder)
        return True
    with _entered(folder, name) as inner:
        gone = [_remove_tree(inner, one, f"{path}/{one}", kept) for one in _names(inner)]
    if all(gone):
        os.rmdir(name, dir_fd=folder)
    return all(gone)


def holds_only(path: str, kept: Collection[str]) -> bool:
    """Return whether a folder has only the kept paths and their folders."""
    if not any(one.startswith(f"{path}/") for one in kept):
        return False
    with opened_folder(Path(path)) as folder:
        names = _names(folder)
        inner = [(f"{path}/{name}", _is_folder(folder, name)) for name in names]
    return bool(inner) and all(one in kept or (leads and holds_only(one, kept)) for one, leads in inner)


def children(path: str) -> list[str]:
    """Return the paths of a folder's content."""
    with opened_folder(Path(path)) as folder:
        return [f"{path}/{name}" for name in _names(folder)]


def matching(path: str, patterns: Sequence[str], folders: bool = False) -> list[str]:
    """Return the paths in a folder whose names match one of the patterns: only folders, or everything else."""
    try:
        with opened_folder(Path(path)) as folder:
            found = [name for name in _names(folder) if any(fnmatchcase(name, one) for one in patterns)]
            return [f"{path}/{name}" for name in found if _is_folder(folder, name) is folders]
    except FileNotFoundError:
        return []


def folders_in(path: str) -> list[str]:
    """Return the names of the folders in a folder, without links."""
    with opened_folder(Path(path)) as folder:
        return [name for name in _names(folder) if _is_folder(folder, name)]


def own_tree(path: str, uid: int, gid: int) -> None:
    """Change the owner of everything in a folder, and finally of the folder; of a link, not of its target.

    A file with a second hard link may be a system file: it is refused with its path, unless it is the folder's owner's,
    as a model of an earlier store is, or has the new owner already.
    """
    with opened_folder(Path(path)) as folder:
        _own_all(folder, path, uid, gid, os.fstat(folder).st_uid)
        os.fchown(folder, uid, gid)


def _own_all(folder: int, path: str, uid: int, gid: int, was: int) -> None:
    for name in _names(folder):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            with _entered(folder, name) as inner:
                _own_all(inner, f"{path}/{name}", uid, gid, was)
                os.fchown(inner, uid, gid)
        elif (status.st_uid, status.st_gid) != (uid, gid):
            if status.st_nlink > 1 and status.st_uid not in (uid, was):
                raise OSError(
                    errno.EPERM, "a file with a second name elsewhere: its owner is unknown", f"{path}/{name}"
                )
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)


@contextmanager
def _entered(folder: int, name: str) -> Iterator[int]:
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield inner
    finally:
        os.close(inner)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as inside:
        return sorted(one.name for one in inside)


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def temporary(name: str) -> str:
    """Return the name of the temporary file, in the same folder, for a file's new content."""
    return f".{name}.gizzi-new"


def _forget(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
