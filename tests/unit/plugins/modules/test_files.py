# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _programs
from ansible_collections.etrid.gizzi.plugins.module_utils._files import _accounts, _disk, _entry, _record, _state, _undo
from ansible_collections.etrid.gizzi.plugins.modules import files

if TYPE_CHECKING:
    from collections.abc import Callable

    Bring = Callable[..., dict[str, Any]]

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name


class Host:
    """The commands of a host that a test does not have, and its users."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.users: dict[str, int] = {}
        self.groups: dict[str, set[str]] = {}
        self.fails: dict[str, str] = {}

    def run(self, command: list[str]) -> tuple[int, str, str]:
        self.commands.append(command)
        if command[0] in self.fails:
            return 1, "", self.fails[command[0]]
        if command[0] == "systemd-sysusers":
            declared = _accounts.declared_by(Path(path).read_text() for path in command[1:])
            self.users.update({name: os.geteuid() for name in declared.users if name not in self.users})
            self.groups.update({name: set() for name in declared.groups if name not in self.groups})
        elif command[0] == "gpasswd":
            self.groups[command[3]] = set(command[2].split(",")) - {""}
        elif command[0] == "userdel":
            del self.users[command[1]]
        elif command[0] == "groupdel":
            del self.groups[command[1]]
        elif command[0] == "judge":
            return (1, "", f"{command[1]}: no") if Path(command[1]).read_text() == "bad" else (0, "", "")
        return 0, "", ""

    @property
    def names(self) -> list[str]:
        return [command[0] for command in self.commands]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(_programs, "run", lambda command, seconds, remedy: made.run(command))
    monkeypatch.setattr(_undo, "FOLDER", tmp_path / "undo")
    monkeypatch.setattr(_record, "FOLDER", tmp_path / "record")
    as_root = _entry.Entry
    monkeypatch.setattr(_record, "Entry", lambda *args, **given: as_root(*args, owner=ME, group=MINE, **given))
    monkeypatch.setattr(_entry, "SYSUSERS_FOLDER", f"{tmp_path}/etc/sysusers.d/")
    monkeypatch.setattr(_state, "SYSTEMD_FOLDER", f"{tmp_path}/etc/systemd/")
    uid_of, gid_of = _accounts.uid_of, _accounts.gid_of
    monkeypatch.setattr(_accounts, "uid_of", lambda name: uid_of(name) if name == ME else made.users.get(name))
    monkeypatch.setattr(
        _accounts,
        "gid_of",
        lambda name: gid_of(name) if name == MINE else os.getegid() if name in made.groups else None,
    )
    monkeypatch.setattr(_accounts, "_members", made.groups.get)
    for folder in ("etc/sysusers.d", "etc/systemd", "srv"):
        (tmp_path / folder).mkdir(parents=True)
    return made


@pytest.fixture
def bring(run_module: Bring, host: Host, tmp_path: Path) -> Bring:
    """Run the module with a list whose paths are below the test's folder."""

    def run(*entries: dict[str, Any], check_mode: bool = False, **args: Any) -> dict[str, Any]:
        listed = [{"owner": ME, "group": MINE, **entry, "path": f"{tmp_path}/{entry['path']}"} for entry in entries]
        secrets = {one["path"]: one.pop("content") for one in listed if one.get("secret") and "content" in one}
        args = {"name": "test", "files": listed, "secrets": secrets, "_ansible_diff": True, **args}
        result = run_module(files.main, check_mode=check_mode, **args)
        return {**result, "paths": [str(Path(path).relative_to(tmp_path)) for path in result.get("paths", [])]}

    return run


LIST: list[dict[str, Any]] = [
    {"path": "srv/app", "kind": "folder", "mode": "0750"},
    {"path": "srv/app/settings", "content": "a = 1\n", "mode": "0640"},
    {"path": "srv/app/current", "kind": "link", "target": "settings"},
]


def tree(folder: Path) -> dict[str, Any]:
    """Everything below a folder: modes, contents, links."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink())
        else:
            mode = oct(stat.S_IMODE(path.stat().st_mode))
            found[str(path.relative_to(folder))] = (mode, path.read_text() if path.is_file() else None)
    return found


WANTED = {"app": ("0o750", None), "app/settings": ("0o640", "a = 1\n"), "app/current": "settings"}


def test_a_list_comes_and_a_second_run_changes_nothing(bring: Bring, tmp_path: Path) -> None:
    dry = bring(*LIST, check_mode=True)
    assert (dry["changed"], tree(tmp_path / "srv")) == (True, {})
    first = bring(*LIST)
    assert first["paths"] == dry["paths"] == ["srv/app", "srv/app/settings", "srv/app/current"]
    assert first["diff"] == dry["diff"]
    assert tree(tmp_path / "srv") == WANTED
    assert bring(state="settled")["changed"] is True
    second = bring(*LIST)
    assert (second["changed"], second["paths"], second["diff"], second["links"]) == (
        False,
        [],
        [],
        {f"{tmp_path}/srv/app/current": "settings"},
    )
    assert not (tmp_path / "undo").exists()


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda srv: (srv / "app").chmod(0o700), "srv/app"),
        (lambda srv: (srv / "app/settings").chmod(0o644), "srv/app/settings"),
        (lambda srv: (srv / "app/settings").write_text("a = 2\n"), "srv/app/settings"),
        (lambda srv: (srv / "app/current").unlink(), "srv/app/current"),
        (lambda srv: ((srv / "app/current").unlink(), (srv / "app/current").symlink_to("x")), "srv/app/current"),
    ],
)
def test_what_others_have_changed_comes_back(
    bring: Bring, tmp_path: Path, spoil: Callable[[Path], object], path: str
) -> None:
    bring(*LIST)
    bring(state="settled")
    spoil(tmp_path / "srv")
    assert bring(*LIST, check_mode=True)["paths"] == [path]
    assert bring(*LIST)["paths"] == [path]
    assert tree(tmp_path / "srv") == WANTED


def test_one_entry_of_the_diff_for_each_file(bring: Bring, tmp_path: Path) -> None:
    bring(*LIST)
    bring(state="settled")
    settings = {**LIST[1], "content": "a = 2\n"}
    assert bring(LIST[0], settings, LIST[2], check_mode=True)["diff"] == [
        {
            "before_header": f"{tmp_path}/srv/app/settings",
            "after_header": f"{tmp_path}/srv/app/settings",
            "before": f"file, mode 0640, owner {ME}, group {MINE}\na = 1\n",
            "after": f"file, mode 0640, owner {ME}, group {MINE}\na = 2\n",
        }
    ]
    (only_mode,) = bring(LIST[0], {**LIST[1], "mode": "0600"}, LIST[2], check_mode=True)["diff"]
    assert only_mode["after"] == f"file, mode 0600, owner {ME}, group {MINE}\n"


def test_a_secret_is_shown_nowhere(bring: Bring, tmp_path: Path) -> None:
    secret = {"path": "srv/key", "content": "hush-1", "secret": True, "mode": "0600"}
    for content in ("hush-1", "hush-2"):
        result = bring({**secret, "content": content})
        assert "hush" not in str(result)
        assert "a secret" in result["diff"][0]["after"]
        assert (tmp_path / "srv/key").read_text() == content
    judged = bring({**secret, "content": "bad", "validate": ["judge", "%s"]})
    assert judged["msg"] == f"{tmp_path}/srv/key is refused, and nothing was replaced. Exit code 1."
    assert "hush" not in str(bring(state="restored")) + str(bring({**secret, "when": False}))


def test_what_was_there_is_put_back(bring: Bring, tmp_path: Path) -> None:
    bring(*LIST)
    bring(state="settled")
    changed = [
        {**LIST[0], "mode": "0755"},
        {**LIST[1], "content": "a = 2\n", "mode": "0600"},
        {**LIST[2], "target": "new"},
        {"path": "srv/app/new", "content": "new"},
        {"path": "srv/app/more", "kind": "folder"},
        {"path": "srv/app/more/deep", "content": "deep"},
    ]
    assert bring(*changed)["changed"] is True
    assert tree(tmp_path / "srv")["app/current"] == "new"
    assert (tmp_path / "undo").stat().st_mode & 0o777 == 0o700
    assert bring(*changed, state="restored", check_mode=True)["changed"] is True
    back = bring(*changed, state="restored")
    assert back["links"] == {f"{tmp_path}/srv/app/current": "settings"}
    assert tree(tmp_path / "srv") == WANTED
    assert bring(state="restored")["changed"] is False
    assert not (tmp_path / "undo").exists()


def test_what_was_not_wanted_any_more_is_put_back_too(bring: Bring, tmp_path: Path) -> None:
    bring(*LIST)
    bring(state="settled")
    gone = bring(*({**entry, "when": False} for entry in LIST))
    assert gone["paths"] == ["srv/app/current", "srv/app/settings", "srv/app"]
    assert tree(tmp_path / "srv") == {}
    bring(state="restored")
    assert tree(tmp_path / "srv") == WANTED


def test_a_run_that_was_cut_off_keeps_the_older_copy_and_its_note(bring: Bring, tmp_path: Path) -> None:
    bring(*LIST)
    bring(state="settled")
    second, third = ({**LIST[1], "content": f"a = {number}\n"} for number in (2, 3))
    link = {**LIST[2], "target": "."}
    assert bring(LIST[0], second, link, note={"port": 1})["note"] == {"port": 1}
    resumed = bring(LIST[0], third, link, {"path": "srv/late", "content": ""}, note={"port": 2})
    assert (resumed["resumed"], resumed["note"]) == (True, {"port": 1})
    # Where it led before the run that was cut off.
    assert resumed["links"] == {f"{tmp_path}/srv/app/current": "settings"}
    bring(state="restored")
    assert tree(tmp_path / "srv") == WANTED


def test_a_run_that_was_cut_off_is_a_change_also_where_all_is_as_wanted(bring: Bring, host: Host) -> None:
    unit = {"path": "etc/systemd/a.service", "content": "[Unit]\n"}
    bring(unit)
    host.commands.clear()
    assert bring(unit, check_mode=True)["changed"] is True
    assert host.commands == []
    assert (bring(unit)["changed"], host.names) == (True, ["systemctl"])
    bring(state="settled")
    assert bring(unit)["changed"] is False


@pytest.mark.parametrize("at", range(1, 8))
def test_cut_off_at_each_step(bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Wherever it stops, what was there can be put back, and the next run brings the rest."""
    bring(*LIST)
    bring(state="settled")
    changed = [{**LIST[0], "mode": "0755"}, {**LIST[1], "content": "a = 2\n"}, {**LIST[2], "target": "new"}]
    calls = {"left": at}

    class Cut(BaseException):
        pass

    def cut(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            calls["left"] -= 1
            if calls["left"] == 0:
                raise Cut
            return real(*args)

        return run

    with monkeypatch.context() as patch:
        for name in ("put_file", "put_folder", "put_link"):
            patch.setattr(_disk, name, cut(getattr(_disk, name)))
        with pytest.raises(Cut):
            bring(*changed)
    assert bring(*changed)["changed"] is True
    assert tree(tmp_path / "srv")["app/current"] == "new"
    bring(state="restored")
    assert tree(tmp_path / "srv") == WANTED


def test_nothing_is_replaced_when_one_is_refused(bring: Bring, tmp_path: Path) -> None:
    good = {"path": "srv/good", "content": "good", "validate": ["judge", "%s"]}
    assert bring(good)["changed"] is True
    bring(state="settled")
    told = bring({**good, "content": "better"}, {**good, "path": "srv/other", "content": "bad"})
    assert told["msg"] == f"{tmp_path}/srv/other is refused, and nothing was replaced. {tmp_path}/srv/other: no"
    assert tree(tmp_path / "srv") == {"good": ("0o644", "good")}
    assert not (tmp_path / "undo").exists()


def test_a_folder_is_judged_as_it_will_be(bring: Bring, host: Host, tmp_path: Path) -> None:
    """Also the files in it that stay as they are, because one is good only together with the others."""
    seen = []
    run = host.run

    def judge(command: list[str], **given: Any) -> tuple[int, str, str]:
        if command[0] != "judge":
            return run(command, **given)
        seen.append(tree(Path(command[1])))
        return (1, "", f"{command[1]}/part: no") if "bad" in str(seen[-1]) else (0, "", "")

    host.run = judge  # type: ignore[method-assign]
    folder = {"path": "srv/app", "kind": "folder", "validate": ["judge", "%s"]}
    parts = [
        {"path": "srv/app/settings", "content": "include part"},
        {"path": "srv/app/gone", "content": "x", "when": False},
        {"path": "srv/app/log", "trace": True},
        {"path": "srv/app/in", "kind": "folder"},
    ]
    bring(folder, *parts, {"path": "srv/app/in/part", "content": "good"}, {"path": "srv/other", "content": "x"})
    bring(state="settled")
    told = bring(folder, *parts, {"path": "srv/app/in/part", "content": "bad"}, {"path": "srv/other", "content": "y"})
    assert told["msg"] == f"{tmp_path}/srv/app is refused, and nothing was replaced. {tmp_path}/srv/app/part: no"
    whole = {"settings": ("0o644", "include part"), "in": ("0o755", None)}
    assert seen == [whole | {"in/part": ("0o644", text)} for text in ("good", "bad")]
    assert (tmp_path / "srv/other").read_text() == "x"
    # What changes beside the folder is none of its matter, and in a dry run nothing is judged.
    bring(folder, *parts, {"path": "srv/app/in/part", "content": "good"}, {"path": "srv/other", "content": "y"})
    bring(folder, *parts, {"path": "srv/app/in/part", "content": "bad"}, check_mode=True)
    assert len(seen) == 2
    assert not (tmp_path / "undo/test.check").exists()


def test_links_in_folders_of_others_are_refused_with_their_path(bring: Bring, tmp_path: Path) -> None:
    """The user ollama replaces models in its home by a link to /etc."""
    home, etc = tmp_path / "srv/home", tmp_path / "etc"
    home.mkdir()
    home.chmod(0o777)
    (home / "models").symlink_to(etc)
    before = tree(etc)
    for entry in (
        {"path": "srv/home/models", "kind": "folder", "tree": True, "mode": "0700"},
        {"path": "srv/home/models/file", "content": "x"},
        {"path": "srv/home/models/systemd", "kind": "folder", "tree": True, "mode": "0700"},
    ):
        for check_mode in (True, False):
            told = bring(entry, check_mode=check_mode)
            assert told["failed"] is True
            assert f"{home}/models" in told["msg"]
    told = bring({"path": "srv/home/models/systemd", "kind": "folder", "tree": True}, state="absent")
    assert f"{home}/models is a link, and not followed" in told["msg"]
    bring({"path": "srv/home", "kind": "folder", "tree": True}, state="absent")
    assert tree(etc) == before
    assert not home.exists()


def test_a_link_of_root_to_a_folder_is_a_folder(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "srv/data").symlink_to(tmp_path / "disk")
    assert bring({"path": "srv/data", "kind": "folder", "mode": "0700"})["changed"] is True
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "srv/data").is_symlink()


def test_a_file_with_a_second_name_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (tmp_path / "system").write_text("")
    (folder / "mine").write_text("")
    (folder / "trap").hardlink_to(tmp_path / "system")
    given: list[str] = []
    owner = folder.stat().st_uid
    real = os.stat

    def stat(name: Any, **where: Any) -> os.stat_result:
        found = real(name, **where)
        return os.stat_result([*found[:4], owner, *found[5:]]) if name == "trap" else found

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "chown", lambda name, *_, **__: given.append(name))
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    # As a model that an earlier store has too: its owner is the folder's.
    _disk.own_tree(str(folder), os.geteuid() + 1, os.getegid())
    assert given == ["mine", "trap"]
    given.clear()
    owner += 5
    with pytest.raises(OSError, match="second name elsewhere") as told:
        _disk.own_tree(str(folder), os.geteuid() + 1, os.getegid())
    assert told.value.filename == f"{folder}/trap"
    assert given == ["mine"]


def test_users_come_before_their_files_and_go_after_them(bring: Bring, host: Host, tmp_path: Path) -> None:
    entries = [
        {"path": "etc/sysusers.d/app.conf", "content": 'u app - "An app"\n'},
        {"path": "srv/owned", "content": "x", "owner": "app", "group": "app"},
    ]
    dry = bring(*entries, check_mode=True)
    assert (dry["changed"], host.commands) == (True, [])
    assert "owner app, group app" in dry["diff"][1]["after"]
    bring(*entries)
    bring(state="settled")
    assert host.users == {"app": os.geteuid()}
    assert bring(*entries)["changed"] is False
    # Somebody has removed the user.
    host.users.clear()
    assert bring(*entries, check_mode=True)["changed"] is True
    assert bring(*entries)["changed"] is True
    assert host.users == {"app": os.geteuid()}
    host.commands.clear()
    assert bring(*entries, state="absent", check_mode=True)["changed"] is True
    assert bring(*entries, state="absent")["paths"] == ["srv/owned", "etc/sysusers.d/app.conf"]
    assert host.names == ["userdel", "groupdel"]
    assert bring(*entries, state="absent")["changed"] is False


def test_a_user_that_still_runs_is_told_and_the_next_run_goes_on(bring: Bring, host: Host, tmp_path: Path) -> None:
    entry = {"path": "etc/sysusers.d/app.conf", "content": "u app -\n"}
    bring(entry)
    host.fails["userdel"] = "user app is currently used by process 7"
    assert bring(entry, state="absent")["msg"] == "userdel app: user app is currently used by process 7"
    del host.fails["userdel"]
    assert bring(entry, state="absent")["changed"] is True
    assert (host.users, host.groups) == ({}, {})


def test_a_group_has_the_members_of_its_file_and_no_others(bring: Bring, host: Host) -> None:
    host.users.update(anna=1, otto=2)
    entry = {"path": "etc/sysusers.d/app.conf", "content": "g app -\nm anna app\nm otto app\n"}
    bring(entry)
    assert host.groups["app"] == {"anna", "otto"}
    bring(state="settled")
    assert bring(entry)["changed"] is False
    host.groups["app"] = {"anna", "eve"}
    assert bring(entry)["changed"] is True
    assert host.groups["app"] == {"anna", "otto"}
    bring(state="settled")
    bring({**entry, "content": "g app -\n"})
    assert host.groups["app"] == set()
    bring(state="restored")
    assert host.groups["app"] == {"anna", "otto"}


def test_users_that_a_failed_change_brought_stay_and_are_found_by_a_removal(bring: Bring, host: Host) -> None:
    entries = [{"path": "etc/sysusers.d/app.conf", "content": "u app -\n"}, {"path": "srv/file", "content": ""}]
    bring(*entries)
    assert bring(*entries, state="restored")["paths"] == ["srv/file"]
    assert host.users == {"app": os.geteuid()}
    assert bring(*entries, state="absent")["paths"] == ["etc/sysusers.d/app.conf"]
    assert host.users == {}


def test_an_owner_that_nobody_creates_is_refused(bring: Bring, tmp_path: Path) -> None:
    for check_mode in (True, False):
        told = bring(
            {"path": "srv/a", "content": "", "owner": "nobody-knows", "group": "nor-this"}, check_mode=check_mode
        )
        assert told["msg"] == (
            f"{tmp_path}/srv/a is to be of user nobody-knows, and there is no such user. "
            f"{tmp_path}/srv/a is to be of group nor-this, and there is no such group."
        )


def test_systemd_reads_its_units_again_when_one_has_changed(bring: Bring, host: Host) -> None:
    unit, other = {"path": "etc/systemd/a.service", "content": "[Unit]\n"}, {"path": "srv/a", "content": ""}
    bring(other)
    assert host.commands == []
    bring(unit, other)
    assert host.commands == [["systemctl", "daemon-reload"]]
    bring(state="restored")
    assert len(host.commands) == 2
    bring(unit, other)
    bring(unit, other, state="absent")
    assert len(host.commands) == 4


def test_removal_leaves_what_is_of_others_and_what_is_kept(bring: Bring, tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"path": "srv/shared", "kind": "folder"},
        {"path": "srv/shared/ours", "content": ""},
        {"path": "srv/home", "kind": "folder", "tree": True},
        {"path": "srv/home/models", "kind": "folder", "tree": True, "keep": True},
        {"path": "srv/left", "kind": "folder", "tree": True, "trace": True},
        {"path": "srv/gone", "kind": "link", "target": "home"},
    ]
    bring(*entries)
    assert not (tmp_path / "srv/left").exists()
    for path in ("srv/shared/theirs", "srv/home/cache", "srv/home/models/blob"):
        (tmp_path / path).write_text("x")
    (tmp_path / "srv/left/deep").mkdir(parents=True)
    assert bring(*entries, state="absent", check_mode=True)["changed"] is True
    result = bring(*entries, state="absent")
    assert result["paths"] == ["srv/gone", "srv/shared/ours", "srv/left", "srv/home"]
    assert sorted(tree(tmp_path / "srv")) == [
        "home",
        "home/models",
        "home/models/blob",
        "shared",
        "shared/theirs",
    ]
    again = bring(*entries, state="absent")
    assert (again["changed"], again["paths"], (tmp_path / "undo").exists()) == (False, [], False)
    bring(*({**entry, "keep": False} for entry in entries), state="absent")
    assert sorted(tree(tmp_path / "srv")) == ["shared", "shared/theirs"]


def test_folders_go_after_what_is_in_them_wherever_they_stand_in_the_list(bring: Bring, tmp_path: Path) -> None:
    entries = [
        {"path": "srv/a/b", "kind": "folder", "tree": True},
        {"path": "srv/a/c", "content": ""},
        {"path": "srv/a", "kind": "folder", "trace": True},
    ]
    (tmp_path / "srv/a").mkdir()
    bring(*entries)
    assert bring(*entries, state="absent")["paths"] == ["srv/a/c", "srv/a/b", "srv/a"]
    assert tree(tmp_path / "srv") == {}


def test_what_is_kept_goes_to_root_with_its_user(
    bring: Bring, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [
        {"path": "etc/sysusers.d/app.conf", "content": "u app -\n"},
        {"path": "srv/home", "kind": "folder", "tree": True, "owner": "app", "group": "app"},
        {"path": "srv/home/models", "kind": "folder", "tree": True, "keep": True, "owner": "app", "group": "app"},
    ]
    bring(*entries)
    given: list[str] = []
    monkeypatch.setattr(_disk, "own_tree", lambda path, uid, gid: given.append(path))
    bring(*entries, state="absent")
    assert given == [f"{tmp_path}/srv/home", f"{tmp_path}/srv/home/models"]
    assert host.users == {}


def test_a_folder_that_a_removal_kept_gets_its_owner_with_all_in_it(
    bring: Bring, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "srv/models").mkdir()
    given: list[str] = []
    monkeypatch.setattr(_disk, "own_tree", lambda path, uid, gid: given.append(path))
    entry = {"path": "srv/models", "kind": "folder", "tree": True}
    bring(entry)
    assert given == []
    look = _disk.look
    monkeypatch.setattr(
        _disk,
        "look",
        lambda path, folder_wanted=False: (
            _disk.Seen("folder", 0o755, 12345, 12345) if path.endswith("models") else look(path)
        ),
    )
    bring(entry)
    assert given == [f"{tmp_path}/srv/models"]


def test_old_files_of_a_pattern_go(bring: Bring, tmp_path: Path) -> None:
    folder = {"path": "srv/etc", "kind": "folder", "stale": ["token-*", "key"]}
    one, two = ({"path": f"srv/etc/token-{name}", "content": name, "secret": True} for name in ("one", "two"))
    bring(folder, one, two)
    (tmp_path / "srv/etc/of-others").write_text("")
    result = bring(folder, two)
    assert result["paths"] == ["srv/etc/token-one"]
    assert sorted(path.name for path in (tmp_path / "srv/etc").iterdir()) == ["of-others", "token-two"]
    bring(folder, state="absent")
    assert [path.name for path in (tmp_path / "srv/etc").iterdir()] == ["of-others"]


def test_folders_that_are_no_longer_in_the_list_go_from_a_tree(bring: Bring, tmp_path: Path) -> None:
    tree = {"path": "srv/etc", "kind": "folder", "tree": True, "stale": ["*"]}
    inner, file = {"path": "srv/etc/one", "kind": "folder"}, {"path": "srv/etc/one/a", "content": "a"}
    bring(tree, inner, file, {"path": "srv/etc/b", "content": "b"})
    assert bring(tree, inner, file, {"path": "srv/etc/b", "content": "b"})["paths"] == []
    result = bring(tree, {"path": "srv/etc/b", "content": "b"})
    assert result["paths"] == ["srv/etc/one"]
    assert [path.name for path in (tmp_path / "srv/etc").iterdir()] == ["b"]


def test_what_a_service_has_made_of_an_initial_file_stays(bring: Bring, tmp_path: Path) -> None:
    folder, file = {"path": "srv/etc", "kind": "folder"}, {"path": "srv/etc/a", "content": "", "initial": True}
    assert "srv/etc/a" in bring(folder, file)["paths"]
    (tmp_path / "srv/etc/a").write_text("of the service")
    assert bring(folder, file)["paths"] == []
    assert (tmp_path / "srv/etc/a").read_text() == "of the service"
    bring(folder, file, state="absent")
    assert not (tmp_path / "srv/etc").exists()


def test_one_earlier_release_is_kept(bring: Bring, tmp_path: Path) -> None:
    for name in ("1", "2", "3", ".half"):
        (tmp_path / "srv" / name / "bin").mkdir(parents=True)
    link = {"path": "srv/current", "kind": "link", "target": f"{tmp_path}/srv/1", "releases": True}
    bring(link)
    bring({**link, "target": f"{tmp_path}/srv/2"})
    assert bring(link, state="settled", check_mode=True)["changed"] is True
    (tmp_path / "srv/1").mkdir(exist_ok=True)
    bring({**link, "target": f"{tmp_path}/srv/2"}, state="settled")
    # The link led nowhere before the first of these two, which was not settled.
    assert sorted(path.name for path in (tmp_path / "srv").iterdir()) == ["2", "current"]
    (tmp_path / "srv/3").mkdir()
    (tmp_path / "srv/4").mkdir()
    result = bring({**link, "target": f"{tmp_path}/srv/3"})
    assert result["links"] == {f"{tmp_path}/srv/current": f"{tmp_path}/srv/2"}
    assert bring({**link, "target": f"{tmp_path}/srv/3"}, state="settled")["paths"] == ["srv/4"]
    assert sorted(path.name for path in (tmp_path / "srv").iterdir()) == ["2", "3", "current"]


def test_what_is_in_the_way_is_named(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "srv/dir").mkdir()
    (tmp_path / "srv/file").write_text("of others")
    told = bring(
        {"path": "srv/dir", "content": ""},
        {"path": "srv/file", "kind": "folder"},
        {"path": "srv/new", "content": ""},
    )
    assert told["msg"] == (
        f"{tmp_path}/srv/dir is a folder, and a file is to be there: move it away. "
        f"{tmp_path}/srv/file is a file, and a folder is to be there: move it away."
    )
    assert "is a file, and a link is to be there" in bring({"path": "srv/file", "kind": "link", "target": "x"})["msg"]
    assert bring({"path": "srv/none/a", "content": ""})["msg"] == (
        f"There is no folder {tmp_path}/srv/none. Nothing was changed."
    )
    assert sorted(path.name for path in (tmp_path / "srv").iterdir()) == ["dir", "file"]
    # Check mode cannot know who makes the folder.
    assert bring({"path": "srv/none/a", "content": ""}, check_mode=True)["changed"] is True
    # What is not ours is not removed either.
    assert bring({"path": "srv/file", "kind": "link", "target": "x"}, state="absent")["changed"] is False


def test_all_wrong_values_at_once(run_module: Bring, host: Host) -> None:
    told = run_module(
        files.main,
        name="test",
        files=[
            {"path": "etc/a", "content": ""},
            {"path": "/etc/../b", "content": ""},
            {"path": "/c"},
            {"path": "/d", "kind": "link"},
            {"path": "/e", "content": "", "mode": "u=rw"},
            {"path": "/f", "content": "", "validate": ["judge"], "tree": True},
            {"path": "/g", "content": ""},
            {"path": "/g", "content": ""},
        ],
    )
    assert told["msg"] == (
        "etc/a is no absolute path without . and .. in it. /etc/../b is no absolute path without . and .. in it. "
        "/c has no content: give template, content or source. /d is a link without a target. "
        '/e has the mode "u=rw": write it in octal, as "0644". /f has a validate without %s. '
        "/f is a tree, but no folder. /g is named twice."
    )
    assert run_module(files.main, name="../x")["msg"] == 'The name is "../x". It has letters, digits, - and _ alone.'


def test_copies_that_cannot_be_read_are_told(bring: Bring, tmp_path: Path) -> None:
    bring(*LIST)
    (tmp_path / "undo/test/index.json").write_text("{}")
    assert bring(*LIST)["msg"] == f"{tmp_path}/undo/test does not say what was there before the last change: remove it."


def moving(folder: str, wanted: bool = True) -> list[dict[str, Any]]:
    return [{"path": f"{folder}/app.prom", "kind": "link", "target": "/x", "when": wanted}]


def test_what_moves_with_a_variable_leaves_nothing_where_it_was(bring: Bring, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    bring(*moving("a"))
    bring(state="settled")
    assert bring(*moving("a"))["changed"] is False

    dry = bring(*moving("b"), check_mode=True)
    assert set(dry["paths"]) == {"b/app.prom", "a/app.prom"}
    bring(*moving("b"))
    assert (sorted(tree(tmp_path / "a")), sorted(tree(tmp_path / "b"))) == ([], ["app.prom"])
    # A change that is taken back leaves it where it was, and known there.
    bring(state="restored")
    assert (sorted(tree(tmp_path / "a")), sorted(tree(tmp_path / "b"))) == (["app.prom"], [])
    assert bring(*moving("a"))["changed"] is False


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_moves_goes_from_where_it_was(bring: Bring, tmp_path: Path, state: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    bring(*moving("a"))
    bring(state="settled")
    # The variable that named the folder may be another one by now.
    assert bring(*moving("b", wanted=False), state=state)["changed"] is True
    assert (tree(tmp_path / "a"), (tmp_path / "record").exists()) == ({}, False)
    bring(state="settled")
    assert bring(*moving("b", wanted=False), state=state)["changed"] is False


def test_what_another_release_had_in_the_list_goes(bring: Bring, tmp_path: Path) -> None:
    """A file that came with a newer release goes on the way back, with its content told to nobody; folders stay."""
    newer: list[dict[str, Any]] = [
        {"path": "srv/new", "kind": "folder"},
        {"path": "srv/new/file", "content": "a secret?\n"},
        {"path": "srv/link", "kind": "link", "target": "new"},
        {"path": "srv/kept", "kind": "file", "content": "b", "keep": True},
        {"path": "srv/made", "content": "c", "initial": True},
    ]
    bring(*LIST)
    bring(state="settled")
    bring(*LIST, *newer)
    bring(state="settled")
    result = bring(*LIST)
    assert result["paths"] == ["srv/link", "srv/new/file"]
    assert "a secret?" not in str(result)
    assert sorted(path.name for path in (tmp_path / "srv").iterdir()) == ["app", "kept", "made", "new"]
    # What the newer release had may be put back.
    bring(state="restored")
    assert (tmp_path / "srv/new/file").read_text() == "a secret?\n"
    bring(*LIST)
    assert bring(*LIST)["paths"] == []


def test_a_folder_with_patterns_says_itself_what_goes(bring: Bring, tmp_path: Path) -> None:
    """The gateway's tokens of an earlier secret stay until the end of the run, which gives the pattern."""

    def tokens(name: str, *patterns: str, **args: Any) -> list[str]:
        folder = {"path": "srv/tokens", "kind": "folder", "stale": [*patterns]}
        bring(folder, {"path": f"srv/tokens/{name}.conf", "content": name, "secret": True}, **args)
        bring(state="settled")
        return sorted(path.name for path in (tmp_path / "srv/tokens").iterdir())

    assert tokens("one") == ["one.conf"]
    assert tokens("two") == ["one.conf", "two.conf"]
    assert tokens("two", "*.conf") == ["two.conf"]


def test_a_record_that_says_nothing_is_named(bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    for text in ("half a li", '[{"path": "../etc/passwd", "kind": "file"}]', "[1]"):
        (tmp_path / "record/test.json").write_text(text)
        (tmp_path / "a").mkdir(exist_ok=True)
        assert "record/test.json does not say where the list's files are" in bring(*moving("a"))["msg"]


def test_a_host_without_the_folder_of_the_users(bring: Bring, host: Host, tmp_path: Path) -> None:
    """As on Debian, where nothing else has one."""
    (tmp_path / "etc/sysusers.d").rmdir()
    folder = {"path": "etc/sysusers.d", "kind": "folder"}
    bring(folder, {"path": "etc/sysusers.d/app.conf", "content": "u app -\n"}, {"path": "srv/app", "kind": "folder"})
    assert (tmp_path / "etc/sysusers.d/app.conf").is_file()
    assert "app" in host.users


def test_a_folder_brings_those_that_lead_to_it(bring: Bring, tmp_path: Path) -> None:
    assert bring({"path": "srv/a/b/c", "kind": "folder", "mode": "0750"})["changed"] is True
    assert [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("srv/a", "srv/a/b/c")] == [0o755, 0o750]
