"""The program ``ollama`` of a release: read the version that it reports, or make it report another version."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab.artifacts.errors import BuildError


def reported_version(binary: Path) -> str:
    """Return the version that the program reports, or its whole output where it reports none."""
    # No server answers on this port, so the client reports its own version.
    environment = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9"}
    try:
        result = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True, env=environment)
    except OSError as error:
        return str(error)
    said = result.stdout + result.stderr
    found = re.findall(r"version is (\S+)", said)
    return str(found[0]) if len(found) == 1 else said.strip()


def check_version(binary: Path, version: str) -> None:
    """Run the program; raise BuildError unless it reports this version."""
    if (reported := reported_version(binary)) != version:
        raise BuildError(f"{binary} should report {version}, but said: {reported}")


def renamed(binary: bytes, old: str, new: str) -> Iterator[bytes]:
    """Yield one copy of the program for each place where it has the text ``old``, with ``new`` at that place only.

    Go stores strings side by side without terminators, so ``new`` must be as long as ``old``. The same letters may
    have another meaning, for instance the version of a library: the caller must test which copy is right.
    """
    if len(old) != len(new):
        raise ValueError(f"{new} is not as long as {old}")
    at = binary.find(old.encode())
    while at >= 0:
        yield binary[:at] + new.encode() + binary[at + len(old) :]
        at = binary.find(old.encode(), at + 1)


def rename(binary: Path, old: str, new: str) -> bool:
    """Make the program report another version; return whether this worked. If not, the file is unchanged."""
    original = binary.read_bytes()
    for candidate in renamed(original, old, new):
        binary.write_bytes(candidate)
        if reported_version(binary) == new:
            return True
    binary.write_bytes(original)
    return False
