# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program and its wheels, as they lie on the control host, for the module python_release."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tomllib

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROGRAM = ("README.md", "pyproject.toml", "src")


@dataclass(frozen=True)
class Program:
    """The files of a release, by their names in the archive; wheels do not decide the content, their hashes do."""

    version: str
    content: dict[str, Path]
    wheels: dict[str, Path]

    def checksum(self) -> str:
        """Return the sha256 of all that decides the content."""
        whole = hashlib.sha256()
        for name, path in sorted(self.content.items()):
            whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return whole.hexdigest()

    def pack(self) -> bytes:
        """Return an archive of it, as root's: no name or mode of the control host's user is in it."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, path in sorted({**self.content, **self.wheels}.items()):
                content = path.read_bytes()
                member = tarfile.TarInfo(name)
                member.size = len(content)
                member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                tar.addfile(member, io.BytesIO(content))
        return packed.getvalue()


def program(
    source: Path, version: str, wheelhouse: str, beside: Iterable[tuple[Path, str, list[str] | None]]
) -> Program:
    """Return the files of a program: with a version it has no program of its own, but what requirements.txt names.

    beside has folders, where they lie in the release, and which parts of them. Raises GizziError.
    """
    try:
        own = () if version else _PROGRAM
        content = dict(_files(source, "program", ["requirements.txt", *own]))
        for folder, place, parts in beside:
            content.update(_files(folder, f"beside/{place}", parts or [path.name for path in sorted(folder.iterdir())]))
        if not version:
            version = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, KeyError, ValueError) as error:
        raise GizziError(f"{source} holds no program that could be packed: {error}.") from error
    wheels = {f"wheels/{path.name}": path for path in sorted(Path(wheelhouse).glob("*.whl"))} if wheelhouse else {}
    if wheelhouse and not wheels:
        raise GizziError(f'The control host has no wheels in "{wheelhouse}".')
    return Program(version, content, wheels)


def _files(folder: Path, place: str, parts: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for part in parts:
        whole = folder / part
        for path in [whole] if whole.is_file() else sorted(whole.rglob("*")):
            name = path.relative_to(folder)
            left_out = any(step == "__pycache__" or step.endswith(".egg-info") for step in name.parts)
            if path.is_file() and not left_out and path.suffix != ".pyc":
                yield f"{place}/{name}", path
