# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare a host's files with the list and plan the steps. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files._disk import ABSENT, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._files._entry import Entry

    # The number of an owner by name; None for an owner that will be created.
    Number = Callable[[str], "int | None"]


@dataclass(frozen=True)
class Step:
    """One path that changes from ``before`` to ``after``; after is ABSENT for a removal."""

    entry: Entry
    before: Seen
    after: Seen

    @property
    def path(self) -> str:
        return self.entry.path


def plan_present(entries: Sequence[Entry], seen: Mapping[str, Seen], uid: Number, gid: Number) -> list[Step]:
    """Return the steps for the list: first new and changed paths in the list's order, then removals in reverse order.

    uid and gid return the number of a name, None for an owner that will be created. Raises GizziError with all paths
    that prevent this.
    """
    in_the_way = [
        f"{entry.path} is a {seen[entry.path].kind}, and a {entry.kind} is to be there: move it away."
        for entry in entries
        if entry.wanted and not entry.trace and _is_in_the_way(entry, seen[entry.path])
    ]
    if in_the_way:
        raise GizziError(" ".join(in_the_way))
    come = [
        Step(entry, seen[entry.path], wanted_of(entry, uid, gid))
        for entry in entries
        if entry.wanted and not entry.trace
    ]
    go = [Step(entry, seen[entry.path], ABSENT) for entry in reversed(entries) if not entry.wanted and not entry.trace]
    return [step for step in come if not _is_as_wanted(step)] + [step for step in go if step.before != ABSENT]


def wanted_of(entry: Entry, uid: Number, gid: Number) -> Seen:
    """Return the wanted state of an entry's path; -1 is the number of an owner that will be created."""
    if entry.kind == "link":
        return Seen("link", 0o777, target=entry.target)
    owner, group = uid(entry.owner), gid(entry.group)
    return Seen(
        entry.kind,
        entry.mode,
        -1 if owner is None else owner,
        -1 if group is None else group,
        entry.content if entry.kind == "file" else b"",
    )


def _is_in_the_way(entry: Entry, there: Seen) -> bool:
    allowed = {"file": ("absent", "file", "link"), "folder": ("absent", "folder"), "link": ("absent", "link")}
    return there.kind not in allowed[entry.kind]


def _is_as_wanted(step: Step) -> bool:
    if step.entry.initial and step.before.kind == "file":
        return True
    if step.entry.kind == "link":
        return (step.before.kind, step.before.target) == ("link", step.after.target)
    return step.before == step.after


def diff_of(step: Step, owner: Callable[[int], str], group: Callable[[int], str]) -> dict[str, str]:
    """Return a step's entry of the diff. owner and group return the name of a number, or the number as text."""
    before, after = (_head(end, step.entry, owner, group) for end in (step.before, step.after))
    if step.before.content != step.after.content or ABSENT in (step.before, step.after):
        before += _text(step.before, step.entry.secret, "the previous content")
        after += _text(step.after, step.entry.secret, "the new content")
    return {"before_header": step.path, "after_header": step.path, "before": before, "after": after}


def _head(end: Seen, entry: Entry, owner: Callable[[int], str], group: Callable[[int], str]) -> str:
    if end.kind == "absent":
        return ""
    if end.kind == "link":
        return f"link to {end.target}\n"
    user = entry.owner if end.uid < 0 else owner(end.uid)
    of_group = entry.group if end.gid < 0 else group(end.gid)
    return f"{end.kind}, mode {end.mode:04o}, owner {user}, group {of_group}\n"


def _text(end: Seen, secret: bool, instead: str) -> str:
    if end.kind != "file":
        return ""
    if secret:
        return f"({instead}, a secret)\n"
    try:
        return end.content.decode()
    except UnicodeDecodeError:
        return f"({instead}, not text)\n"
