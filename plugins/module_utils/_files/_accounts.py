# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The users and groups of a host: those that a list creates with sysusers.d, and the numbers of owners."""

from __future__ import annotations

import grp
import pwd
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Runs a command; returns its exit code, output and errors.
Run = Callable[[list[str]], tuple[int, str, str]]


@dataclass
class Declared:
    """The declarations in files of sysusers.d: see sysusers.d(5)."""

    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)


def declared_by(texts: Iterable[str]) -> Declared:
    """Return the declarations of these files. A group has only the members that its file names."""
    found = Declared()
    for line in (line for text in texts for line in text.splitlines()):
        words = shlex.split(line, comments=True)
        kind, names = words[0][:1] if words else "", words[1:3]
        if kind == "u" and names:
            found.users.append(names[0])
        if kind in ("u", "g") and names:
            found.groups.append(names[0])
            found.members.setdefault(names[0], set())
        if kind == "m" and len(names) > 1:
            found.members.setdefault(names[1], set()).add(names[0])
    return found


def uid_of(name: str) -> int | None:
    """Return a user's number, None where there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> int | None:
    """Return a group's number, None where there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def other_members(declared: Declared) -> dict[str, set[str]]:
    """Return the wanted members of each group that is missing or has other members."""
    return {name: declared.members[name] for name in declared.groups if _members(name) != declared.members[name]}


def is_missing(declared: Declared) -> bool:
    """Return whether one of these users or groups does not exist."""
    return any(uid_of(name) is None for name in declared.users) or any(gid_of(name) is None for name in declared.groups)


def create(paths: Iterable[str], declared: Declared, run: Run) -> None:
    """Create the users and groups of these sysusers.d files, with their members; raise GizziError for a failure."""
    _must(run, ["systemd-sysusers", *paths])
    for name, members in sorted(other_members(declared).items()):
        _must(run, ["gpasswd", "--members", ",".join(sorted(members)), name])


def drop(declared: Declared, run: Run) -> bool:
    """Remove these users and groups; return whether one existed. Raise GizziError where a user still has a process."""
    there = [name for name in declared.users if uid_of(name) is not None]
    for name in there:
        _must(run, ["userdel", name])
    # userdel also removes the user's own group where login.defs says so.
    groups = [name for name in declared.groups if gid_of(name) is not None]
    for name in groups:
        _must(run, ["groupdel", name])
    return bool(there or groups)


def _members(name: str) -> set[str] | None:
    try:
        return set(grp.getgrnam(name).gr_mem)
    except KeyError:
        return None


def _must(run: Run, command: list[str]) -> None:
    code, output, errors = run(command)
    if code != 0:
        raise GizziError(f"{' '.join(command)}: {(errors or output).strip() or f'exit code {code}'}")
