# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files below folders where others may write: nothing of theirs is followed, waited for, or taken for our own."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_LINKS = 40  # on the way to a folder, as Linux has it
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def settled(folder: Path) -> Path:
    """Make a folder for this user alone where it is missing, and return its path, for root without links.

    Root goes only where nobody else can change the way: each folder on it is root's and not for others to write (one
    with the sticky bit may be passed), and so is the folder itself. Other users choose the way themselves; the folder
    that theirs lies in is for others to write only with the sticky bit.

    Errors: OSError; PermissionError names what others can change.
    """
    if os.geteuid() == 0:
        return _roots(folder)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _open_to(folder.parent.stat(), _OTHERS, passed=True):
        raise PermissionError(f"others can put something else into {folder.parent}: it has no sticky bit")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def open_own_folder(folder: Path) -> int:
    """Return a descriptor of a folder that only this user can write to; it is made if it is missing.

    Errors: OSError; PermissionError where it belongs to another, or others may write to it.
    """
    found = os.open(settled(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(found)
    if status.st_uid == os.geteuid() and not status.st_mode & _OTHERS:
        return found
    os.close(found)
    raise PermissionError(f"{folder} must belong to this user alone")


def open_own_file(name: str, flags: int, folder: int) -> int:
    """Return a descriptor of a regular file that belongs to this user; with O_CREAT it is for this user alone.

    Args: folder: its folder's descriptor. Errors: OSError; neither a link nor a pipe makes it wait.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    found = os.open(name, flags, 0o600, dir_fd=folder)
    status = os.fstat(found)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
        return found
    os.close(found)
    raise PermissionError(f"{name} is not a file of this user")


def _roots(folder: Path) -> Path:
    todo = list(folder.absolute().parts[1:])
    way, links = Path("/"), 0
    while True:
        status = way.stat(follow_symlinks=False)
        if status.st_uid != 0 or _open_to(status, _OTHERS, passed=bool(todo)):
            raise PermissionError(f"others than root can change {way}, so root uses nothing in it")
        if not todo:
            return way
        part = todo.pop(0)
        here = way.parent if part == ".." else way / part
        try:
            status = here.stat(follow_symlinks=False)
        except FileNotFoundError:
            here.mkdir(mode=0o700, exist_ok=True)
        else:
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > MAX_LINKS or status.st_uid != 0:
                    raise PermissionError(errno.ELOOP, "root does not follow this link", str(here))
                target = here.readlink()
                todo[:0] = target.parts[1:] if target.is_absolute() else target.parts
                here = Path("/") if target.is_absolute() else way
        way = here


def _open_to(status: os.stat_result, bits: int, *, passed: bool) -> bool:
    """Tell whether others can put something in the place of what is in a folder; ``passed``: something of our own."""
    return bool(status.st_mode & bits) and not (passed and status.st_mode & stat.S_ISVTX)
