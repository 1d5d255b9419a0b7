"""The program ``ollama`` of a release: the version that it reports, and the same program under another version."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab.artifacts.errors import BuildError


def reported_version(binary: Path) -> str:
    """Return the version that the program reports of itself, and all that it said where it names none."""
    # No server answers on this port, so the client reports itself.
    environment = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9"}
    try:
        result = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True, env=environment)
    except OSError as error:
        return str(error)
    said = result.stdout + result.stderr
    found = re.findall(r"version is (\S+)", said)
    return str(found[0]) if len(found) == 1 else said.strip()


def check_version(binary: Path, version: str) -> None:
    """Run the program and see that it reports the version it is to be served as."""
    if (reported := reported_version(binary)) != version:
        raise BuildError(f"{binary} should report {version}, but said: {reported}")


def renamed(binary: bytes, old: str, new: str) -> Iterator[bytes]:
    """Yield the program with one of its texts ``old`` replaced, byte for byte in place, for each of them.

    Go keeps strings without terminators side by side, so ``new`` must be as long as ``old``. The same letters may
    stand elsewhere too, for instance as the version of a library: who calls must see which one counts.
    """
    if len(old) != len(new):
        raise ValueError(f"{new} is not as long as {old}")
    at = binary.find(old.encode())
    while at >= 0:
        yield binary[:at] + new.encode() + binary[at + len(old) :]
        at = binary.find(old.encode(), at + 1)


def rename(binary: Path, old: str, new: str) -> bool:
    """Make the program report another version; tell whether that could be done. It is as it was where not."""
    original = binary.read_bytes()
    for candidate in renamed(original, old, new):
        binary.write_bytes(candidate)
        if reported_version(binary) == new:
            return True
    binary.write_bytes(original)
    return False
