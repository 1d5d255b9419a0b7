# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states of a list of files: write it, remove it, restore what the last change replaced, or delete these copies."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _accounts, _disk, _record, _undo
from ansible_collections.etrid.gizzi.plugins.module_utils._files._accounts import Declared, declared_by
from ansible_collections.etrid.gizzi.plugins.module_utils._files._disk import ABSENT, Seen
from ansible_collections.etrid.gizzi.plugins.module_utils._files._entry import SYSTEMD_FOLDER, Entry
from ansible_collections.etrid.gizzi.plugins.module_utils._files._plan import Step, plan_present, wanted_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._files._accounts import Run
    from ansible_collections.etrid.gizzi.plugins.module_utils._files._undo import Kept


@dataclass(frozen=True)
class Request:
    """One call of the module; note is kept with the copies of replaced files."""

    name: str
    entries: Sequence[Entry]
    run: Run
    note: dict[str, Any] = field(default_factory=dict)
    check: bool = False


@dataclass
class Outcome:
    """The changes of a call, or of a dry run: links has the previous targets of the list's links, "" for none."""

    changed: bool
    steps: list[Step] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False


def present(request: Request) -> Outcome:
    """Write the list; raise GizziError before the first change where a change is impossible."""
    previous = _undo.read(request.name)
    entries = _with_earlier(request)
    seen = _look(entries)
    declared = declared_by(entry.content.decode() for entry in entries if entry.sysusers and entry.wanted)
    _check_owners(entries, declared)
    unwanted = {entry.path: entry for entry in entries if not entry.wanted}
    staying = [path for path, entry in unwanted.items() if not _goes(entry, unwanted, seen, ())]
    listed = [entry for entry in entries if entry.path not in staying]
    steps = plan_present(listed, seen, _accounts.uid_of, _accounts.gid_of)
    accounts = _accounts.is_missing(declared) or bool(_accounts.other_members(declared))
    links = _links(entries, seen, previous)
    note = previous.note if previous else request.note
    shown = [step for step in steps if not _record.is_of_record(step.path)]
    outcome = Outcome(
        bool(steps or accounts or previous), shown, [step.path for step in shown], links, note, bool(previous)
    )
    if request.check or not outcome.changed:
        return outcome
    _check_parents(steps)
    _validate(request, steps)
    if steps:
        previous = _undo.keep(request.name, previous, steps, request.note)
    _apply(request, steps, declared, accounts)
    _reload(request.run, [*outcome.paths, *(previous.was if previous else ())])
    return outcome


def absent(request: Request) -> Outcome:
    """Remove the list's paths in reverse order, and its users; kept folders get the owner root."""
    previous = _undo.read(request.name)
    entries = _with_earlier(request)
    seen = _look(entries)
    kept = [entry.path for entry in entries if entry.keep and seen[entry.path] != ABSENT]
    unwanted = {entry.path: entry for entry in entries if not entry.keep}
    going = [entry for entry in _inside_out(entries) if not entry.keep and _goes(entry, unwanted, seen, kept)]
    steps = [Step(entry, seen[entry.path], ABSENT) for entry in going]
    given = _given_to_root(entries, [step.path for step in steps], seen, kept)
    shown = [step for step in steps if not _record.is_of_record(step.path)]
    paths = [step.path for step in shown] + given
    outcome = Outcome(bool(steps or given or previous), shown, paths, resumed=bool(previous))
    if request.check or not outcome.changed:
        return outcome
    for path in given:
        with _named(path):
            _disk.own_tree(path, os.geteuid(), os.getegid())
    for step in steps:
        _take_away(request.run, step, kept)
    _undo.forget(request.name)
    _reload(request.run, paths)
    return outcome


def restored(request: Request) -> Outcome:
    """Restore what the last change replaced, in reverse order. Its new users stay, because they may own files.

    links of the outcome has the restored targets of the list's links.
    """
    previous = _undo.read(request.name)
    was = previous.was if previous else {}
    back = {path: seen for path, seen in reversed(list(was.items())) if not _brought_users(path, seen)}
    if previous and not request.check:
        for path, seen in back.items():
            with _named(path):
                _put(path, seen)
        told = {path: seen for path, seen in back.items() if Entry(path).sysusers}
        if told:
            _accounts.create(told, declared_by(seen.content.decode() for seen in told.values()), request.run)
        _reload(request.run, back)
        _undo.forget(request.name)
    links = _links(request.entries, {**_look(request.entries), **(back if request.check else {})}, None)
    paths = [path for path in back if not _record.is_of_record(path)]
    return Outcome(previous is not None, [], paths, links, previous.note if previous else {})


def settled(request: Request) -> Outcome:
    """Delete the copies of what the last change replaced; keep only the current and the previous release."""
    previous = _undo.read(request.name)
    if previous is None:
        return Outcome(False)
    old = [path for entry in request.entries if entry.releases for path in _old_releases(entry.path, previous)]
    if not request.check:
        for path in old:
            with _named(path):
                _disk.remove_tree(path)
        _undo.forget(request.name)
    return Outcome(True, paths=old, note=previous.note)


def _look(entries: Iterable[Entry]) -> dict[str, Seen]:
    seen = {}
    for entry in entries:
        with _named(entry.path):
            seen[entry.path] = _disk.look(entry.path, folder_wanted=entry.kind == "folder")
    return seen


def _with_earlier(request: Request) -> list[Entry]:
    """Return the list, and entries for what it has no more, by its folders' patterns and by its record."""
    entries = [*request.entries, *_stale(request.entries)]
    return [*entries, *_record.recorded(request.name, entries)]


def _stale(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries for paths that match a folder's pattern ``stale`` and are no longer in the list."""
    listed: set[str] = {entry.path for entry in entries}
    found: list[Entry] = []
    for entry in entries:
        if entry.stale:
            with _named(entry.path):
                files = _disk.matching(entry.path, entry.stale)
                folders = _disk.matching(entry.path, entry.stale, folders=True) if entry.tree else []
            found += [Entry(path, secret=True, wanted=False) for path in files if path not in listed]
            found += [Entry(path, "folder", tree=True, wanted=False) for path in folders if path not in listed]
    return found


def _check_owners(entries: Iterable[Entry], declared: Declared) -> None:
    owned = [entry for entry in entries if entry.wanted and not entry.trace and entry.kind != "link"]
    problems = [
        f"{entry.path} is to be of user {entry.owner}, and there is no such user."
        for entry in owned
        if entry.owner not in declared.users and _accounts.uid_of(entry.owner) is None
    ] + [
        f"{entry.path} is to be of group {entry.group}, and there is no such group."
        for entry in owned
        if entry.group not in declared.groups and _accounts.gid_of(entry.group) is None
    ]
    if problems:
        raise GizziError(" ".join(problems))


def _inside_out(entries: Sequence[Entry]) -> list[Entry]:
    """Return the list in reverse order, with folders at the end, each after its subfolders."""
    files = [entry for entry in reversed(entries) if entry.kind != "folder"]
    folders = [entry for entry in reversed(entries) if entry.kind == "folder"]
    return files + sorted(folders, key=lambda entry: -entry.path.count("/"))


def _check_parents(steps: Iterable[Step]) -> None:
    coming = {step.path for step in steps if step.after.kind == "folder"}
    # A new folder is made with its parents.
    needing = [step for step in steps if step.after.kind not in ("absent", "folder")]
    folders = {str(Path(step.path).parent) for step in needing} - coming
    missing = [folder for folder in sorted(folders) if not Path(folder).is_dir()]
    if missing:
        raise GizziError(f"There is no folder {' and no folder '.join(missing)}. Nothing was changed.")


def _goes(entry: Entry, unwanted: dict[str, Entry], seen: dict[str, Seen], kept: Sequence[str]) -> bool:
    """Return whether a path is of the entry's kind and can be removed: a folder only if it will be empty."""
    there = seen[entry.path]
    if entry.kind != "folder" or there.kind != "folder":
        return there.kind == entry.kind or (entry.kind, there.kind) == ("file", "link")
    if entry.tree:
        return not _disk.holds_only(entry.path, kept)
    return all(path in unwanted and _goes(unwanted[path], unwanted, seen, kept) for path in _disk.children(entry.path))


def _given_to_root(
    entries: Sequence[Entry], going: Sequence[str], seen: dict[str, Seen], kept: Sequence[str]
) -> list[str]:
    """Return folders that stay and belong to a removed user: else the next user with this number would own them."""
    declared = declared_by(seen[entry.path].content.decode() for entry in entries if entry.sysusers)
    uids = {_accounts.uid_of(name) for name in declared.users}
    gids = {_accounts.gid_of(name) for name in declared.groups}
    folders = [entry.path for entry in entries if seen[entry.path].kind == "folder"]
    stay = [path for path in folders if path not in going or any(one.startswith(f"{path}/") for one in kept)]
    return [path for path in stay if seen[path].uid in uids or seen[path].gid in gids]


def _links(entries: Iterable[Entry], seen: dict[str, Seen], previous: Kept | None) -> dict[str, str]:
    was = previous.was if previous else {}
    targets = {entry.path: was.get(entry.path, seen[entry.path]).target for entry in entries if entry.kind == "link"}
    # A link without an existing target is no release that can be restored.
    return {
        path: target if target and (Path(path).parent / target).exists() else "" for path, target in targets.items()
    }


def _validate(request: Request, steps: Sequence[Step]) -> None:
    """Check each new file, and each folder in which one changes, with its program before any file is replaced."""
    files = [step.entry for step in steps if step.entry.validate and step.after.kind == "file"]
    folders = [entry for entry in request.entries if entry.kind == "folder" and entry.validate and entry.wanted]
    changed = [one for one in folders if any(Path(one.path) in Path(step.path).parents for step in steps)]
    for entry in [*files, *changed]:
        _judge(request, entry)


def _judge(request: Request, entry: Entry) -> None:
    """Have a program judge a file, or a folder with all that the list wants in it, in a folder for root only."""
    folder, uid, gid = _undo.FOLDER / f"{request.name}.check", os.geteuid(), os.getegid()
    place = folder / Path(entry.path).name
    try:
        for one in (_undo.FOLDER, folder):
            _disk.put_folder(str(one), uid, gid, 0o700)
        for inner in (one for one in request.entries if one.wanted and not one.trace):
            if inner == entry or Path(entry.path) in Path(inner.path).parents:
                path = str(place / Path(inner.path).relative_to(entry.path))
                _put(path, Seen(inner.kind, inner.mode, uid, gid, inner.content, inner.target))
        code, output, errors = request.run([part.replace("%s", str(place)) for part in entry.validate])
        if code != 0:
            told = "" if entry.secret else (errors or output).strip().replace(str(place), entry.path)
            raise GizziError(f"{entry.path} is refused, and nothing was replaced. {told or f'Exit code {code}.'}")
    finally:
        _disk.remove_tree(str(folder))
        _disk.remove(str(_undo.FOLDER))


def _apply(request: Request, steps: Sequence[Step], declared: Declared, accounts: bool) -> None:
    # First the files of sysusers.d: they create the owners of the other files.
    told = [step for step in steps if step.entry.sysusers and step.after != ABSENT]
    holders = {parent for step in told for parent in Path(step.path).parents}
    told = [step for step in steps if step in told or (step.after != ABSENT and Path(step.path) in holders)]
    for step in told:
        _bring(step)
    if accounts or any(step.entry.sysusers for step in told):
        paths = [entry.path for entry in request.entries if entry.sysusers and entry.wanted]
        _accounts.create(paths, declared, request.run)
    for step in (step for step in steps if step not in told):
        if step.after == ABSENT:
            _take_away(request.run, step, ())
        else:
            _bring(step)


def _bring(step: Step) -> None:
    after = wanted_of(step.entry, _accounts.uid_of, _accounts.gid_of)
    if -1 in (after.uid, after.gid):
        raise GizziError(f"{step.path}: {step.entry.owner} or group {step.entry.group} was not created.")
    owned = (step.before.uid, step.before.gid) == (after.uid, after.gid)
    with _named(step.path):
        if step.entry.tree and step.before.kind == "folder" and not owned:
            _disk.own_tree(step.path, after.uid, after.gid)
        _put(step.path, after)


def _put(path: str, seen: Seen) -> None:
    if seen.kind == "file":
        _disk.put_file(path, seen.content, seen.uid, seen.gid, seen.mode)
    elif seen.kind == "folder":
        _disk.put_folder(path, seen.uid, seen.gid, seen.mode)
    elif seen.kind == "link":
        _disk.put_link(path, seen.target)
    else:
        _disk.remove(path)


def _take_away(run: Run, step: Step, kept: Sequence[str]) -> None:
    if step.entry.sysusers:
        _accounts.drop(declared_by([step.before.content.decode()]), run)
    with _named(step.path):
        if step.entry.tree:
            _disk.remove_tree(step.path, kept)
        else:
            _disk.remove(step.path)


def _brought_users(path: str, was: Seen) -> bool:
    return Entry(path).sysusers and was == ABSENT


def _old_releases(link: str, previous: Kept) -> list[str]:
    if link not in previous.was:
        return []
    root = str(Path(link).parent)
    used = {Path(target).name for target in (previous.was[link].target, _disk.look(link).target)}
    return [f"{root}/{name}" for name in _disk.folders_in(root) if name not in used]


def _reload(run: Run, paths: Iterable[str]) -> None:
    if any(path.startswith(SYSTEMD_FOLDER) for path in paths):
        code, output, errors = run(["systemctl", "daemon-reload"])
        if code != 0:
            raise GizziError(f"systemctl daemon-reload: {(errors or output).strip()}")


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Raise GizziError with the full path for an OSError, which has only the name without the folder."""
    try:
        yield
    except OSError as error:
        where = error.filename if str(error.filename).startswith("/") else path
        raise GizziError(
            f"{path}: {where} is {error.strerror}." if where != path else f"{path}: {error.strerror}."
        ) from error
