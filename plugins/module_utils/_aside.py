# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of an earlier installation, kept beside their place under a second name before a role replaces them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _disk
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import opened_folder, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# systemd reads no file with this end.
SUFFIX = ".before-gizzi"
_MOST = 100
# Bytes up to which contents are compared.
_SMALL = 1_000_000


def keep_aside(path: str, program: bool, check: bool) -> str:
    """Give what is at a path a second name beside it, and return that name; "" where there is nothing to do.

    The path itself stays: whoever uses it meanwhile goes on doing so. Of a program it becomes a link to the second
    name, in one moment. What has its second name already keeps it; another one gets a number behind it. With check,
    nothing is written. Raise GizziError where the file cannot be kept.
    """
    whole = Path(path)
    try:
        with opened_folder(whole.parent) as folder:
            there = os.stat(whole.name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):
                raise GizziError(f"{path} is a folder, and a file of an earlier installation was to be there.")
            if program and stat.S_ISLNK(there.st_mode) and _leads_aside(os.readlink(whole.name, dir_fd=folder), whole):
                return ""
            name, new = _second_name(folder, whole.name, there)
            if new and not check:
                os.link(whole.name, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            if program and not check:
                _disk.put_link(path, name)
            if not check:
                os.fsync(folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise GizziError(f"{path} cannot be kept beside its place: {error.strerror}. Run this as root.") from error
    return f"{whole.parent}/{name}" if new or program else ""


def asides(paths: Iterable[str]) -> list[str]:
    """Return the second names that files of these paths have on this host."""
    return [name for path in paths for name in _names(path) if os.path.lexists(name)]


def _leads_aside(target: str, path: Path) -> bool:
    return target in map(os.path.basename, _names(str(path)))


def _second_name(folder: int, name: str, there: os.stat_result) -> tuple[str, bool]:
    """Return the second name, and whether it is still to be made."""
    for candidate in _names(name):
        try:
            other = os.stat(candidate, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return candidate, True
        if os.path.samestat(other, there) or _is_copy(folder, candidate, other, name, there):
            return candidate, False
    raise GizziError(f"{name} has been kept {_MOST} times beside its place. Remove the files {name}{SUFFIX}*.")


def _is_copy(folder: int, one: str, status: os.stat_result, other: str, of_other: os.stat_result) -> bool:
    """Whether two small files have the same content: a change that was taken back has written the file anew."""
    if not (stat.S_ISREG(status.st_mode) and stat.S_ISREG(of_other.st_mode)) or status.st_size != of_other.st_size:
        return False
    if status.st_size > _SMALL:
        return False
    return read_file(folder, one, _SMALL) == read_file(folder, other, _SMALL)


def _names(name: str) -> Iterator[str]:
    yield f"{name}{SUFFIX}"
    yield from (f"{name}{SUFFIX}-{number}" for number in range(2, _MOST + 1))
