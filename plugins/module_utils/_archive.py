# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host needs of an archive of Ollama, unpacked so that nothing in it leads out of its folder."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._programs import ended_after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Seconds that a release may take to unpack, on a disk that does only some MB a second.
PATIENCE = 1800.0
REMEDY = "See on the host whether its disk still answers ('dmesg', 'iostat'), solve that, and run this again."
# Upstream's folders of libraries for one kind of GPU each (its Dockerfile). The unit has no devices.
_FOR_GPUS = re.compile(r"lib/ollama/(?:cuda|rocm|mlx|vulkan)[^/]*(?:/|$)")


def is_needed(name: str) -> bool:
    """Tell whether a host without a GPU needs a member, by its normalised name."""
    return not _FOR_GPUS.match(name)


def safe_name(name: str) -> str:
    """Return a member's normalised name ("." for the top); GizziError when it leads out of the archive."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise GizziError(f"The archive holds {name!r}, which leads out of its folder. Nothing was changed.")
    return posixpath.normpath(name)


def safe_link(name: str, target: str) -> str:
    """Return a symbolic link's target; GizziError when it leads, or could lead, out of the archive.

    It may climb only at its beginning: there every folder is a real one, and no other link.
    """
    tail = re.sub(r"^(?:\.\./)+", "", target)
    inside = not posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).startswith("..")
    if not target or target.startswith("/") or ".." in tail.split("/") or not inside:
        raise GizziError(f"The archive holds the link {name} to {target!r}, which leads out of its folder.")
    return target


def sum_of_members(archive: Path, zstd: str) -> int:
    """Return the bytes that the needed members of an archive take when they are unpacked."""
    with _opened(archive, zstd) as tar:
        return sum(member.size for member in tar if member.isreg() and is_needed(safe_name(member.name)))


def unpack(archive: Path, zstd: str, folder: Path) -> None:
    """Unpack the needed members into a new folder, as the user who runs this; GizziError for an unsafe one.

    zstd is the path of the program, for an archive that ends in .zst.
    """
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with _opened(archive, zstd) as tar:
        for member in tar:
            name = safe_name(member.name)
            if name != "." and is_needed(name):
                _write(tar, member, folder, name)


@contextmanager
def _opened(archive: Path, zstd: str) -> Iterator[tarfile.TarFile]:
    """Read an archive as a stream, .tar.zst through the program; one that is damaged is a GizziError."""
    try:
        if not archive.name.endswith(".zst"):
            with tarfile.open(archive, "r|gz") as tar:
                yield tar
            return
        command = [zstd, "--decompress", "--stdout", "--quiet", str(archive)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True)
        with process, ended_after(process, command, PATIENCE, REMEDY):
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                    yield tar
                # The end of a tar file is padded, and zstd fails when nobody reads that.
                while process.stdout and process.stdout.read(1 << 20):
                    pass
            except BaseException:
                process.kill()
                raise
            said = process.stderr.read(300).decode("utf-8", "replace").strip() if process.stderr else ""
        if process.returncode != 0:
            raise GizziError(f"{archive.name} cannot be unpacked: {said or 'zstd failed'}.")
    except (tarfile.TarError, EOFError) as error:
        raise GizziError(f"{archive.name} cannot be unpacked: {error}.") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> None:
    path = folder / name
    _make_parents(folder, name)
    if path.is_symlink() or path.is_file():
        path.unlink()
    if member.isdir():
        path.mkdir(mode=0o755, exist_ok=True)
        path.chmod(0o755)
    elif member.issym():
        path.symlink_to(safe_link(name, member.linkname))
    elif member.islnk():
        source = folder / safe_name(member.linkname)
        if source.is_symlink() or not source.is_file():
            raise GizziError(f"The archive links {name} to {member.linkname}, which is no file that was unpacked.")
        os.link(source, path)
    elif member.isreg():
        _write_file(tar, member, path)
    else:
        raise GizziError(f"The archive holds {name}, which is neither a file, a folder nor a link.")


def _make_parents(folder: Path, name: str) -> None:
    """Make the folders above a member; none of them may be a link."""
    path = folder
    for part in name.split("/")[:-1]:
        path = path / part
        if path.is_symlink():
            raise GizziError(f"The archive holds {name} behind a link.")
        if not path.is_dir():
            path.mkdir(mode=0o755)
            path.chmod(0o755)


def _write_file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    with path.open("xb") as file:
        if source:
            shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fchmod(file.fileno(), 0o755 if member.mode & 0o111 else 0o644)
        # What is renamed into place must be on the disk.
        os.fsync(file.fileno())
