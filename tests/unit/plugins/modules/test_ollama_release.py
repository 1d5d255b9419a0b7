# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _release
from ansible_collections.etrid.gizzi.plugins.modules import ollama_release
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeServer, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., dict[str, Any]]

TGZ, ZST = "ollama-linux-amd64.tgz", "ollama-linux-amd64.tar.zst"
SERVER, CHILD = ("bin/ollama", b"server"), ("lib/ollama/llama-server", b"child")


def packed(*members: tuple[str, bytes | str], mode: int = 0o755) -> bytes:
    """A tar file of members, each a name and its content; a text is where a link leads ("=x" a hard link to x)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type = tarfile.LNKTYPE if content.startswith("=") else tarfile.SYMTYPE
                entry.linkname = content.lstrip("=")
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


class FakeReleases(FakeServer):
    """Serves archives by their path, and sha256sum.txt beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.size_told = True

    def publish(self, version: str, *members: tuple[str, bytes | str], name: str = ZST) -> str:
        """Put a release there and return the checksum of its archive."""
        tar = packed(*members)
        if name == ZST:
            archive = subprocess.run(["zstd", "-q", "-c"], input=tar, stdout=subprocess.PIPE, check=True).stdout
        else:
            archive = gzip.compress(tar)
        sums = f"/v{version}/sha256sum.txt"
        self.files[f"/v{version}/{name}"] = archive
        self.files[sums] = self.files.get(sums, b"") + f"{sha256(archive)}  ./{name}\n".encode()
        return sha256(archive)

    def answer(self, http: Any, body: Any) -> None:
        content = self.files.get(http.path)
        if content is None:
            http.send(404, b"not there")
        elif self.size_told or http.path.endswith(".txt"):
            http.send(200, content)
        else:
            http.begin_stream()
            http.send_chunk(content)
            http.end_stream()


@pytest.fixture
def releases() -> Iterator[FakeReleases]:
    with closing(FakeReleases()) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ollama"


@pytest.fixture(autouse=True)
def space(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The bytes that are free on the disk, which tests may change."""
    free = {"free": 10**9}
    monkeypatch.setattr(_release.os, "statvfs", lambda path: SimpleNamespace(f_bavail=free["free"], f_frsize=1))
    return free


@pytest.fixture
def run(
    run_module: Callable[..., dict[str, Any]], releases: FakeReleases, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run the module on an amd64 host. A checksum is given where the fake speaks plain http, unless a test has one."""
    monkeypatch.setattr(ollama_release.platform, "machine", lambda: "x86_64")

    def release(version: str = "0.34.2", **args: Any) -> dict[str, Any]:
        archive = releases.files.get(f"/v{version}/{ZST}", releases.files.get(f"/v{version}/{TGZ}", b""))
        args = {"checksum": sha256(archive), "reserved_disk": 0, **args}
        return run_module(ollama_release.main, version=version, root=str(root), release_url=releases.url, **args)

    return release


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


@pytest.mark.parametrize("name", [ZST, TGZ])
def test_puts_a_release_beside_the_others_and_then_leaves_it(
    run: Run, releases: FakeReleases, root: Path, name: str
) -> None:
    (root / "0.31.2").mkdir(parents=True)
    (root / "current").symlink_to(root / "0.31.2")
    checksum = releases.publish("0.34.2", ("./", b""), ("./bin/", b""), SERVER, CHILD, ("lib/x", b"1234"), name=name)
    result = run()
    assert (result["changed"], result["path"]) == (True, str(root / "0.34.2"))
    assert (result["archive"], result["checksum"], result["unpacked_size"]) == (name, checksum, 15)
    assert result["archive_size"] == len(releases.files[f"/v0.34.2/{name}"])
    assert (root / "0.34.2/bin/ollama").read_bytes() == b"server"
    assert (root / "0.34.2/bin/ollama").stat().st_mode & 0o777 == 0o755
    assert {path.name for path in root.iterdir()} == {"0.31.2", "0.34.2", "current"}
    releases.requests.clear()
    again = run()
    assert (again["changed"], again["archive"]) == (False, None)
    assert releases.requests == []


def test_zst_goes_before_tgz(run: Run, releases: FakeReleases) -> None:
    releases.publish("0.34.2", SERVER, name=TGZ)
    releases.publish("0.34.2", SERVER, CHILD)
    assert run()["archive"] == ZST


def test_what_gpus_need_is_not_unpacked(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish(
        "0.34.2",
        SERVER,
        CHILD,
        ("lib/ollama/libggml-cpu-x64.so", b"cpu"),
        ("lib/ollama/libgomp.so.1", "libggml-cpu-x64.so"),
        ("lib/ollama/copy.so", "=lib/ollama/libggml-cpu-x64.so"),
        ("./lib/ollama/cuda_v13/libcublas.so", b"c" * 1000),
        ("lib/ollama/cuda_v13/", b""),
        ("lib/ollama/rocm_v7_2/librocblas.so", b"r" * 1000),
        ("lib/ollama/mlx_cuda_v13/libcublas.so", "../cuda_v13/libcublas.so"),
        ("lib/ollama/vulkan/libvulkan.so", b"v" * 1000),
    )
    assert run()["unpacked_size"] == 14
    libraries = {"libggml-cpu-x64.so", "libgomp.so.1", "copy.so", "llama-server"}
    assert tree(root / "0.34.2") == {"bin/ollama", *(f"lib/ollama/{name}" for name in libraries)}
    assert (root / "0.34.2/lib/ollama/libgomp.so.1").read_bytes() == b"cpu"
    assert not (root / "0.34.2/lib/ollama/cuda_v13").exists()


def test_release_without_its_child_is_refused_from_0_30_on(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER)
    releases.publish("0.9.3", SERVER)
    releases.publish("0.9.4", CHILD)
    assert "holds no executable lib/ollama/llama-server" in run()["msg"]
    assert "holds no executable bin/ollama" in run("0.9.4")["msg"]
    assert tree(root) == set()
    assert run("0.9.3")["changed"]


def test_release_that_lacks_a_part_is_made_whole(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    run()
    (root / "0.34.2/lib/ollama/llama-server").unlink()
    (root / "0.34.2/old").touch()
    assert run(check_mode=True)["changed"]
    assert run()["changed"]
    assert tree(root) == {"0.34.2/bin/ollama", "0.34.2/lib/ollama/llama-server"}


def test_program_that_cannot_be_run_is_none(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    run()
    (root / "0.34.2/bin/ollama").chmod(0o644)
    assert run()["changed"]


def test_check_mode_predicts_and_writes_nothing(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    result = run(check_mode=True)
    assert (result["changed"], result["archive"], result["unpacked_size"]) == (True, ZST, None)
    assert result["missing_package"] == ""
    assert result["archive_size"] == len(releases.files[f"/v0.34.2/{ZST}"])
    assert not root.exists()
    assert "404" in run("0.34.3", check_mode=True)["msg"]


def test_archive_that_does_not_fit_is_not_downloaded(
    run: Run, releases: FakeReleases, root: Path, space: dict[str, int]
) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    size = len(releases.files[f"/v0.34.2/{ZST}"])
    space["free"] = 1000 + size - 1
    for check_mode in (True, False):
        assert f"(the archive {size} B, to stay free 1.0 kB), " in run(reserved_disk=1000, check_mode=check_mode)["msg"]
    assert not root.exists()
    space["free"] += 1
    assert run(reserved_disk=1000)["changed"]


def test_release_that_does_not_fit_is_not_unpacked(
    run: Run, releases: FakeReleases, root: Path, space: dict[str, int]
) -> None:
    releases.publish("0.34.2", SERVER, CHILD, ("lib/large", bytes(100_000)))
    space["free"] = 1000 + 100_010
    assert "(the release 100.0 kB, to stay free 1.0 kB)" in run(reserved_disk=1000)["msg"]
    assert tree(root) == set()


def test_wrong_checksum_leaves_nothing(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    assert f"not {'0' * 64}" in run(checksum="0" * 64)["msg"]
    assert tree(root) == set()


def test_what_an_earlier_run_has_left_goes(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD)

    def leave() -> None:
        (root / ".0.34.2.partial/bin").mkdir(parents=True)
        (root / f".0.34.2.partial.{ZST}").write_bytes(b"half")
        (root / f".0.34.3-rc1.partial.{ZST}").write_bytes(b"half")
        (root / ".0.9.3.old").mkdir()

    leave()
    (root / ".mine").mkdir()
    assert run()["changed"]
    assert {path.name for path in root.iterdir()} == {"0.34.2", ".mine"}
    leave()
    assert run(check_mode=True)["changed"]
    assert (root / ".0.9.3.old").exists()
    assert run()["changed"]
    assert {path.name for path in root.iterdir()} == {"0.34.2", ".mine"}
    assert run()["changed"] is False


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", b"x"),
        ("/evil", b"x"),
        ("lib/../../evil", b"x"),
        ("lib/evil", "/etc/passwd"),
        ("lib/evil", "../../x"),
        ("evil", "lib/.."),
        ("lib/evil", "=../../evil"),
        ("lib/ollama/cuda_v13/../../../../evil", b"x"),
    ],
)
def test_member_that_leads_out_is_refused(
    run: Run, releases: FakeReleases, root: Path, member: tuple[str, bytes | str]
) -> None:
    releases.publish("0.34.2", SERVER, CHILD, member)
    assert "leads out of its folder" in run()["msg"]
    assert tree(root.parent) == set()


def test_member_behind_a_link_is_refused(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD, ("lib/a", "ollama"), ("lib/a/x", b"x"))
    assert "holds lib/a/x behind a link" in run()["msg"]
    assert tree(root) == set()


def test_damaged_archive_is_refused(run: Run, releases: FakeReleases, root: Path) -> None:
    for name in (ZST, TGZ):
        releases.publish("0.34.2", SERVER, CHILD, ("lib/x", os.urandom(10_000)), name=name)
        path = f"/v0.34.2/{name}"
        releases.files[path] = releases.files[path][:-5000]
        assert "cannot be unpacked" in run()["msg"]
        assert tree(root) == set()
        releases.files.clear()


def test_size_that_is_not_told_is_refused(run: Run, releases: FakeReleases) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    releases.size_told = False
    assert "does not say how large it is" in run()["msg"]


def test_host_without_zstd_or_of_another_kind(
    run: Run, releases: FakeReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    monkeypatch.setattr(ollama_release.AnsibleModule, "get_bin_path", lambda *args: None)
    assert run(check_mode=True)["missing_package"] == "zstd"
    assert "install the package zstd" in run()["msg"]
    monkeypatch.setattr(ollama_release.platform, "machine", lambda: "aarch64")
    assert "names no archive for arm64" in run()["msg"]


def test_download_that_takes_too_long(run: Run, releases: FakeReleases, root: Path) -> None:
    releases.publish("0.34.2", SERVER, CHILD)
    assert "took longer than 0 s" in run(timeout=0)["msg"]
    assert tree(root) == set()


def test_wrong_values(run: Run, releases: FakeReleases) -> None:
    assert "Write it without a v" in run("v0.34.2")["msg"]
    assert "64 lower-case hex digits" in run(checksum="ABC")["msg"]
    assert "must start with https://" in run(checksum="")["msg"]
    assert releases.requests == []
