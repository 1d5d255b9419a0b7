# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _store_parts
from ansible_collections.etrid.gizzi.plugins.modules import model_bundle_import
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import sha256
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import LIBRARY, files_of, put_blob, put_model, weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., dict[str, Any]]

CONFIG, WEIGHTS, LICENCE = b"config", weights("mistral"), b"licence"
MANIFEST = f"{LIBRARY}/mistral/latest"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir(0o750)
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return put_model(tmp_path / "source", "mistral/latest", CONFIG, WEIGHTS, LICENCE).decode()


@pytest.fixture
def run(run_module: Run, store: Path, manifest: str) -> Run:
    def call(*models: dict[str, Any] | str, **args: Any) -> dict[str, Any]:
        wanted = [{"name": one} if isinstance(one, str) else one for one in models or ("mistral",)]
        given = {
            "path": "/nowhere/models.tar",
            "offered": {"mistral:latest": offered(manifest), "nope:1": {"manifest": "", "error": "none"}},
            "models": wanted,
            "models_dir": str(store),
            "reserved_disk": 0,
        }
        return run_module(model_bundle_import.main, **{**given, **args})

    return call


@pytest.fixture
def send(run: Run, tmp_path: Path) -> Run:
    """Send a blob as the action does, in parts of 1000 bytes, or only so many of them."""

    def call(content: bytes, start: int = 0, parts: int = 10**6, digest: str = "", size: int = -1) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for _part in range(parts):
            part = tmp_path / "part"
            part.write_bytes(content[start : start + 1000])
            told = {"digest": digest or f"sha256:{sha256(content)}", "start": start, "path": str(part)}
            result = run(part={**told, "size": len(content) if size < 0 else size})
            if result.get("failed"):
                break
            assert not part.exists()
            start = result["there"]
            if start >= len(content):
                break
        return result

    return call


def offered(manifest: str) -> dict[str, Any]:
    return {"manifest": manifest, "digest": sha256(manifest.encode()), "error": ""}


def missing(result: dict[str, Any]) -> dict[str, int]:
    return {blob["digest"][7:]: blob["there"] for blob in result["blobs"]}


def test_a_store_gets_a_model(run: Run, send: Run, store: Path, manifest: str, tmp_path: Path) -> None:
    looked = run()
    assert (looked["changed"], looked["models"]) == (True, ["mistral:latest"])
    assert missing(looked) == {sha256(content): 0 for content in (CONFIG, WEIGHTS, LICENCE)}
    assert looked["bytes"] == len(CONFIG + WEIGHTS + LICENCE)
    assert files_of(store) == {}
    for content in (CONFIG, WEIGHTS, LICENCE):
        assert send(content)["there"] == len(content)
    # An Ollama that starts now would remove the blobs of no model.
    assert [path.name for path in store.iterdir()] == [_store_parts.INCOMING]
    waiting = run()
    assert (waiting["changed"], waiting["models"], waiting["blobs"]) == (True, ["mistral:latest"], [])
    run(finish=True)
    assert files_of(store) == files_of(tmp_path / "source")
    assert (store / MANIFEST).read_text() == manifest
    assert not (store / _store_parts.INCOMING).exists()
    again = run()
    assert (again["changed"], again["models"], again["blobs"], again["bytes"]) == (False, [], [], 0)


def test_what_came_can_be_read_by_the_group_and_is_the_stores_owners(
    run: Run, send: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(_store_parts.os, "fchown", lambda file, user, group: given.append((user, group)))
    for content in (CONFIG, WEIGHTS, LICENCE):
        send(content)
    run(finish=True)
    made = [path for path in store.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in made} == {0o750}
    assert {path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file()} == {0o640}
    # blobs, manifests and three folders in it, three blobs, one manifest.
    assert given == [(store.stat().st_uid, store.stat().st_gid)] * 9


def test_what_came_before_is_not_sent_again(run: Run, send: Run, store: Path) -> None:
    send(CONFIG)
    send(WEIGHTS, parts=3)
    looked = run()
    assert missing(looked) == {sha256(WEIGHTS): 3000, sha256(LICENCE): 0}
    assert looked["bytes"] == len(WEIGHTS) - 3000 + len(LICENCE)
    folder = store / _store_parts.INCOMING
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert send(WEIGHTS, start=3000)["there"] == len(WEIGHTS)
    send(LICENCE)
    run(finish=True)
    assert run()["changed"] is False


def test_one_that_had_come_whole_and_was_not_hashed_yet(run: Run, send: Run, store: Path) -> None:
    send(WEIGHTS, parts=1)
    partial = store / _store_parts.INCOMING / f"sha256-{sha256(WEIGHTS)}"
    partial.write_bytes(WEIGHTS)
    assert missing(run())[sha256(WEIGHTS)] == len(WEIGHTS)
    send(WEIGHTS, start=len(WEIGHTS), parts=1)
    good = partial.with_name(f"{partial.name}.good")
    assert good.read_bytes() == WEIGHTS
    assert sha256(WEIGHTS) not in missing(run())
    # One that is too long is nothing of use.
    good.unlink()
    partial.write_bytes(WEIGHTS + b"?")
    assert missing(run())[sha256(WEIGHTS)] == 0
    send(WEIGHTS)
    assert good.read_bytes() == WEIGHTS


def test_a_part_at_another_place(run: Run, send: Run) -> None:
    send(WEIGHTS, parts=2)
    result = send(WEIGHTS, start=1000, parts=1)
    assert "changed meanwhile. Run this alone" in result["msg"]
    assert missing(run())[sha256(WEIGHTS)] == 2000


def test_a_blob_of_another_content_leaves_nothing(run: Run, send: Run, store: Path) -> None:
    bad = WEIGHTS[:-1] + b"?"
    result = send(bad, digest=f"sha256:{sha256(WEIGHTS)}")
    assert f"has the digest sha256:{sha256(bad)}" in result["msg"]
    assert files_of(store) == {}
    assert missing(run())[sha256(WEIGHTS)] == 0


def test_a_blob_that_is_there_and_damaged_is_replaced(run: Run, send: Run, store: Path) -> None:
    put_blob(store, CONFIG)
    bad = store / "blobs" / f"sha256-{sha256(WEIGHTS)}"
    bad.write_bytes(WEIGHTS[:-1] + b"?")
    linked = store / "blobs" / f"sha256-{sha256(LICENCE)}"
    (store / "elsewhere").write_bytes(LICENCE)
    linked.symlink_to(store / "elsewhere")
    assert set(missing(run())) == {sha256(WEIGHTS), sha256(LICENCE)}
    send(WEIGHTS)
    send(LICENCE)
    run(finish=True)
    assert bad.read_bytes() == WEIGHTS
    assert not linked.is_symlink()


def test_a_model_gets_no_name_while_a_blob_is_missing(run: Run, send: Run, store: Path) -> None:
    send(CONFIG)
    send(WEIGHTS)
    result = run(finish=True)
    assert "Blobs were removed" in result["msg"]
    assert not (store / "manifests").exists()


def test_present_leaves_another_model_alone_and_latest_does_not(run: Run, send: Run, store: Path) -> None:
    # As Ollama finds a name: without regard to case.
    before = put_model(store, "Mistral/latest", b"old config", weights("old"), LICENCE)
    put_model(store, "derived/latest", b"its config", weights("old"))
    # A pull that is under way, or was cut off.
    put_blob(store, b"of no model yet")
    assert run()["changed"] is False
    latest = {"name": "mistral", "state": "latest"}
    looked = run(latest)
    assert (looked["models"], set(missing(looked))) == (["Mistral:latest"], {sha256(CONFIG), sha256(WEIGHTS)})
    for content in (CONFIG, WEIGHTS):
        send(content)
    run(latest, finish=True)
    assert (store / LIBRARY / "Mistral/latest").read_bytes() != before
    assert not (store / LIBRARY / "mistral").exists()
    assert run(latest)["changed"] is False
    # What no model has any more went.
    contents = (CONFIG, WEIGHTS, LICENCE, b"its config", weights("old"), b"of no model yet")
    assert {path.name for path in (store / "blobs").iterdir()} == {f"sha256-{sha256(one)}" for one in contents}


def test_the_same_model_in_other_words_is_only_named_anew(run: Run, store: Path, manifest: str) -> None:
    body = put_model(store, "mistral/latest", CONFIG, WEIGHTS, LICENCE)
    (store / MANIFEST).write_bytes(body + b"\n")
    latest = {"name": "mistral", "state": "latest"}
    looked = run(latest)
    assert (looked["changed"], looked["blobs"]) == (True, [])
    run(latest, finish=True)
    assert (store / MANIFEST).read_text() == manifest


def test_a_model_that_lacks_a_blob_is_completed(run: Run, send: Run, store: Path) -> None:
    put_model(store, "mistral/latest", CONFIG, WEIGHTS, LICENCE)
    (store / "blobs" / f"sha256-{sha256(LICENCE)}").unlink()
    assert set(missing(run())) == {sha256(LICENCE)}
    send(LICENCE)
    run(finish=True)
    assert run()["changed"] is False


def test_a_digest(run: Run, manifest: str) -> None:
    digest = sha256(manifest.encode())
    assert run({"name": "mistral", "digest": f"sha256:{digest}"})["models"] == ["mistral:latest"]
    told = run({"name": "mistral", "digest": "0" * 64})["msg"]
    assert f"mistral:latest should have the digest {'0' * 64}, and the bundle has {digest}" in told
    assert "is not a sha256" in run({"name": "mistral", "digest": "1"})["msg"]


def test_all_that_cannot_be_had_is_told_before_anything_is_done(run: Run, store: Path) -> None:
    put_model(store, "there/1", b"c", weights("there"))
    latest = {"name": "there:1", "state": "latest"}
    told = run("mistral", "nope:1", "other", latest)["msg"]
    for name in ("nope:1", "other:latest"):
        assert f"{name} is neither in the bundle nor in the store" in told
    assert "there:1 should have state latest, and the bundle does not have it" in told
    assert run("there:1")["changed"] is False


def test_no_disk(run: Run) -> None:
    assert "Not enough disk under" in run(reserved_disk=1 << 60)["msg"]
    assert "Nothing was sent" in run(reserved_disk=1 << 60)["msg"]


def test_a_store_that_is_not_there(run: Run, send: Run, store: Path) -> None:
    store.rmdir()
    assert run()["models"] == ["mistral:latest"]
    assert "Deploy its Ollama first" in send(CONFIG)["msg"]
    assert not store.exists()


def test_what_is_not_needed_any_more_goes(run: Run, send: Run, store: Path) -> None:
    put_model(store, "mistral/latest", CONFIG, WEIGHTS, LICENCE)
    send(b"of a model that nobody wants any more", parts=1, size=100)
    looked = run()
    assert (looked["changed"], looked["models"], looked["blobs"]) == (True, [], [])
    run(finish=True)
    assert not (store / _store_parts.INCOMING).exists()
    assert run()["changed"] is False


def test_nothing_is_written_through_a_link_or_into_a_folder_of_others(run: Run, send: Run, store: Path) -> None:
    elsewhere = store.parent / "elsewhere"
    elsewhere.mkdir()
    (store / _store_parts.INCOMING).symlink_to(elsewhere)
    assert "cannot be written" in send(CONFIG)["msg"]
    (store / _store_parts.INCOMING).unlink()
    (store / _store_parts.INCOMING).mkdir()
    (store / _store_parts.INCOMING).chmod(0o777)
    assert "can be written by others" in send(CONFIG)["msg"]
    assert "can be written by others" in run()["msg"]
    (store / _store_parts.INCOMING).chmod(0o700)
    # A file of somebody else's under the name of one that is unfinished.
    (elsewhere / "file").write_bytes(b"")
    (store / _store_parts.INCOMING / f"sha256-{sha256(CONFIG)}").hardlink_to(elsewhere / "file")
    assert "not a file of this run alone" in send(CONFIG)["msg"]
    (store / _store_parts.INCOMING / f"sha256-{sha256(CONFIG)}").unlink()
    (store / "blobs").symlink_to(elsewhere)
    for content in (CONFIG, WEIGHTS, LICENCE):
        send(content)
    assert "cannot be written" in run(finish=True)["msg"]
    assert files_of(elsewhere) == {"file": b""}


def test_a_manifest_that_is_none(run: Run) -> None:
    told = run(offered={"mistral:latest": {"manifest": "{}"}})["msg"]
    assert "offered: mistral:latest: its manifest is none" in told
