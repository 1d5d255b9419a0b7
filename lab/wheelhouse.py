"""The programs' dependencies as wheels for the hosts' Pythons, and the index pages for pip.

``python -m lab.wheelhouse REQUIREMENTS…`` makes a folder for the content of these files, keeps it in the cache and
prints its path. The folder has ``wheels/``, and ``simple/`` for an index (PEP 503).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

from lab.artifacts import cache
from lab.artifacts.downloads import sha256_of
from lab.artifacts.errors import BuildError
from lab.artifacts.progress import megabytes, step

# The Pythons of Debian 12 and 13, and the wheel platforms that the libc of both supports.
PYTHONS = ("3.11", "3.13")
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")


def key(requirements: list[Path]) -> str:
    """Return a hash of everything that decides the folder's content."""
    content = b"\0".join(path.read_bytes() for path in [Path(__file__), *requirements])
    return hashlib.sha256(content).hexdigest()[:16]


def fetch(requirements: Path, python: str, wheels: Path) -> None:
    """Download every pinned wheel for this Python, such as 3.13, into ``wheels``."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command += ["--require-hashes", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    command += ["--requirement", str(requirements), "--dest", str(wheels)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"pip could not fetch what {requirements} names for Python {python}:\n{result.stderr.strip()}")


def write_index(wheels: Path, simple: Path) -> None:
    """Write one page per project with its wheels and their checksums."""
    for wheel in sorted(wheels.glob("*.whl")):
        project = re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()
        page = simple / project / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        with page.open("a", encoding="utf-8") as sink:
            sink.write(f'<a href="/wheels/{wheel.name}#sha256={sha256_of(wheel)}">{wheel.name}</a>\n')


def main() -> int:
    """Make the folder if it is missing, print its path."""
    requirements = [Path(argument) for argument in sys.argv[1:]]
    if not requirements:
        print("usage: python -m lab.wheelhouse REQUIREMENTS…", file=sys.stderr)
        return 2
    # The web server in its container runs as another user and must read these files.
    os.umask(0o022)
    try:
        directory = cache.directory()
        tree = directory / f"wheelhouse-{key(requirements)}"
        if not tree.is_dir():
            with cache.only_one_builder(directory):
                if not tree.is_dir():
                    with cache.becoming(tree) as scratch, step("the programs' dependencies") as running:
                        for path, python in product(requirements, PYTHONS):
                            fetch(path, python, scratch / "wheels")
                        write_index(scratch / "wheels", scratch / "simple")
                        running.note = megabytes(*(scratch / "wheels").iterdir())
        cache.mark_used(tree)
    except (BuildError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print(tree)
    return 0


if __name__ == "__main__":
    sys.exit(main())
