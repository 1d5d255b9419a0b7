"""A release that is given to the lab: named by the environment, fetched or found, and looked into."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.artifacts.errors import BuildError, UsageError
from lab.artifacts.given import ZST, check_version_text, checksum_of, floor, given, unpack

OLLAMA = "#!/bin/sh\necho 'Warning: client version is 0.34.2' >&2\n"


def build(folder: Path, *, ollama: str | None = OLLAMA, llama_server: str | None = "#!/bin/sh\n") -> Path:
    """Make the files of a release; return the folder."""
    for path, content in (("bin/ollama", ollama), ("lib/ollama/llama-server", llama_server)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            (folder / path).write_text(content)
            (folder / path).chmod(0o755)
    for path in ("lib/ollama/libggml.so.1", "lib/ollama/cuda_v13/libcublas.so", "lib/ollama/mlx_cuda_v13/libmlx.so"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "lib/ollama/libggml.so").symlink_to("libggml.so.1")
    return folder


def packed(folder: Path, archive: Path) -> Path:
    """Pack a folder as upstream does."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    compress = "--zstd" if archive.name.endswith("zst") else "--gzip"
    subprocess.run(["tar", compress, "-cf", archive, "-C", folder, "bin", "lib"], check=True)
    return archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return packed(build(tmp_path / "build"), tmp_path / ZST)


def test_none_is_given(tmp_path: Path) -> None:
    assert given({}, tmp_path) is None
    assert given({"OLLAMA_ARCHIVE": "", "OLLAMA_VERSION": ""}, tmp_path) is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OLLAMA_ARCHIVE": "x.tar.zst"}, "OLLAMA_ARCHIVE is x.tar.zst, but OLLAMA_VERSION does not say"),
        ({"OLLAMA_ARCHIVE": "/none.tar.zst", "OLLAMA_VERSION": "0.34.2"}, "/none.tar.zst, and there is no such file"),
        ({"OLLAMA_ARCHIVE": "/etc/passwd", "OLLAMA_VERSION": "0.34.2"}, "/etc/passwd is no archive of Ollama's"),
        ({"OLLAMA_ARCHIVE": "/etc/passwd", "OLLAMA_VERSION": "v0.34.2"}, "OLLAMA_VERSION is v0.34.2: write it without"),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        given(environment, tmp_path)


def test_the_floor_is_production_s() -> None:
    assert floor() == "0.31.2"
    check_version_text("0.31.2", "0.31.2")
    check_version_text("0.33.0-rc2", "0.31.2")
    with pytest.raises(UsageError, match=r"OLLAMA_VERSION is 0\.31\.1, and the role deploys none before 0\.31\.2"):
        check_version_text("0.31.1", "0.31.2")


@pytest.mark.parametrize("name", [ZST, "ollama-linux-amd64.tgz"])
def test_an_archive_is_unpacked_without_what_is_for_other_devices(tmp_path: Path, name: str) -> None:
    path = packed(build(tmp_path / "build"), tmp_path / name)
    release = given({"OLLAMA_ARCHIVE": str(path), "OLLAMA_VERSION": "0.34.2"}, tmp_path)
    assert release is not None
    assert release.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    unpack(release, tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if not path.is_dir()}
    assert files == {"bin/ollama", "lib/ollama/llama-server", "lib/ollama/libggml.so.1", "lib/ollama/libggml.so"}
    assert os.access(tmp_path / "out/lib/ollama/llama-server", os.X_OK)
    assert (tmp_path / "out/lib/ollama/libggml.so").is_symlink()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"ollama": None}, "has no program bin/ollama"),
        ({"llama_server": None}, "has no program lib/ollama/llama-server"),
        ({"ollama": OLLAMA.replace("0.34.2", "0.34.1")}, r"says: 0\.34\.1"),
        ({"ollama": "no program"}, "says: "),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path: Path, parts: dict[str, str | None], said: str) -> None:
    path = packed(build(tmp_path / "build", **parts), tmp_path / ZST)
    release = given({"OLLAMA_ARCHIVE": str(path), "OLLAMA_VERSION": "0.34.2"}, tmp_path)
    assert release is not None
    with pytest.raises(UsageError, match=said):
        unpack(release, tmp_path / "out")


def test_a_damaged_archive_is_refused(tmp_path: Path, archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])
    release = given({"OLLAMA_ARCHIVE": str(archive), "OLLAMA_VERSION": "0.34.2"}, tmp_path)
    assert release is not None
    with pytest.raises(UsageError, match=r"is damaged|is no archive"):
        unpack(release, tmp_path / "out")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    """Serve the folder ``releases`` as upstream does its releases; give the address."""
    (tmp_path / "releases").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "releases"))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def publish(folder: Path, content: bytes, checksum: str) -> None:
    folder.mkdir(parents=True)
    (folder / ZST).write_bytes(content)
    (folder / "sha256sum.txt").write_text(f"{'0' * 64}  ./ollama-linux-arm64.tar.zst\n{checksum}  ./{ZST}\n")


def test_a_version_alone_is_fetched_once(tmp_path: Path, archive: Path, upstream: str) -> None:
    content = archive.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    publish(tmp_path / "releases/v0.34.2", content, sha256)
    environment = {"OLLAMA_VERSION": "0.34.2", "GIZZI_LAB_RELEASES": upstream}
    first = given(environment, tmp_path / "cache")
    assert first is not None
    assert (first.sha256, first.archive.read_bytes()) == (sha256, content)
    (tmp_path / "releases/v0.34.2/sha256sum.txt").unlink()
    assert given(environment, tmp_path / "cache") == first


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path, archive: Path, upstream: str) -> None:
    publish(tmp_path / "releases/v0.34.2", archive.read_bytes(), "1" * 64)
    for _again in range(2):
        with pytest.raises(BuildError, match=f"sha256sum.txt says {'1' * 64}"):
            given({"OLLAMA_VERSION": "0.34.2", "GIZZI_LAB_RELEASES": upstream}, tmp_path / "cache")


def test_a_version_that_upstream_does_not_have_is_named(tmp_path: Path, upstream: str) -> None:
    with pytest.raises(BuildError, match=r"Ollama 0\.34\.9 cannot be fetched from .*: HTTP Error 404"):
        given({"OLLAMA_VERSION": "0.34.9", "GIZZI_LAB_RELEASES": upstream}, tmp_path / "cache")


def test_checksums_are_read_as_upstream_writes_them() -> None:
    assert checksum_of("a.tgz", f"{'1' * 64}  ./b.tgz\n{'2' * 64}  ./a.tgz\n") == "2" * 64
    assert checksum_of("a.tgz", f"{'1' * 64}  ./aa.tgz\n") is None
