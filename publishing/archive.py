# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's archive so that the same files give the same bytes, whenever and wherever that is.

``ansible-galaxy collection build`` stamps the time, and lists the files in the order in which the file system has them.
Its archive is packed again: in the order of the names, with the times of SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

LISTING = "FILES.json"
MANIFEST = "MANIFEST.json"


class PublishingError(Exception):
    """What stands in the way of a release, and the remedy."""


def seconds(text: str | None) -> int:
    """The seconds since 1970 that SOURCE_DATE_EPOCH gives; PublishingError where it gives none."""
    if text is None or not text.isascii() or not text.isdecimal():
        raise PublishingError(
            f"SOURCE_DATE_EPOCH is {text!r}, and is to be seconds since 1970. Set it to the commit's time: "
            "git log -1 --format=%ct"
        )
    return int(text)


def build(source: Path, folder: Path, epoch: int) -> Path:
    """Build the collection in ``source``, put its archive into ``folder``, and return the archive's path."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["ansible-galaxy", "collection", "build", "--output-path", scratch, str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise PublishingError(f"ansible-galaxy cannot build the collection of {source}: {result.stderr.strip()}")
        (built,) = Path(scratch).glob("*.tar.gz")
        content = packed(members(built), epoch)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{built.name}.part"
        part.write_bytes(content)
        return part.replace(folder / built.name)


def members(archive: Path) -> dict[str, tuple[bytes | None, int]]:
    """Name, content (none for a folder) and mode of each member, the two lists of the files brought in order."""
    found: dict[str, tuple[bytes | None, int]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if not (member.isfile() or member.isdir()):
                raise PublishingError(f"{member.name} is a link, which not every machine unpacks. Put the file there.")
            stream = tar.extractfile(member) if member.isfile() else None
            found[member.name] = (stream.read() if stream else None, member.mode)
    listing = json.loads(found[LISTING][0] or b"")
    listing["files"].sort(key=lambda file: str(file["name"]))
    found[LISTING] = (as_json(listing), found[LISTING][1])
    manifest = json.loads(found[MANIFEST][0] or b"")
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(as_json(listing)).hexdigest()
    found[MANIFEST] = (as_json(manifest), found[MANIFEST][1])
    return found


def as_json(value: object) -> bytes:
    """JSON as ansible-galaxy writes it."""
    return json.dumps(value, indent=1).encode()


def packed(files: dict[str, tuple[bytes | None, int]], epoch: int) -> bytes:
    """A tar.gz of the files: root's, by name, all of one time, and no time or name in the head of gzip."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, (content, mode) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.mode, member.mtime = mode, epoch
            if content is None:
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def folder_members(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Name, content and mode of each file below a folder, under that folder's own name."""
    return {
        str(path.relative_to(folder.parent)): (path.read_bytes(), 0o644) for path in folder.rglob("*") if path.is_file()
    }


def main() -> None:
    """``archive.py collection SOURCE FOLDER`` or ``archive.py folder FOLDER ARCHIVE``."""
    try:
        epoch = seconds(os.environ.get("SOURCE_DATE_EPOCH"))
        what, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
        if what == "collection":
            print(build(source, target, epoch))
        else:
            target.write_bytes(packed(folder_members(source), epoch))
    except PublishingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
