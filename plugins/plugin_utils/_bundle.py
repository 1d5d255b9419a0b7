# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file on the control host that holds models: a tar with an index and then each blob once.

The same models give the same file, byte for byte, so that its checksum names them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tarfile
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import PIECE, blob_name
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import from_json
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._offered import entry_of, entry_without, parse_offers
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_manifest
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Layer

INDEX = "index.json"
FORMAT = 1
# An index has some 3 kB for each model.
MAX_INDEX = 16 * 1024 * 1024
Entries = dict[str, dict[str, t.Any]]


class Target(t.Protocol):
    """What can be written to."""

    def write(self, data: bytes, /) -> int:
        """Write all of the data; return its bytes."""


class Blobs(t.Protocol):
    """Where the blobs of a new bundle come from."""

    def read(self, digest: str, start: int, target: Target) -> int:
        """Write the part of a blob that begins at a byte to a target; return its bytes, 0 behind the end."""


@dataclass(frozen=True)
class Written:
    """A bundle's SHA-256 in hex, None where there is none yet; its size in bytes; whether it is another than before."""

    sha256: str | None
    size: int
    changed: bool


def entry(manifest_text: str, header: Mapping[str, t.Any] | None, header_error: str) -> dict[str, t.Any]:
    """Return what the index has of a model, in the form of ollama_registry_info; ValueError for what is no manifest."""
    about = {"header": dict(header) if header else None, "header_error": header_error}
    return {**entry_of(parse_manifest(manifest_text.encode())), **about}


def absent(path: Path, name: str) -> dict[str, t.Any]:
    """Return what ollama_registry_info would return of a model that a bundle does not have."""
    error = f"The bundle {path} does not have {name}."
    return {**entry_without(error), "header": None, "header_error": error}


class Bundle:
    """A bundle that is there.

    Attributes:
        models: what ollama_registry_info would return of each, by the name as Ollama shows it.
        sizes: the bytes of each blob, by digest.
    """

    def __init__(self, path: Path) -> None:
        """Raise GizziError where the file is no bundle, or cannot be read. Its blobs are not hashed."""
        self._path = path
        try:
            with tarfile.open(path, "r:") as tar:
                self.index, self.models = self._read_index(tar)
                self._places = {member.name: (member.offset_data, member.size) for member in tar if member.isreg()}
        except OSError as error:
            raise GizziError(f"The bundle {path} cannot be read: {error.strerror}.") from None
        except (tarfile.TarError, ValueError) as error:
            raise GizziError(f"{path} is no bundle of models: {error}.") from None
        self.sizes = {layer.digest: layer.size for layer in layers_of(self.models)}
        gone = [digest for digest, size in self.sizes.items() if self._place(digest)[1] != size]
        if gone:
            raise GizziError(f"The bundle {path} is not whole: {', '.join(gone)} is missing or cut short.")

    def copy(self, digest: str, start: int, most: int, target: Target) -> None:
        """Write at most so many bytes of a blob, from one on, to a file."""
        offset, size = self._place(digest)
        with self._path.open("rb") as file:
            file.seek(offset + start)
            left = min(most, size - start)
            while left > 0:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise GizziError(f"The bundle {self._path} was cut off meanwhile.")
                target.write(piece)
                left -= len(piece)

    def is_good(self) -> bool:
        """Whether each blob is what its name says."""
        return all(self._sha256(digest) == digest for digest in self.sizes)

    def _sha256(self, digest: str) -> str:
        hashing = _Hashing(None)
        self.copy(digest, 0, self.sizes[digest], hashing)
        return f"sha256:{hashing.digest.hexdigest()}"

    def _place(self, digest: str) -> tuple[int, int]:
        return self._places.get(_member(digest), (0, -1))

    @staticmethod
    def _read_index(tar: tarfile.TarFile) -> tuple[bytes, Entries]:
        first = tar.next()
        file = tar.extractfile(first) if first and first.name == INDEX and first.size <= MAX_INDEX else None
        if file is None:
            raise ValueError(f"it does not begin with {INDEX}")
        data = file.read()
        return data, _models(from_json(data))


def layers_of(models: Entries) -> list[Layer]:
    """Return each blob of some entries once, in the order of their digests."""
    layers = {
        layer.digest: layer for one in models.values() for layer in parse_manifest(one["manifest"].encode()).layers
    }
    return [layers[digest] for digest in sorted(layers)]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex; raise GizziError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except OSError as error:
        raise GizziError(f"The bundle {path} cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def write(path: Path, models: Entries, blobs: Blobs, check: bool) -> Written:
    """Make or replace a bundle in one moment; one that is there already and good stays. In check mode write nothing.

    Raise GizziError where a blob is not what its name says, where the file cannot be written, and where it is there and
    no bundle; it is as before then.
    """
    index = _index(models)
    layers = layers_of(models)
    there = _same(path, index)
    if there:
        return there
    size = sum(layer.size for layer in layers) + len(index)
    try:
        free = os.statvfs(path.parent)
        if size > free.f_bavail * free.f_frsize:
            raise GizziError(f"{path.parent} has not enough disk for the bundle, which takes {human_bytes(size)}.")
        if check:
            return Written(None, size, True)
        with _replacing(path) as file:
            hashing = _Hashing(file)
            _put(hashing, INDEX, len(index), lambda target: target.write(index))
            for layer in layers:
                _put(hashing, _member(layer.digest), layer.size, _Copying(blobs, layer))
            # The end of a tar.
            hashing.write(bytes(2 * tarfile.BLOCKSIZE))
        return Written(hashing.digest.hexdigest(), path.stat().st_size, True)
    except OSError as error:
        raise GizziError(f"The bundle {path} cannot be written: {error.strerror or error}.") from None


def _put(target: Target, name: str, size: int, content: t.Callable[[Target], object]) -> None:
    """Write a member of a tar."""
    member = tarfile.TarInfo(name)
    member.size = size
    target.write(member.tobuf(tarfile.GNU_FORMAT))
    content(target)
    target.write(bytes(-size % tarfile.BLOCKSIZE))


@dataclass(frozen=True)
class _Copying:
    """The content of a blob that a host has, hashed while it is copied."""

    blobs: Blobs
    layer: Layer

    def __call__(self, target: Target) -> None:
        hashing, done = _Hashing(target), 0
        while done < self.layer.size:
            count = self.blobs.read(self.layer.digest, done, hashing)
            if not count:
                break
            done += count
        found = f"sha256:{hashing.digest.hexdigest()}"
        if found != self.layer.digest:
            raise GizziError(
                f"The blob {self.layer.digest} of the host is damaged: its content has the digest {found}. No bundle "
                "was written. Pull its model again with etrid.gizzi.ollama_model and verify_blobs=true."
            )


def _same(path: Path, index: bytes) -> Written | None:
    """Return a bundle that is there, if it has this index and its blobs are good; GizziError for another file."""
    if not os.path.lexists(path):
        return None
    try:
        there = Bundle(path)
    except GizziError as error:
        raise GizziError(f"{error} Remove it, or name another file.") from None
    if there.index != index or not there.is_good():
        return None
    return Written(sha256_of(path), path.stat().st_size, False)


def _index(models: Entries) -> bytes:
    return json.dumps({"format": FORMAT, "models": models}, indent=1, sort_keys=True).encode() + b"\n"


def _models(index: t.Any) -> Entries:
    """Return the models of an index; raise ValueError for one that is none."""
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError(f"its index is not of format {FORMAT}")
    models = index.get("models")
    if not isinstance(models, dict):
        raise ValueError("its index has no models")
    for name, one in models.items():
        try:
            right = str(parse_model_name(name)) == name and one == entry(
                one["manifest"], one["header"], one["header_error"]
            )
            parse_offers({name: one})
        except (GizziError, AttributeError, KeyError, TypeError, ValueError):
            right = False
        if not right:
            raise ValueError(f"its index is wrong about {name}")
    return models


def _member(digest: str) -> str:
    return f"blobs/{blob_name(digest)}"


@contextmanager
def _replacing(path: Path) -> Iterator[t.BinaryIO]:
    """Open a file that becomes the one of this path at the end, where nothing fails. One run at a time."""
    partial = path.parent / f".{path.name}.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GizziError(f"Another run is writing {path}. Wait for it.") from None
        try:
            # What a run before this one has left that was killed.
            file.truncate(0)
            yield file
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
            partial.replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                partial.unlink()
            raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Hashing:
    """A target that hashes what goes through it."""

    def __init__(self, target: Target | None) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self.digest.update(data)
        return self._target.write(data) if self._target else len(data)
