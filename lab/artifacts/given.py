"""A given release: an upstream archive that the lab runs instead of its own build.

The environment names it: OLLAMA_ARCHIVE and OLLAMA_VERSION, or OLLAMA_VERSION alone to download it from upstream.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab.artifacts.binary import reported_version
from lab.artifacts.cache import only_one_builder
from lab.artifacts.downloads import sha256_of
from lab.artifacts.errors import BuildError, UsageError
from lab.artifacts.progress import megabytes, step
from lab.artifacts.versions import Version

UPSTREAM = "https://github.com/ollama/ollama/releases/download"
# The archive formats since 0.14 and before, known by their first bytes.
ZST, TGZ = "ollama-linux-amd64.tar.zst", "ollama-linux-amd64.tgz"
FORMATS = {b"\x28\xb5\x2f\xfd": ZST, b"\x1f\x8b": TGZ}
# Folders with libraries for devices that no lab host has; together some gigabytes.
DEVICES = re.compile(r"(\./)?lib/ollama/(\w+_)?(cuda|rocm|hip|vulkan|mlx|jetpack)")
ROLE = Path(__file__).resolve().parents[2] / "roles/ollama/meta/argument_specs.yml"
SECONDS = 60


@dataclass(frozen=True)
class Given:
    """A release from upstream."""

    version: str
    archive: Path
    sha256: str


def given(environment: Mapping[str, str], cache: Path) -> Given | None:
    """Return the release that the environment names, or None; UsageError where a value is wrong."""
    archive, version = environment.get("OLLAMA_ARCHIVE", ""), environment.get("OLLAMA_VERSION", "")
    if not archive and not version:
        return None
    if not version:
        raise UsageError(f"OLLAMA_ARCHIVE is {archive}, but OLLAMA_VERSION does not say which version that is")
    check_version_text(version, floor())
    if archive:
        path = Path(archive).expanduser()
        if not path.is_file():
            raise UsageError(f"OLLAMA_ARCHIVE is {archive}, and there is no such file")
    else:
        path = fetch(version, environment.get("GIZZI_LAB_RELEASES") or UPSTREAM, cache / "releases")
    published_name(path)
    return Given(version, path, sha256_of(path))


def floor() -> str:
    """Return the oldest version that the role deploys with its defaults."""
    specs = yaml.safe_load(ROLE.read_text("utf-8"))["argument_specs"]
    return str(specs["main"]["options"]["ollama_minimum_version"]["default"])


def check_version_text(version: str, oldest: str) -> None:
    """Raise UsageError where the text is not a version or the version is older than ``oldest``."""
    try:
        older = Version.of(version)[:3] < Version.of(oldest)[:3]
    except ValueError:
        raise UsageError(f"OLLAMA_VERSION is {version}: write it without a v, for instance 0.34.2") from None
    if older:
        raise UsageError(
            f"OLLAMA_VERSION is {version}, and the role deploys none before {oldest}; without one the lab runs its own"
        )


def published_name(archive: Path) -> str:
    """Return the file name that upstream uses for an archive of this format."""
    with archive.open("rb") as stream:
        start = stream.read(4)
    for magic, name in FORMATS.items():
        if start.startswith(magic):
            return name
    raise UsageError(f"{archive} is no archive of Ollama's: neither .tar.zst nor .tgz")


def fetch(version: str, base: str, folder: Path) -> Path:
    """Return the release's archive; download it where it is missing, and check its checksum."""
    target = folder / f"v{version}" / ZST
    with only_one_builder(target.parent):
        if not target.is_file():
            download(version, base, target)
    return target


def download(version: str, base: str, target: Path) -> None:
    """Download a release's archive; ``target`` exists only after the checksum is verified."""
    with step(f"download of Ollama {version}") as running:
        partial = target.with_suffix(".partial")
        try:
            with urllib.request.urlopen(f"{base}/v{version}/sha256sum.txt", timeout=SECONDS) as answer:
                wanted = checksum_of(ZST, answer.read().decode("utf-8", "replace"))
            if wanted is None:
                raise BuildError(f"{base}/v{version}/sha256sum.txt names no {ZST}")
            with (
                urllib.request.urlopen(f"{base}/v{version}/{ZST}", timeout=SECONDS) as answer,
                partial.open("wb") as sink,
            ):
                shutil.copyfileobj(answer, sink, 1 << 20)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise BuildError(f"Ollama {version} cannot be fetched from {base}: {error}") from None
        if (found := sha256_of(partial)) != wanted:
            partial.unlink()
            raise BuildError(f"{base}/v{version}/{ZST} has the checksum {found}, and sha256sum.txt says {wanted}")
        partial.rename(target)
        running.note = megabytes(target)


def checksum_of(name: str, sha256sums: str) -> str | None:
    """Return a file's checksum from upstream's sha256sum.txt, which has lines ``<sha256>  ./<name>``."""
    match = re.search(rf"(?m)^([0-9a-f]{{64}})\s+\*?(?:\./)?{re.escape(name)}\s*$", sha256sums)
    return match[1] if match else None


def unpack(release: Given, target: Path) -> None:
    """Unpack the archive without the libraries for other devices, and check the result."""
    with step(f"Ollama {release.version} out of {release.archive}") as running:
        program = ["zstd", "-dcq"] if published_name(release.archive) == ZST else ["gzip", "-dcq"]
        with subprocess.Popen([*program, release.archive], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                    # Python before 3.11.4 has none, Debian 12's for instance.
                    archive.extraction_filter = getattr(tarfile, "data_filter", None)
                    for member in archive:
                        if DEVICES.match(member.name) is None:
                            archive.extract(member, target)
            except tarfile.TarError as error:
                process.kill()
                raise UsageError(f"{release.archive} is no archive of Ollama's: {error}") from None
            # Read the padding after the archive's end too: else the other process fails to write it.
            process.communicate()
        if process.returncode != 0:
            raise UsageError(f"{release.archive} is damaged: {program[0]} ended with {process.returncode}")
        check(release, target)
        running.note = megabytes(*(path for path in target.rglob("*") if path.is_file() and not path.is_symlink()))


def check(release: Given, unpacked: Path) -> None:
    """Raise UsageError where a part of the release is missing or the program has another version."""
    parts = ["bin/ollama"]
    if Version.of(release.version).wants_llama_server:
        parts.append("lib/ollama/llama-server")
    for part in parts:
        if not os.access(unpacked / part, os.X_OK):
            raise UsageError(f"{release.archive} is no archive of Ollama {release.version}: it has no program {part}")
    if (reported := reported_version(unpacked / "bin/ollama")) != release.version:
        raise UsageError(f"OLLAMA_VERSION is {release.version}, but the program in {release.archive} says: {reported}")
