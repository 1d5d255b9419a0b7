"""Python packages as wheels for the Pythons of the lab, and the index pages for pip.

``python -m lab.wheelhouse 3.13:REQUIREMENTS…`` makes a folder for these Pythons and the content of these files, keeps
it in the cache and prints its path. The folder has ``wheels/``, and ``simple/`` for an index (PEP 503).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from lab.artifacts import cache
from lab.artifacts.downloads import sha256_of
from lab.artifacts.errors import BuildError
from lab.artifacts.progress import megabytes, step

# The wheel platforms that the libc of Debian 12 supports.
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")


def key(wanted: list[tuple[str, Path]]) -> str:
    """Return a hash of everything that decides the folder's content: this file, the Pythons and their requirements."""
    parts = [Path(__file__).read_bytes()]
    for python, requirements in wanted:
        parts += [python.encode(), requirements.read_bytes()]
    content = b"\0".join(parts)
    return hashlib.sha256(content).hexdigest()[:16]


def fetch(python: str, requirements: Path, wheels: Path) -> None:
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
    named = [argument.partition(":") for argument in sys.argv[1:]]
    wanted = [(python, Path(path)) for python, _unused, path in named if path]
    if not wanted or len(wanted) < len(named):
        print("usage: python -m lab.wheelhouse 3.13:REQUIREMENTS…", file=sys.stderr)
        return 2
    # The web server in its container runs as another user and must read these files.
    os.umask(0o022)
    try:
        directory = cache.directory()
        tree = directory / f"wheelhouse-{key(wanted)}"
        if not tree.is_dir():
            with cache.only_one_builder(directory):
                if not tree.is_dir():
                    with cache.becoming(tree) as scratch, step("Python packages") as running:
                        for python, path in wanted:
                            fetch(python, path, scratch / "wheels")
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
