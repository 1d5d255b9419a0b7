# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files in folders that somebody else can write: read as root, without following a link of theirs."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# As many as the kernel follows.
MAX_LINKS = 40
REFUSED = "a link, and not followed: others can write the folder that holds it, or it leads round in a circle"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Open a folder and yield its descriptor; raise OSError where it cannot be.

    A link on the way is followed only where the folder that holds it is root's, or our own, and nobody else's to write.
    """
    folder = _open_folder(path)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def opened_file(folder: int, name: str) -> Iterator[int]:
    """Open a regular file of a folder for reading and yield its descriptor; raise OSError where it is none."""
    file = os.open(name, _FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        yield file
    finally:
        os.close(file)


def read_file(folder: int, name: str, limit: int) -> bytes:
    """Return the content of a regular file of at most limit bytes; raise OSError where it cannot be had."""
    with opened_file(folder, name) as file, os.fdopen(os.dup(file), "rb") as content:
        data = content.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", name)
    return data


def is_ours_alone(folder: int) -> bool:
    """Return whether nobody but root and the user of this process can put something into a folder."""
    status = os.fstat(folder)
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _open_folder(path: Path) -> int:
    todo = list(path.absolute().parts[1:])
    walked = Path("/")
    folder = os.open("/", _FOLDER)
    links = 0
    try:
        while todo:
            part = todo.pop(0)
            if _is_link(folder, part):
                links += 1
                if links > MAX_LINKS or not is_ours_alone(folder):
                    raise OSError(errno.ELOOP, REFUSED, str(walked / part))
                target = os.readlink(part, dir_fd=folder)
                todo[:0] = [step for step in target.split("/") if step]
                if target.startswith("/"):
                    folder, walked = _instead(folder, os.open("/", _FOLDER)), Path("/")
                continue
            folder, walked = _instead(folder, os.open(part, _FOLDER, dir_fd=folder)), walked / part
    except BaseException:
        os.close(folder)
        raise
    return folder


def _is_link(folder: int, name: str) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _instead(old: int, new: int) -> int:
    os.close(old)
    return new
