# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Python program in a virtual environment of its own, beside its earlier releases."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._programs import NotRunError

if TYPE_CHECKING:
    from typing import Any

# Runs a command for so many seconds at most; returns its exit code, its output and its errors, or raises GizziError.
Run = Callable[[list[str], float], "tuple[int, str, str]"]
# Seconds: for a question to a Python, and for a step of a build, which may fetch wheels over a slow line.
ASK_PATIENCE = 60.0
BUILD_PATIENCE = 1800.0

OLDEST = (3, 11)
_FINISHED = ".finished"
_BUILD = ".build"
_ASK = (
    "import importlib.util, json, sys; "
    'print(json.dumps([*sys.version_info[:2], importlib.util.find_spec("ensurepip") is not None]))'
)


@dataclass(frozen=True)
class Wanted:
    """A release: content is what decides it, as one sha256; prefix that of the role's variables, for messages."""

    label: str
    prefix: str
    root: Path
    python: str
    version: str
    content: str
    program: bool = True
    wheels: bool = False


@dataclass(frozen=True)
class Python:
    """A Python of the host."""

    version: str
    venv: bool

    @property
    def package(self) -> str:
        """The distribution's package that lets it make virtual environments."""
        return f"python{self.version}-venv"


def look_at_python(wanted: Wanted, run: Run) -> Python:
    """Return what the wanted Python is; raise GizziError for one that cannot run the program."""
    name = f"{wanted.prefix}_python"
    try:
        code, output, _errors = run([wanted.python, "-c", _ASK], ASK_PATIENCE)
        major, minor, venv = from_json(output) if code == 0 else (0, 0, False)
    except (NotRunError, ValueError):
        major, minor, venv = 0, 0, False
    if not major:
        raise GizziError(
            f'{name} is "{wanted.python}", and no Python runs there. Install one of version 3.11 or newer, or name its '
            "path."
        )
    if (major, minor) < OLDEST:
        raise GizziError(
            f"{name} {wanted.python} is {major}.{minor}, and 3.11 or newer is needed. Install a newer Python beside it "
            'and name its path, for instance "/usr/bin/python3.12".'
        )
    if not venv and not wanted.python.startswith("/usr/bin/python3"):
        raise GizziError(
            f"{name} {wanted.python} cannot make virtual environments, as it has no module ensurepip. Install that, or "
            'use the distribution\'s "/usr/bin/python3", for which this is done.'
        )
    return Python(f"{major}.{minor}", bool(venv))


def name_of(wanted: Wanted, python: Python) -> str:
    """Return the name of a release: it has in it everything that decides the content."""
    content = json.dumps([wanted.content, wanted.python, python.version])
    return f"{wanted.version}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def result_of(wanted: Wanted, python: Python) -> dict[str, Any]:
    """Return what the module returns of a release, whether it is there or not."""
    path = wanted.root / name_of(wanted, python)
    new = not (path / _FINISHED).is_file()
    return {
        "changed": new,
        "release": path.name,
        "path": str(path),
        "site_packages": f"{path}/lib/python{python.version}/site-packages",
        "missing_package": python.package if new and not python.venv else "",
    }


def build(wanted: Wanted, path: Path, archive: Path, checksum: str, run: Run) -> None:
    """Build a release out of an archive with this sha256; on a failure nothing of it is left, and GizziError says why.

    The archive has ``program``, ``wheels`` and, for the release itself, ``beside``.
    """
    folder = wanted.root / _BUILD
    try:
        # Whatever root's own is on this host: every user may read the release.
        before = os.umask(0o022)
        try:
            _build(wanted, path, folder, _checked(archive, checksum), run)
        finally:
            os.umask(before)
    except (OSError, tarfile.TarError, GizziError) as error:
        _drop(path)
        hint = (
            ""
            if wanted.wheels
            else (
                " A host that reaches no package index takes the wheels from the control host: see "
                f"{wanted.prefix}_wheelhouse."
            )
        )
        raise GizziError(
            f"{wanted.label} {path.name} could not be installed, and what runs was not changed. {error}{hint}"
        ) from error
    finally:
        _drop(folder)


def _build(wanted: Wanted, path: Path, folder: Path, archive: Path, run: Run) -> None:
    wanted.root.mkdir(parents=True, exist_ok=True)
    for one in (path, folder):
        _drop(one)
    folder.mkdir()
    _unpack(archive, folder)
    _must(run, "Making the virtual environment", [wanted.python, "-m", "venv", str(path)])
    pip = [f"{path}/bin/pip", "install", "--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
    # Wheels only: nothing of others is built, and so run, as root.
    needs = ["--require-hashes", "--only-binary=:all:", "--requirement", f"{folder}/program/requirements.txt"]
    index = ["--no-index", "--find-links", f"{folder}/wheels"] if wanted.wheels else []
    _must(run, "Installing the dependencies", [*pip, *needs, *index])
    if wanted.program:
        own = ["--no-index", "--no-deps", "--no-build-isolation", f"{folder}/program"]
        _must(run, "Installing the program", [*pip, *own])
    if (folder / "beside").is_dir():
        shutil.copytree(folder / "beside", path, dirs_exist_ok=True)
    _let_read(path)
    # Written last: a release without it is half built.
    (path / _FINISHED).touch(mode=0o644)


def _checked(archive: Path, checksum: str) -> Path:
    if hashlib.sha256(archive.read_bytes()).hexdigest() != checksum:
        raise GizziError("The archive from the control host was damaged on its way.")
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        # Python from 3.12 on warns without one; before 3.11.4 there is none.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in tar:
            if (
                not (member.isfile() or member.isdir())
                or member.name.startswith("/")
                or ".." in Path(member.name).parts
            ):
                raise GizziError(f"The archive holds {member.name!r}, which is neither a file nor a folder in it.")
            tar.extract(member, folder, set_attrs=False)
            if member.isfile() and member.mode & stat.S_IXUSR:
                (folder / member.name).chmod(0o755)


def _let_read(path: Path) -> None:
    for folder, _folders, files in os.walk(path):
        for one in [Path(folder), *(Path(folder) / name for name in files)]:
            mode = one.lstat().st_mode
            if not stat.S_ISLNK(mode):
                executable = stat.S_ISDIR(mode) or mode & stat.S_IXUSR
                one.chmod(0o755 if executable else 0o644)


def _must(run: Run, what: str, command: list[str]) -> None:
    try:
        code, output, errors = run(command, BUILD_PATIENCE)
    except GizziError as error:
        raise GizziError(f"{what}: {error}") from error
    if code != 0:
        raise GizziError(f"{what}: {(errors or output).strip() or f'exit code {code}'}.")


def _drop(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
