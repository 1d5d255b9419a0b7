"""Release archives in upstream's format: one build, and faulty copies of it for tests of release errors."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from lab.artifacts.binary import rename
from lab.artifacts.downloads import sha256_of
from lab.artifacts.errors import BuildError
from lab.artifacts.given import TGZ, ZST, Given, published_name
from lab.artifacts.progress import megabytes, step
from lab.artifacts.versions import Releases, Version

OLLAMA = "bin/ollama"
LLAMA_SERVER = "lib/ollama/llama-server"
HIDDEN = "bin/ollama-as-it-is"
ENDS_WITH_1 = "#!/bin/sh\necho 'ollama: this build does not start' >&2\nexit 1\n"
# A server before 0.30 starts its own program again as the child, so the child alone cannot be replaced.
GIVES_UP_LOADING = """\
#!/bin/sh
OLLAMA_LOAD_TIMEOUT=1ms exec "$(readlink -f "$0")-as-it-is" "$@"
"""


def publish_own(build: Path, version: str, downloads: Path) -> Path:
    """Pack the lab's own build in the format of Ollama 0.9, and return the archive."""
    with step(f"release {version}") as running:
        archive = folder(downloads, version) / TGZ
        with archive.open("wb") as sink, gzip.GzipFile("", "wb", 6, sink, mtime=0) as stream:
            write_tar(build, stream)
        write_checksum(archive, sha256_of(archive))
        running.note = megabytes(archive)
    return archive


def publish_given(release: Given, downloads: Path) -> Path:
    """Publish a release's original archive, and return it."""
    archive = folder(downloads, release.version) / published_name(release.archive)
    # A copy: the file may change later, and the web server's user may not be able to read it.
    shutil.copyfile(release.archive, archive)
    write_checksum(archive, release.sha256)
    return archive


def publish_shams(build: Path, releases: Releases, archive: Path, downloads: Path) -> Releases:
    """Pack the changed copies of the build; return the versions that are possible with this build."""
    with step(f"release {releases.wrong_checksum}, with a wrong checksum"):
        # Only the checksum is wrong: without the check this release would install and run.
        wrong = folder(downloads, releases.wrong_checksum) / archive.name
        os.link(archive, wrong)
        write_checksum(wrong, sha256_of(archive)[::-1])

    with step(f"release {releases.broken}, whose program does not start"), copied(build) as broken:
        write_program(broken / OLLAMA, ENDS_WITH_1)
        pack(broken, releases.broken, downloads)

    with step(f"release {releases.partless}, without llama-server"), copied(build) as partless:
        # The version decides whether llama-server is needed. If the rename fails, the missing part is found first.
        reports(partless, releases.version, releases.partless)
        (partless / LLAMA_SERVER).unlink(missing_ok=True)
        pack(partless, releases.partless, downloads)

    with step(f"release {releases.renamed}, the same build under that version") as running, copied(build) as renamed:
        if not reports(renamed, releases.version, releases.renamed):
            running.note = "this build cannot be renamed"
            return replace(releases, renamed="", mute="")
        pack(renamed, releases.renamed, downloads)

    with step(f"release {releases.mute}, which loads no model"), copied(build) as mute:
        reports(mute, releases.version, releases.mute)
        if Version.of(releases.version).wants_llama_server:
            write_program(mute / LLAMA_SERVER, ENDS_WITH_1)
        else:
            (mute / OLLAMA).rename(mute / HIDDEN)
            write_program(mute / OLLAMA, GIVES_UP_LOADING)
        pack(mute, releases.mute, downloads)
    return releases


@contextlib.contextmanager
def copied(build: Path) -> Iterator[Path]:
    """Yield a copy of a build. Its files are hard links: replace them, do not write into them."""
    copy = build.with_name("sham")
    shutil.copytree(build, copy, symlinks=True, copy_function=os.link)
    yield copy
    shutil.rmtree(copy)


def write_program(path: Path, content: str) -> None:
    """Write a program; a file at this path is replaced."""
    path.unlink(missing_ok=True)
    path.write_text(content, encoding="ascii")
    path.chmod(0o755)


def reports(build: Path, old: str, new: str) -> bool:
    """Make a copied build report another version; return whether this worked."""
    if len(old) != len(new):
        return False
    binary = build / OLLAMA
    own = shutil.copy2(binary, build.with_name("binary"))
    binary.unlink()
    shutil.move(own, binary)
    return rename(binary, old, new)


def pack(build: Path, version: str, downloads: Path) -> None:
    """Pack in the format that upstream uses since 0.14, and write the checksum file."""
    archive = folder(downloads, version) / ZST
    with subprocess.Popen(["zstd", "-q", "-3", "-o", archive], stdin=subprocess.PIPE) as zstd:
        if zstd.stdin is None:
            raise BuildError("zstd takes no input")
        write_tar(build, zstd.stdin)
        zstd.stdin.close()
    if zstd.returncode != 0:
        raise BuildError(f"zstd ended with {zstd.returncode} on {archive.name}")
    write_checksum(archive, sha256_of(archive))


def folder(downloads: Path, version: str) -> Path:
    """Make and return the directory of one release."""
    path = downloads / f"v{version}"
    path.mkdir(parents=True)
    return path


def checksum_line(sha256: str, name: str) -> str:
    """Return one line of upstream's sha256sum.txt."""
    return f"{sha256}  ./{name}\n"


def write_checksum(archive: Path, sha256: str) -> None:
    """Write sha256sum.txt into the archive's folder."""
    line = checksum_line(sha256, archive.name)
    archive.with_name("sha256sum.txt").write_text(line, encoding="ascii")


def write_tar(build: Path, sink: IO[bytes] | gzip.GzipFile) -> None:
    """Write the tree in a fixed order without owner and time, so that the bytes are the same each time."""
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(build.rglob("*")):
            entry = tarfile.TarInfo(str(path.relative_to(build)))
            entry.mode = 0o755
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                archive.addfile(entry)
            elif path.is_dir():
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = path.stat().st_size
                with path.open("rb") as source:
                    archive.addfile(entry, source)
