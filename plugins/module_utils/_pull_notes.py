# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notes of pulls that have not ended well: what they were to bring counts only once it was hashed.

Ollama never checks a blob again that is there, so what a pull left that was cut off would be taken as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import is_ours_alone, opened_folder, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

# Root's alone, below a folder of root's: /var/lib/ollama is the home of user ollama, who could take a note in it away.
# Notes are found by the path of their store, so that another store has its own.
FOLDER = Path("/var/lib/gizzi-ollama-pulls")
MAX_NOTE = 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class PullNote:
    """A pull that began and has not ended well.

    Attributes:
        model: the model's full name.
        blobs: the digests that were missing before the pull.
    """

    model: str
    blobs: tuple[str, ...]


class PullNotes:
    """The notes of one store. Every method raises GizziError where a note cannot be read or written."""

    def __init__(self, store: Path) -> None:
        self._store = os.path.normpath(store.absolute())

    def all(self) -> list[PullNote]:
        """Return every note of this store."""
        try:
            with _opened(FOLDER) as folder:
                notes = [
                    _parsed(folder, name)
                    for name in sorted(entry.name for entry in os.scandir(folder))
                    if name.endswith(".json")
                ]
        except FileNotFoundError:
            return []
        return [PullNote(note["model"], tuple(note["blobs"])) for note in notes if note["store"] == self._store]

    def unchecked(self, model: ModelName, needed: Iterable[str]) -> frozenset[str]:
        """Return what must be hashed before the model counts.

        That is what its own pulls were to bring that have not ended well, and what those of others were to bring of
        what is needed.
        """
        needed = set(needed)
        return frozenset(
            blob for note in self.all() for blob in note.blobs if note.model == _key(model) or blob in needed
        )

    def write(self, model: ModelName, blobs: Iterable[str]) -> None:
        """Note, before a pull, what it is to bring. It is on the disk when this returns."""
        self._put(_key(model), blobs)

    def forget(self, model: ModelName, hashed: Iterable[str]) -> None:
        """Forget the pulls of a model, and what others were to bring of what is hashed by now."""
        hashed = set(hashed)
        for note in self.all():
            rest = () if note.model == _key(model) else tuple(blob for blob in note.blobs if blob not in hashed)
            if not rest:
                self._drop(note.model)
            elif rest != note.blobs:
                self._put(note.model, rest)
        # Where nothing is to be remembered, nothing is left on the host.
        with suppress(OSError):
            FOLDER.rmdir()

    def _put(self, model: str, blobs: Iterable[str]) -> None:
        note = {"store": self._store, "model": model, "blobs": sorted(blobs)}
        name = self._name(model)
        with suppress(FileExistsError), _explained():
            FOLDER.mkdir(0o700, parents=True)
        with _opened(FOLDER) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(f"{name}.new", flags, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
                json.dump(note, file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(f"{name}.new", name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def _drop(self, model: str) -> None:
        with suppress(FileNotFoundError), _opened(FOLDER) as folder:
            os.unlink(self._name(model), dir_fd=folder)

    def _name(self, model: str) -> str:
        return hashlib.sha256(f"{self._store}\n{model}".encode()).hexdigest() + ".json"


def _key(model: ModelName) -> str:
    return model.full.lower()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    with _explained(), opened_folder(path) as folder:
        if not is_ours_alone(folder):
            raise GizziError(
                f"{path} can be written by others than root, so what it says of unfinished pulls cannot be trusted. "
                "Remove it, and hash the models once with verify_blobs."
            )
        yield folder


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise GizziError(
            f"The notes of unfinished pulls in {FOLDER} cannot be used: {error.strerror}. Run this task as root, or "
            "leave models_dir out."
        ) from error


def _parsed(folder: int, name: str) -> dict[str, Any]:
    try:
        note = from_json(read_file(folder, name, MAX_NOTE))
        if (
            isinstance(note["store"], str)
            and isinstance(note["model"], str)
            and all(map(_DIGEST.fullmatch, note["blobs"]))
        ):
            return dict(note)
    except (ValueError, KeyError, TypeError):
        pass
    raise GizziError(
        f"{FOLDER}/{name} is no note of an unfinished pull: remove it, and hash the models once with verify_blobs."
    )
