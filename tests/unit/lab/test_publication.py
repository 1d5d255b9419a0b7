"""The lab's releases: a build, and shams of it that can be told apart by what is wrong with each."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from lab.artifacts.binary import renamed, reported_version
from lab.artifacts.given import TGZ, ZST
from lab.artifacts.publication import checksum_line, publish_own, publish_shams
from lab.artifacts.versions import Releases, plan


def program(version: str) -> str:
    """Return a program that has its version in two places, of which it reports the second."""
    return f"#!/bin/sh\n# made with libx {version}\necho 'Warning: client version is {version}'\n"


def build(folder: Path, content: str) -> Path:
    for path in ("bin/ollama", "lib/ollama/llama-server", "lib/ollama/libggml.so"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
        (folder / path).chmod(0o755)
    return folder


def published(tmp_path: Path, version: str, content: str) -> tuple[Releases, Path]:
    """Publish a build and its shams; return their versions and the folder of downloads."""
    release = build(tmp_path / "parts", content)
    downloads = tmp_path / "downloads"
    archive = publish_own(release, version, downloads)
    releases = publish_shams(release, plan(version), archive, downloads)
    assert (release / "bin/ollama").read_text() == (release / "lib/ollama/llama-server").read_text() == content
    return releases, downloads


def unpacked(downloads: Path, version: str) -> Path:
    """Unpack a release that has been published by its checksum; return the folder."""
    (archive,) = (downloads / f"v{version}").glob("*z*")
    checksum = (archive.parent / "sha256sum.txt").read_text()
    assert checksum == f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  ./{archive.name}\n"
    folder = archive.parent / "out"
    folder.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    return folder


def test_shams_of_a_current_build(tmp_path: Path) -> None:
    releases, downloads = published(tmp_path, "0.34.2", program("0.34.2"))
    assert releases == plan("0.34.2")
    assert not (downloads / f"v{releases.missing}").exists()

    wrong = downloads / f"v{releases.wrong_checksum}"
    assert hashlib.sha256((wrong / TGZ).read_bytes()).hexdigest() not in (wrong / "sha256sum.txt").read_text()

    other = unpacked(downloads, releases.renamed)
    assert reported_version(other / "bin/ollama") == "0.34.3"
    assert (other / "lib/ollama/llama-server").read_text() == program("0.34.2")

    broken = unpacked(downloads, releases.broken)
    assert subprocess.run([broken / "bin/ollama", "serve"], check=False, capture_output=True).returncode == 1
    assert (broken / "lib/ollama/llama-server").exists()

    partless = unpacked(downloads, releases.partless)
    assert reported_version(partless / "bin/ollama") == releases.partless
    assert [path.name for path in (partless / "lib/ollama").iterdir()] == ["libggml.so"]

    mute = unpacked(downloads, releases.mute)
    assert reported_version(mute / "bin/ollama") == releases.mute
    assert subprocess.run([mute / "lib/ollama/llama-server"], check=False, capture_output=True).returncode == 1


def test_shams_of_a_build_without_llama_server(tmp_path: Path) -> None:
    releases, downloads = published(tmp_path, "0.9.3", program("0.9.3"))
    partless = unpacked(downloads, releases.partless)
    assert releases.partless == "0.30.9"
    assert not (partless / "lib/ollama/llama-server").exists()

    mute = unpacked(downloads, releases.mute)
    assert reported_version(mute / "bin/ollama") == releases.mute
    (mute / "bin/ollama-as-it-is").write_text("#!/bin/sh\necho $OLLAMA_LOAD_TIMEOUT $*\n")
    answer = subprocess.run([mute / "bin/ollama", "serve"], check=True, capture_output=True, text=True)
    assert answer.stdout == "1ms serve\n"


def test_a_build_that_cannot_be_renamed_has_fewer_shams(tmp_path: Path) -> None:
    puts_it_together = '#!/bin/sh\necho "version is 0.34.$((1 + 1))"\n'
    releases, downloads = published(tmp_path, "0.34.2", puts_it_together)
    assert asdict(releases) == asdict(plan("0.34.2")) | {"renamed": "", "mute": ""}
    assert sorted(path.name for path in downloads.iterdir()) == ["v0.34.2", "v0.34.4", "v0.34.5", "v0.34.8"]
    assert (downloads / "v0.34.5" / ZST).is_file()


def test_each_place_of_the_version_is_tried() -> None:
    assert list(renamed(b"a 0.9.3 b 0.9.3", "0.9.3", "0.9.4")) == [b"a 0.9.4 b 0.9.3", b"a 0.9.3 b 0.9.4"]
    assert list(renamed(b"no version", "0.9.3", "0.9.4")) == []
    with pytest.raises(ValueError, match="not as long"):
        list(renamed(b"0.9.3", "0.9.3", "0.9.10"))


def test_checksum_line_is_as_upstream_writes_it() -> None:
    assert checksum_line("ab12", "ollama-linux-amd64.tgz") == "ab12  ./ollama-linux-amd64.tgz\n"
