# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release of Ollama beside the others: chosen, downloaded, and put in its place when it is whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._archive import sum_of_members, unpack
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import check_base_url, download, request
from ansible_collections.etrid.gizzi.plugins.module_utils._release_parts import missing_parts
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHECKSUMS = "sha256sum.txt"
# The names of the processors in Ollama's archives, by the kernel's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-rc\d+)?")
_LEFTOVER = re.compile(r"\.\d+\.\d+\.\d+(?:-rc\d+)?\.(?:partial(?:\..+)?|old)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})\s+\*?(?:\./)?(\S+)")


@dataclass(frozen=True)
class Archive:
    """An archive of a release.

    Attributes:
        name: its file name.
        checksum: its SHA-256 in hex.
    """

    name: str
    checksum: str

    @property
    def zstd(self) -> bool:
        """Whether it is packed with zstd."""
        return self.name.endswith(".zst")


@dataclass(frozen=True)
class Wanted:
    """What is to be there.

    Attributes:
        version: the release, without a ``v``.
        root: the folder of the releases.
        release_url: base of ``v<version>/sha256sum.txt`` and the archives.
        checksum: SHA-256 of the archive in hex; "" takes that of ``sha256sum.txt``.
        reserved_disk: bytes that must stay free on the disk of ``root``.
        timeout: seconds that the download may take.
        stall_timeout: seconds that it may be silent.
    """

    version: str
    root: Path
    release_url: str
    checksum: str
    reserved_disk: int
    timeout: float
    stall_timeout: float

    @property
    def target(self) -> Path:
        """Where the release lies when it is whole."""
        return self.root / self.version

    @property
    def partial(self) -> Path:
        """Where it is unpacked; what else is unfinished has a name that begins so."""
        return self.root / f".{self.version}.partial"


def check_wanted(wanted: Wanted) -> None:
    """Raise GizziError when a value cannot be right; plain http is taken with a checksum alone."""
    if not _VERSION.fullmatch(wanted.version):
        raise GizziError(f'version is {wanted.version!r}. Write it without a v, for instance "0.34.2".')
    if wanted.checksum and not _SHA256.fullmatch(wanted.checksum):
        raise GizziError(f"checksum is {wanted.checksum!r}. It is a SHA-256, 64 lower-case hex digits, or empty.")
    check_base_url(wanted.release_url, "release_url")
    if not wanted.release_url.startswith("https://") and not wanted.checksum:
        raise GizziError(f"release_url is {wanted.release_url!r}. It must start with https://, or set checksum too.")


def choose_archive(checksums: str, machine: str) -> Archive | None:
    """Return the archive for a processor (``x86_64``, ``aarch64``) out of sha256sum.txt; .tar.zst goes before .tgz."""
    base = f"ollama-linux-{ARCHITECTURES.get(machine, 'none')}"
    named = {name: checksum for checksum, name in _CHECKSUM_LINE.findall(checksums)}
    names = [name for name in (f"{base}.tar.zst", f"{base}.tgz") if name in named]
    return Archive(names[0], named[names[0]]) if names else None


def find_archive(wanted: Wanted, machine: str) -> Archive:
    """Read the release's sha256sum.txt, and return the archive for this host with the checksum that must hold."""
    url = f"{wanted.release_url}/v{wanted.version}/{CHECKSUMS}"
    text = request("GET", url, wanted.stall_timeout, use_proxy=True).body.decode("utf-8", "replace")
    archive = choose_archive(text, machine)
    if archive is None:
        raise GizziError(
            f"{url} names no archive for {ARCHITECTURES.get(machine, machine)}, neither .tar.zst nor .tgz. Check "
            "version and release_url."
        )
    return Archive(archive.name, wanted.checksum or archive.checksum)


def check_room(directory: Path, size: int, reserved: int, what: str) -> None:
    """Raise GizziError when ``size`` bytes and what must stay free do not fit on the disk of a folder."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    if free < size + reserved:
        raise GizziError(
            f"{human_bytes(size + reserved)} needed under {directory} ({what} {human_bytes(size)}, to stay free "
            f"{human_bytes(reserved)}), {human_bytes(free)} there: free some space, or leave less free."
        )


def fetch(
    wanted: Wanted, archive: Archive, check_mode: bool, clock: Callable[[], float] = time.monotonic
) -> tuple[Path, int]:
    """Download the archive to the disk of its destination, and return its path and its size in bytes.

    In check mode only its size is asked for and compared with the disk.
    """
    url = f"{wanted.release_url}/v{wanted.version}/{archive.name}"
    path = wanted.root / f"{wanted.partial.name}.{archive.name}"
    deadline = clock() + wanted.timeout
    with download(url, wanted.stall_timeout, use_proxy=True) as (size, pieces):
        if size is None:
            raise GizziError(f"{url} does not say how large it is, so whether it fits on the disk is unknown.")
        check_room(wanted.root, size, wanted.reserved_disk, "the archive")
        if check_mode:
            return path, size
        if not wanted.root.exists():
            wanted.root.mkdir(parents=True)
            wanted.root.chmod(0o755)
        digest, written = hashlib.sha256(), 0
        with path.open("xb") as file:
            for piece in pieces:
                if clock() > deadline:
                    raise GizziError(f"{url}: the download took longer than {wanted.timeout:g} s.")
                digest.update(piece)
                written += file.write(piece)
    if written != size:
        raise GizziError(f"{url} broke off after {written} of {size} bytes.")
    if digest.hexdigest() != archive.checksum:
        raise GizziError(
            f"The checksum of {url} is {digest.hexdigest()}, not {archive.checksum}. Nothing of it was used."
        )
    return path, size


def leftovers(root: Path) -> list[Path]:
    """Return what runs that were cut off have left of any release: archives, and folders that are not whole."""
    return sorted(path for path in root.glob(".*") if _LEFTOVER.fullmatch(path.name))


def drop_leftovers(root: Path) -> None:
    """Remove them."""
    for path in leftovers(root):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def install(wanted: Wanted, archive: Archive, zstd: str) -> dict[str, object]:
    """Download, unpack and put the release in its place at once; on any failure nothing of it is left.

    zstd is the path of that program, which unpacks .tar.zst. Returns archive_size and unpacked_size in bytes.
    """
    drop_leftovers(wanted.root)
    try:
        path, size = fetch(wanted, archive, check_mode=False)
        unpacked = sum_of_members(path, zstd)
        check_room(wanted.root, unpacked, wanted.reserved_disk, "the release")
        unpack(path, zstd, wanted.partial)
        missing = missing_parts(wanted.partial, wanted.version)
        if missing:
            raise GizziError(
                f"{archive.name} of {wanted.version} holds no executable {' and no '.join(missing)}. Nothing was "
                "changed."
            )
        _into_place(wanted)
    except OSError as error:
        raise GizziError(f"Ollama {wanted.version} could not be put under {wanted.root}: {error}.") from error
    finally:
        drop_leftovers(wanted.root)
    return {"archive_size": size, "unpacked_size": unpacked}


def _into_place(wanted: Wanted) -> None:
    """Rename; a release that is there lacks a part, and goes."""
    if wanted.target.exists():
        wanted.target.rename(wanted.partial.with_suffix(".old"))
    wanted.partial.rename(wanted.target)
