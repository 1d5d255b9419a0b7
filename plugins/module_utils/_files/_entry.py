# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checked entries of a role's list of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# systemd reads users from the first, units from the second.
SYSUSERS_FOLDER = "/etc/sysusers.d/"
SYSTEMD_FOLDER = "/etc/systemd/"
_MODES = {"file": "0644", "folder": "0755", "link": "0777"}
_LARGEST_MODE = 0o7777


@dataclass(frozen=True)
class Entry:
    """One file, folder or link as wanted."""

    path: str
    kind: str = "file"
    content: bytes = b""
    target: str = ""
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    validate: tuple[str, ...] = ()
    secret: bool = False
    wanted: bool = True
    keep: bool = False
    tree: bool = False
    trace: bool = False
    releases: bool = False
    initial: bool = False
    # None where the folder has no such patterns at all.
    stale: tuple[str, ...] | None = None

    @property
    def sysusers(self) -> bool:
        """Whether it is a file of sysusers.d, from which systemd creates users."""
        return self.kind == "file" and self.path.startswith(SYSUSERS_FOLDER)


def entries_of(options: Sequence[Mapping[str, Any]], secrets: Mapping[str, str], present: bool) -> list[Entry]:
    """Return the entries of the module's option ``files``; secrets has the content of secret files by path.

    Raises GizziError with all problems. Contents are checked only for state present: a removal needs none.
    """
    problems = [problem for one in options for problem in _problems(one, secrets, present)]
    paths = [one["path"] for one in options]
    problems += [f"{path} is named twice." for path in sorted({path for path in paths if paths.count(path) > 1})]
    if problems:
        raise GizziError(" ".join(problems))
    return [_entry(one, secrets) for one in options]


def _entry(one: Mapping[str, Any], secrets: Mapping[str, str]) -> Entry:
    content = secrets.get(one["path"]) if one["secret"] else one["content"]
    return Entry(
        path=one["path"],
        kind=one["kind"],
        content=(content or "").encode(),
        target=one["target"] or "",
        owner=one["owner"],
        group=one["group"],
        mode=int(one["mode"] or _MODES[one["kind"]], 8),
        validate=tuple(one["validate"] or ()),
        secret=one["secret"],
        wanted=one["when"],
        keep=one["keep"],
        tree=one["tree"],
        trace=one["trace"],
        releases=one["releases"],
        initial=one["initial"],
        stale=None if one["stale"] is None else tuple(one["stale"]),
    )


def _problems(one: Mapping[str, Any], secrets: Mapping[str, str], present: bool) -> list[str]:
    path, kind = one["path"], one["kind"]
    content = secrets.get(path) if one["secret"] else one["content"]
    needed = present and one["when"] and not one["trace"]
    rules = [
        (_is_plain(path), "is no absolute path without . and .. in it"),
        (kind != "file" or not needed or content is not None, "has no content: give template, content or source"),
        (kind != "link" or not needed or one["target"], "is a link without a target"),
        (one["mode"] is None or _is_mode(one["mode"]), f'has the mode "{one["mode"]}": write it in octal, as "0644"'),
        (not one["validate"] or any("%s" in part for part in one["validate"]), "has a validate without %s"),
        (not one["tree"] or kind == "folder", "is a tree, but no folder"),
        (not one["stale"] or kind == "folder", "has stale patterns, but is no folder"),
        (not one["releases"] or kind == "link", "is for releases, but no link"),
        (not one["initial"] or kind == "file", "is initial, but no file"),
    ]
    return [f"{path} {problem}." for holds, problem in rules if not holds]


def check_path(path: str) -> str:
    """Return the path; raise GizziError unless it is absolute and in its simplest form."""
    if not isinstance(path, str) or not _is_plain(path):
        raise GizziError(f"{path} is no absolute path without . and .. in it.")
    return path


def _is_plain(path: str) -> bool:
    return path.startswith("/") and path != "/" and str(PurePosixPath(path)) == path and ".." not in path.split("/")


def _is_mode(text: str) -> bool:
    digits = set(text) <= set("01234567") and text != ""
    return digits and int(text, 8) <= _LARGEST_MODE


def check_name(name: str) -> None:
    """Raise GizziError for a list's name that could be a path."""
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise GizziError(f'The name is "{name}". It has letters, digits, - and _ alone.')
