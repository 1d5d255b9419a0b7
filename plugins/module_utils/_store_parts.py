# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blobs that leave a store or come into one in parts, so that no host has to hold one twice, on disk or in memory."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import PIECE, be_idle, blob_digest, blob_name, sha256
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._safe_files import is_ours_alone, opened_file, opened_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

# Bytes of one part: so much disk is taken beside the store, and each part costs one call of a module.
PART = 256 * 1024 * 1024
# Root's alone. Ollama looks into blobs and manifests only, and removes from blobs what is no blob when it starts.
INCOMING = ".gizzi-incoming"
# Behind the name of a blob that was hashed.
GOOD = ".good"
# As Ollama makes them in the role's unit: the group may read, for a mirror.
FILE_MODE, FOLDER_MODE = 0o640, 0o750
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_part(store: Path, digest: str, start: int, place: Path) -> int:
    """Write the part of a blob that begins at a byte to a file, for the owner of its folder; return the part's bytes.

    Raise GizziError where the blob cannot be read or the file not be written.
    """
    be_idle()
    name = blob_name(digest)
    try:
        with (
            opened_folder(store / "blobs") as blobs,
            opened_file(blobs, name) as blob,
            opened_folder(place.parent) as folder,
        ):
            os.lseek(blob, start, os.SEEK_SET)
            with suppress(FileNotFoundError):
                os.unlink(place.name, dir_fd=folder)
            part = os.open(place.name, os.O_WRONLY | _NEW, 0o600, dir_fd=folder)
            try:
                count = _copy(blob, part, PART)
                owner = os.fstat(folder)
                os.fchown(part, owner.st_uid, owner.st_gid)
            finally:
                os.close(part)
            return count
    except OSError as error:
        raise GizziError(f"The blob {name} of {store} cannot be read: {error.strerror}.") from error


@dataclass(frozen=True)
class Incoming:
    """The blobs that have come for a store, in a folder of their own beside the others.

    There they stay until all have come that a model needs, since an Ollama that starts removes blobs that no model has.
    Every method but there() and good() needs the store's folder. All raise GizziError where something cannot be read or
    written.
    """

    store: Path

    def there(self) -> dict[str, int] | None:
        """Return the bytes of each blob that is not whole, by digest; None where the folder is not there."""
        sizes = self._sizes()
        if sizes is None:
            return None
        found = {blob_digest(name): size for name, size in sizes.items()}
        return {digest: size for digest, size in found.items() if digest}

    def good(self) -> set[str]:
        """Return the digests of the blobs that are whole, and what their names say."""
        names = [name[: -len(GOOD)] for name in self._sizes() or () if name.endswith(GOOD)]
        return set(filter(None, map(blob_digest, names)))

    def _sizes(self) -> dict[str, int] | None:
        try:
            with opened_folder(self.store / INCOMING) as folder, os.scandir(folder) as entries:
                if not is_ours_alone(folder):
                    raise self._others()
                return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error) from error

    def append(self, digest: str, start: int, size: int, part: Path) -> int:
        """Append a part, which is removed, to a blob; return the bytes that the blob has now.

        One that has all its bytes, of which there are size, is hashed. Raise GizziError where its content is another
        than its name says; nothing of it is left then.
        """
        be_idle()
        name = blob_name(digest)
        try:
            with self._opened() as folder, _unfinished(folder, name) as file:
                if start == 0:
                    os.ftruncate(file, 0)
                if os.fstat(file).st_size != start:
                    raise GizziError(f"{self.store / INCOMING / name} changed meanwhile. Run this alone.")
                with opened_folder(part.parent) as parts, opened_file(parts, part.name) as source:
                    os.lseek(file, start, os.SEEK_SET)
                    there = start + _copy(source, file, size - start)
                    os.unlink(part.name, dir_fd=parts)
                os.fsync(file)
                if there == size:
                    self._judge(folder, name, file, digest)
                return there
        except OSError as error:
            raise self._error(error) from error

    def _judge(self, folder: int, name: str, file: int, digest: str) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        found, _size = sha256(file)
        if found != digest:
            os.unlink(name, dir_fd=folder)
            raise GizziError(
                f"What came as {digest} has the digest {found}. It was removed again, and another run sends it again."
            )
        os.rename(name, f"{name}{GOOD}", src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)

    def bring(self, source: Path, digest: str, copy: bool) -> None:
        """Bring a whole blob from another store on this host: as a second name of its file, or as a copy."""
        name = blob_name(digest)
        try:
            with self._opened() as folder, opened_folder(source / "blobs") as blobs:
                if not copy:
                    os.link(name, f"{name}{GOOD}", src_dir_fd=blobs, dst_dir_fd=folder, follow_symlinks=False)
                    return
                with opened_file(blobs, name) as blob, _unfinished(folder, name) as file:
                    os.ftruncate(file, 0)
                    _copy(blob, file, os.fstat(blob).st_size)
                    os.fsync(file)
                    self._judge(folder, name, file, digest)
        except OSError as error:
            raise self._error(error) from error

    def take(self, digests: Iterable[str]) -> None:
        """Make those blobs the store's that are whole, in the place of what has their names there."""
        good = self.good() & set(digests)
        try:
            with self._opened() as folder, opened_folder(self.store) as store, self._made(store, "blobs") as blobs:
                for name in sorted(map(blob_name, good)):
                    with opened_file(folder, f"{name}{GOOD}") as file:
                        self._give(store, file, FILE_MODE)
                    os.rename(f"{name}{GOOD}", name, src_dir_fd=folder, dst_dir_fd=blobs)
                os.fsync(blobs)
        except OSError as error:
            raise self._error(error) from error

    def name(self, name: ModelName, manifest: bytes) -> None:
        """Give the model of a manifest, whose blobs are all there, its name; a model that has it is replaced."""
        try:
            with self._opened() as folder, opened_folder(self.store) as store:
                with suppress(FileNotFoundError):
                    os.unlink("manifest", dir_fd=folder)
                file = os.open("manifest", os.O_WRONLY | _NEW, 0o600, dir_fd=folder)
                with os.fdopen(file, "wb") as content:
                    content.write(manifest)
                    content.flush()
                    self._give(store, file, FILE_MODE)
                    os.fsync(file)
                with self._made(store, "manifests", name.host, name.namespace, name.model) as models:
                    os.rename("manifest", name.tag, src_dir_fd=folder, dst_dir_fd=models)
                    os.fsync(models)
        except OSError as error:
            raise self._error(error) from error

    def clean(self) -> None:
        """Remove the folder with all that is in it: what an earlier run has left that is not needed any more."""
        try:
            with opened_folder(self.store / INCOMING) as folder:
                for name in self._names(folder):
                    os.unlink(name, dir_fd=folder)
            with opened_folder(self.store) as store:
                os.rmdir(INCOMING, dir_fd=store)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(error) from error

    @staticmethod
    def _names(folder: int) -> list[str]:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with opened_folder(self.store) as store:
            with suppress(FileExistsError):
                os.mkdir(INCOMING, 0o700, dir_fd=store)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            folder = os.open(INCOMING, flags, dir_fd=store)
        try:
            if not is_ours_alone(folder):
                raise self._others()
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _made(self, store: int, *path: str) -> Iterator[int]:
        """Open a folder below the store, made where it is missing for the store's owner, through no link."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = [os.dup(store)]
        try:
            for part in path:
                new = False
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=opened[-1])
                    new = True
                opened.append(os.open(part, flags, dir_fd=opened[-1]))
                if new:
                    self._give(store, opened[-1], FOLDER_MODE)
            yield opened[-1]
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _give(self, store: int, what: int, mode: int) -> None:
        """Give an open file or folder to the owner of the store."""
        owner = os.fstat(store)
        os.fchown(what, owner.st_uid, owner.st_gid)
        os.fchmod(what, mode)

    def _others(self) -> GizziError:
        return GizziError(f"{self.store / INCOMING} can be written by others. Remove it and run this again.")

    def _error(self, error: OSError) -> GizziError:
        if error.errno == errno.ENOENT:
            return GizziError(f"There is no store {self.store} on this host. Deploy its Ollama first.")
        return GizziError(f"The store {self.store} cannot be written: {error.strerror}. Run this task as root.")


@contextmanager
def _unfinished(folder: int, name: str) -> Iterator[int]:
    """Open a blob that is not whole yet, or make it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a file of this run alone", name)
        yield file
    finally:
        os.close(file)


def _copy(source: int, target: int, most: int) -> int:
    """Copy bytes from where two open files stand, and return how many; what was read leaves the page cache."""
    count = 0
    while count < most:
        piece = os.read(source, min(PIECE, most - count))
        if not piece:
            break
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
        count += len(piece)
    os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)
    return count
