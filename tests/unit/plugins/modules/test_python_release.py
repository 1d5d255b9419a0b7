# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _programs
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.modules import python_release
from ansible_collections.etrid.gizzi.plugins.plugin_utils._program import program

if TYPE_CHECKING:
    from collections.abc import Callable

    Bring = Callable[..., dict[str, Any]]


class Host:
    """A host's Python, and what pip does on it."""

    def __init__(self) -> None:
        self.python: Any = [3, 12, True]
        self.commands: list[list[str]] = []
        self.fails = ""
        self.seen: dict[str, bytes] = {}

    def run(self, command: list[str]) -> tuple[int, str, str]:
        if command[1] == "-c":
            if self.python is None:
                raise _programs.NotRunError("no such file")
            return 0, json.dumps(self.python), ""
        self.commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)
            for name, mode in (("pip", 0o700), ("readme", 0o600)):
                (Path(command[3]) / "bin" / name).touch()
                (Path(command[3]) / "bin" / name).chmod(mode)
            (Path(command[3]) / "bin/python").symlink_to("/etc/passwd")
        build = Path(command[-1]).parent if command[-1].endswith("program") else None
        if build:
            self.seen = {str(path.relative_to(build)): path.read_bytes() for path in build.rglob("*") if path.is_file()}
        if self.fails and self.fails in command:
            return 1, "", "ERROR: no matching distribution"
        return 0, "", ""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(_programs, "run", lambda command, seconds, remedy: made.run(command))
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "src/pkg/__pycache__").mkdir(parents=True)
    (folder / "src/pkg.egg-info").mkdir()
    for name, text in {
        "pyproject.toml": '[project]\nname = "pkg"\nversion = "1.2.3"\n',
        "README.md": "",
        "requirements.txt": "a==1 --hash=sha256:00\n",
        "requirements.in": "a\n",
        "src/pkg/main.py": "print()\n",
        "src/pkg/__pycache__/main.pyc": "",
        "src/pkg.egg-info/PKG-INFO": "",
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def bring(run_module: Bring, host: Host, source: Path, tmp_path: Path) -> Bring:
    """Do what the action does: look, and build with an archive of the program."""

    def run(check_mode: bool = False, spoil: bool = False, **given: Any) -> dict[str, Any]:
        found = program(source, given.get("version", ""), given.get("wheelhouse", ""), given.pop("folders", []))
        arguments = {
            "label": "The program",
            "prefix": "prog",
            "root": str(tmp_path / "opt/prog"),
            "source": str(source),
            "program": not given.get("version"),
            "content": found.checksum(),
            **given,
            "version": found.version,
        }
        looked = run_module(python_release.main, check_mode=check_mode, **arguments)
        if not looked.get("changed") or check_mode:
            return looked
        (tmp_path / "program.tar").write_bytes(found.pack())
        checksum = hashlib.sha256(b"x" if spoil else found.pack()).hexdigest()
        archive = str(tmp_path / "program.tar")
        return run_module(python_release.main, **arguments, archive=archive, checksum=checksum)

    return run


def test_a_release_is_built_once(bring: Bring, host: Host, tmp_path: Path) -> None:
    dry = bring(check_mode=True)
    assert (dry["changed"], host.commands, (tmp_path / "opt").exists()) == (True, [], False)
    built = bring()
    path = tmp_path / "opt/prog" / built["release"]
    assert {**built, **dry, "invocation": None} == {**built, "invocation": None}
    assert built["release"].startswith("1.2.3-")
    assert built["path"] == str(path)
    assert built["site_packages"] == f"{path}/lib/python3.12/site-packages"
    assert [command[0] for command in host.commands] == ["/usr/bin/python3", f"{path}/bin/pip", f"{path}/bin/pip"]
    assert {"--require-hashes", "--only-binary=:all:"} < set(host.commands[1])
    assert "--no-index" not in host.commands[1]
    assert {"--no-index", "--no-deps", "--no-build-isolation"} < set(host.commands[2])
    assert sorted(host.seen) == [
        "program/README.md",
        "program/pyproject.toml",
        "program/requirements.txt",
        "program/src/pkg/main.py",
    ]
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]
    assert bring()["changed"] is False
    assert len(host.commands) == 3


def test_everybody_may_read_it_whatever_the_umask_is(bring: Bring, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = Path(bring()["path"])
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.lstat().st_mode) for one in [path, *path.rglob("*")] if not one.is_symlink()}
    assert modes == {path.name: 0o755, "bin": 0o755, "pip": 0o755, "readme": 0o644, ".finished": 0o644}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_the_name_has_in_it_what_decides_the_content(bring: Bring, host: Host, source: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/file").write_text("1")

    def named(**given: Any) -> str:
        return str(bring(check_mode=True, **given)["release"])

    names = [named(), named(python="/usr/bin/python3.12"), named(folders=[(tmp_path / "more", "more", None)])]
    host.python = [3, 13, True]
    names.append(named())
    for name in ("requirements.txt", "pyproject.toml", "src/pkg/main.py"):
        with (source / name).open("a") as file:
            file.write("\n")
        names.append(named())
    assert len(set(names)) == 7
    for name in ("requirements.in", "src/pkg/__pycache__/main.pyc", "src/pkg.egg-info/PKG-INFO"):
        (source / name).write_text("other")
        assert named() == names[-1]


def test_half_built_releases_are_built_anew(bring: Bring, host: Host, tmp_path: Path) -> None:
    path = Path(bring()["path"])
    (path / ".finished").unlink()
    (path / "left").touch()
    (path.parent / ".build").mkdir()
    assert bring()["changed"] is True
    assert (path / ".finished").exists()
    assert not (path / "left").exists()
    assert len(host.commands) == 6


@pytest.mark.parametrize(
    ("fails", "step"),
    [
        ("venv", "Making the virtual environment"),
        ("--require-hashes", "Installing the dependencies"),
        ("--no-deps", "Installing the program"),
    ],
)
def test_of_one_that_cannot_be_built_nothing_is_left(
    bring: Bring, host: Host, tmp_path: Path, fails: str, step: str
) -> None:
    host.fails = fails
    told = bring()
    name = bring(check_mode=True)["release"]
    assert told["msg"] == (
        f"The program {name} could not be installed, and what runs was not changed. {step}: ERROR: no matching "
        "distribution. A host that reaches no package index takes the wheels from the control host: see "
        "prog_wheelhouse."
    )
    assert list((tmp_path / "opt/prog").iterdir()) == []
    host.fails = ""
    assert bring()["changed"] is True


def test_an_archive_that_is_another_one_is_not_unpacked(bring: Bring, host: Host, tmp_path: Path) -> None:
    assert "was damaged on its way" in bring(spoil=True)["msg"]
    assert host.commands == []


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "program/../../out"])
def test_nothing_leads_out_of_the_archive(run_module: Bring, host: Host, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "bad.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    given = {"label": "P", "prefix": "p", "source": "/", "root": str(tmp_path / "opt"), "version": "1", "content": "c"}
    told = run_module(python_release.main, **given, archive=str(archive), checksum=checksum)
    assert "neither a file nor a folder in it" in told["msg"]


def test_wheels_of_the_control_host_alone(bring: Bring, host: Host, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/a-1-py3-none-any.whl").write_bytes(b"wheel")
    name = bring(check_mode=True)["release"]
    host.fails = "--require-hashes"
    told = bring(wheelhouse=str(tmp_path / "wheels"))
    assert {"--no-index", "--find-links"} < set(host.commands[1])
    assert name in told["msg"]
    assert "wheelhouse" not in told["msg"]
    host.fails = ""
    bring(wheelhouse=str(tmp_path / "wheels"))
    assert host.seen["wheels/a-1-py3-none-any.whl"] == b"wheel"


def test_a_release_without_a_program_and_folders_beside_it(bring: Bring, host: Host, tmp_path: Path) -> None:
    for name in ("roles/a", "plugins/b", "tests/c"):
        (tmp_path / "more" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / name).write_text(name)
    (tmp_path / "more/plugins/b").chmod(0o700)
    built = bring(version="2", folders=[(tmp_path / "more", "coll/more", ["roles", "plugins", "none"])])
    assert built["release"].startswith("2-")
    assert len(host.commands) == 2
    inside = Path(built["path"]) / "coll/more"
    assert sorted(str(path.relative_to(inside)) for path in inside.rglob("*")) == [
        "plugins",
        "plugins/b",
        "roles",
        "roles/a",
    ]
    assert [stat.S_IMODE((inside / name).stat().st_mode) for name in ("plugins/b", "roles/a")] == [0o755, 0o644]


@pytest.mark.parametrize(
    ("python", "path", "told"),
    [
        (None, "/opt/p", 'prog_python is "/opt/p", and no Python runs there.'),
        ([3, 10, True], "/opt/p", "prog_python /opt/p is 3.10, and 3.11 or newer is needed."),
        ([3, 12, False], "/opt/p", "prog_python /opt/p cannot make virtual environments"),
    ],
)
def test_a_python_that_does_not_do(bring: Bring, host: Host, python: Any, path: str, told: str) -> None:
    host.python = python
    assert bring(python=path, check_mode=True)["msg"].startswith(told)


def test_the_missing_package_is_named_where_there_is_something_to_build(bring: Bring, host: Host) -> None:
    host.python = [3, 12, False]
    assert bring(check_mode=True)["missing_package"] == "python3.12-venv"
    host.python = [3, 12, True]
    bring()
    host.python = [3, 12, False]
    assert bring()["missing_package"] == ""


def test_a_program_that_is_none(tmp_path: Path, source: Path) -> None:
    with pytest.raises(GizziError, match="holds no program that could be packed"):
        program(tmp_path / "nothing", "", "", [])
    with pytest.raises(GizziError, match="has no wheels in"):
        program(source, "", str(tmp_path), [])


def test_the_real_programs_are_packed() -> None:
    roles = Path(__file__).parents[4] / "roles"
    for role, folder in (("ollama_client", "ollama-client"), ("gizzi_api", "gizzi-api")):
        found = program(roles / role / "files" / folder, "", "", [])
        assert found.version[0].isdigit()
        assert any(name.endswith("/__init__.py") for name in found.content)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the program wants Python 3.11")
def test_a_python_is_asked_for_real(run_module: Bring, tmp_path: Path) -> None:
    given = {"label": "P", "prefix": "p", "source": "/", "root": str(tmp_path), "version": "1", "content": "c"}
    result = run_module(python_release.main, check_mode=True, python=sys.executable, **given)
    assert result["site_packages"].endswith(f"/lib/python3.{sys.version_info[1]}/site-packages")
