# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program and its wheels on the control host, for module python_release."""

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
    """A release's files by their names in the archive; the wheels' hashes in ``content`` decide, not the wheels."""

    version: str
    content: dict[str, Path]
    wheels: dict[str, Path]

    def checksum(self) -> str:
        """Return the sha256 of everything that decides the release's content."""
        whole = hashlib.sha256()
        for name, path in sorted(self.content.items()):
            whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return whole.hexdigest()

    def pack(self) -> bytes:
        """Return a tar archive with owner root and fixed modes, without data of the control host's user."""
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
    """Return a program's files. With a version, it has no program of its own, only the packages of requirements.txt.

    beside has further folders, their paths in the release, and their parts to copy. Raises GizziError.
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
