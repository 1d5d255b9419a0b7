# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ollama_model with a mirror: what it gives is what the registry names, or nothing of it stays."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _fetch, _http, _json_lines
from ansible_collections.etrid.gizzi.plugins.modules import ollama_model
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry, content_manifest, rewritten, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

NAME, PATH = "mistral:latest", "/v2/library/mistral/manifests/latest"
CONFIG, WEIGHTS, LICENCE = b"config", b"the weights of it", b"licence"
CONTENTS = (CONFIG, WEIGHTS, LICENCE)
OTHER = (b"config of another", b"other weights", b"licence")


@pytest.fixture
def mirror(ollama: FakeOllama) -> Iterator[FakeRegistry]:
    with closing(FakeRegistry()) as server:
        server.publish_content(NAME, *CONTENTS)
        ollama.others.append(server)
        yield server


@pytest.fixture
def store(ollama: FakeOllama, registry: FakeRegistry, tmp_path: Path) -> Path:
    registry.publish_content(NAME, *CONTENTS)
    ollama.models_dir = tmp_path / "models"
    (ollama.models_dir / "blobs").mkdir(parents=True)
    return ollama.models_dir


@pytest.fixture
def model(
    run_module: Callable[..., dict[str, Any]],
    ollama: FakeOllama,
    registry: FakeRegistry,
    mirror: FakeRegistry,
    store: Path,
) -> Run:
    pinned = registry.manifests[PATH].decode()

    def run(name: str = "mistral", **args: Any) -> dict[str, Any]:
        given = {
            "url": ollama.url,
            "registry": registry.url,
            "mirror": mirror.url,
            "manifest": pinned,
            "models_dir": str(store),
            "reserved_disk": 0,
            "stall_timeout": 5,
        }
        return run_module(ollama_model.main, **{**given, "name": name, **args})

    return run


def blob(store: Path, content: bytes) -> Path:
    return store / "blobs" / f"sha256-{sha256(content)}"


def spoil(mirror: FakeRegistry, content: bytes, by: bytes) -> None:
    """Let a mirror give other bytes under the digest of a blob."""
    mirror.contents[f"sha256:{sha256(content)}"] = by


def damaged(store: Path) -> list[str]:
    """The blobs whose content is another than their names say."""
    return [
        path.name
        for path in (store / "blobs").iterdir()
        if path.name != f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}"
    ]


def nothing_is_left(ollama: FakeOllama, store: Path) -> bool:
    return ollama.store == {} and damaged(store) == []


@pytest.mark.parametrize("version", ["0.34.2", "0.9.3"])
def test_it_comes_from_the_mirror_under_its_own_name(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry, store: Path, notes: Path, version: str
) -> None:
    ollama.version = version
    predicted = model(check_mode=True)
    assert mirror.requests == []
    result = model()
    body = registry.manifests[PATH]
    digest = sha256(body if version == "0.34.2" else rewritten(body))
    assert (result["changed"], result["pulled"], result["digest_after"]) == (True, True, digest)
    assert (predicted["changed"], predicted["digest_after"]) == (True, digest)
    assert predicted["bytes_missing"] == result["bytes_pulled"] == sum(map(len, CONTENTS))
    assert list(ollama.store) == [NAME]
    assert registry.requests == []
    pulls = [request for _method, path, request in ollama.requests if path == "/api/pull"]
    assert pulls == [{"model": f"http://127.0.0.1:{mirror.port}/library/{NAME}", "insecure": True, "stream": True}]
    assert not notes.exists()
    ollama.requests.clear()
    mirror.requests.clear()
    again = model(state="latest")
    assert (again["changed"], again["pulled"]) == (False, False)
    assert mirror.requests == registry.requests == []


def test_a_mirror_before_0_19_gives_the_same_model(model: Run, ollama: FakeOllama, mirror: FakeRegistry) -> None:
    """It has written the manifest anew, and a server keeps that form."""
    mirror.manifests[PATH] = rewritten(mirror.manifests[PATH])
    assert model()["digest_after"] == sha256(mirror.manifests[PATH])
    assert model(state="latest")["changed"] is False


def test_latest_means_what_was_looked_up(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    ollama.have(NAME, "zero")
    assert model(state="present")["changed"] is False
    result = model(state="latest")
    assert (result["changed"], result["digest_after"]) == (True, sha256(registry.manifests[PATH]))
    assert list(ollama.store) == [NAME]


def test_another_model_under_the_tag_is_not_even_pulled(model: Run, ollama: FakeOllama, mirror: FakeRegistry) -> None:
    other = mirror.publish_content(NAME, *OTHER)
    before = ollama.have(NAME, "zero")
    result = model(state="latest")
    assert result["failed"] is True
    assert f"has another model under {NAME} than the registry names: {other}" in result["msg"]
    assert ollama.paths("/api/pull") == []
    assert {name: sha256(body) for name, body in ollama.store.items()} == {NAME: before}


def test_the_same_blobs_in_other_parts_are_another_model(model: Run, ollama: FakeOllama, mirror: FakeRegistry) -> None:
    """A licence that is said to be a system prompt has the same digest."""
    mirror.manifests[PATH] = mirror.manifests[PATH].replace(b"application/x", b"application/vnd.ollama.image.system")
    result = model()
    assert "has another model" in result["msg"]
    assert ollama.store == {}


def test_a_mirror_that_changes_its_mind_in_the_pull(
    model: Run, ollama: FakeOllama, mirror: FakeRegistry, store: Path
) -> None:
    pull = ollama.post_pull

    def pull_another(http: Any, body: Any) -> None:
        mirror.publish_content(NAME, *OTHER)
        pull(http, body)

    ollama.post_pull = pull_another  # type: ignore[method-assign]
    result = model()
    assert result["failed"] is True
    assert "which was looked up. It was removed again" in result["msg"]
    assert nothing_is_left(ollama, store)


@pytest.mark.parametrize("verifies", [True, False])
@pytest.mark.parametrize("wrong", [b"the weights of Xt", WEIGHTS[:5]], ids=["wrong", "cut off"])
def test_a_wrong_blob_is_never_used_nor_left(
    model: Run, ollama: FakeOllama, mirror: FakeRegistry, store: Path, wrong: bytes, verifies: bool
) -> None:
    ollama.verifies = verifies
    spoil(mirror, WEIGHTS, wrong)
    named: list[set[str]] = []
    save = ollama.save

    def saved() -> None:
        named.append(set(ollama.store))
        save()

    ollama.save = saved  # type: ignore[method-assign]
    result = model()
    assert result["failed"] is True
    assert ("digest mismatch" if verifies else "is damaged") in result["msg"]
    assert nothing_is_left(ollama, store)
    assert NAME not in set().union(*named)
    # The next run, from a mirror that is good again, has what the registry names.
    spoil(mirror, WEIGHTS, WEIGHTS)
    assert model()["changed"] is True
    assert damaged(store) == []
    assert list(ollama.store) == [NAME]


def test_a_server_that_finds_one_wrong_blob_leaves_no_other(
    model: Run, ollama: FakeOllama, mirror: FakeRegistry, store: Path
) -> None:
    """Also of a model that nobody asked for: it would lie there for the pull of another one."""
    ollama.verifies = True
    foreign = b"weights of a model that somebody will want"
    pull = ollama.post_pull

    def pull_evil(http: Any, body: Any) -> None:
        mirror.publish_content(NAME, b"evil config", b"evil weights", foreign)
        spoil(mirror, b"evil weights", b"!")
        spoil(mirror, foreign, b"evil")
        pull(http, body)

    ollama.post_pull = pull_evil  # type: ignore[method-assign]
    assert "digest mismatch" in model()["msg"]
    assert not blob(store, foreign).exists()
    assert nothing_is_left(ollama, store)


def test_what_a_run_left_of_another_model_that_was_killed_goes(model: Run, store: Path) -> None:
    foreign = blob(store, b"weights of a model that somebody will want")
    good = blob(store, b"weights that came well")
    foreign.write_bytes(b"evil")
    good.write_bytes(b"weights that came well")
    result = model()
    assert not result.get("failed"), result["msg"]
    assert not foreign.exists()
    assert good.exists()


def test_a_mirror_that_dies_in_the_pull(model: Run, ollama: FakeOllama, mirror: FakeRegistry, store: Path) -> None:
    ollama.pull_fault = "error"
    before = ollama.have(NAME, "zero")
    result = model(state="latest", stall_timeout=1)
    assert result["failed"] is True
    assert f"from {mirror.url} failed: max retries exceeded: unexpected EOF" in result["msg"]
    assert f"({before[:12]}) is untouched" in result["msg"]
    assert list(ollama.store) == [NAME]
    assert damaged(store) == []
    ollama.pull_fault = ""
    assert model(state="latest")["changed"] is True


def test_a_mirror_that_is_down(model: Run, ollama: FakeOllama, mirror: FakeRegistry) -> None:
    mirror.close()
    result = model()
    assert result["failed"] is True
    assert f"{mirror.url}/v2/library/mistral/manifests/latest: connection refused" in result["msg"]
    assert ollama.paths("/api/pull") == []


@pytest.mark.parametrize("fault", ["down", "another", "wrong blob"])
def test_where_it_is_allowed_the_registry_helps(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry, store: Path, fault: str
) -> None:
    if fault == "down":
        mirror.close()
    elif fault == "another":
        mirror.publish_content(NAME, *OTHER)
    else:
        spoil(mirror, WEIGHTS, b"!")
    result = model(mirror_fallback=True)
    assert (result["changed"], result["digest_after"]) == (True, sha256(registry.manifests[PATH]))
    assert f"It was pulled from {registry.url} instead" in str(result["warnings"])
    assert list(ollama.store) == [NAME]
    assert damaged(store) == []


@pytest.mark.parametrize("when", ["before", "in the pull"])
def test_a_tag_that_has_moved_since_is_not_taken_from_the_registry(
    model: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry, store: Path, when: str
) -> None:
    mirror.close()
    before = ollama.have(NAME, "zero")
    if when == "before":
        registry.publish_content(NAME, *OTHER)
    else:
        pull = ollama.post_pull

        def pull_after_the_move(http: Any, body: Any) -> None:
            registry.publish_content(NAME, *OTHER)
            pull(http, body)

        ollama.post_pull = pull_after_the_move  # type: ignore[method-assign]
    result = model(state="latest", mirror_fallback=True)
    assert result["failed"] is True
    assert "connection refused" in result["msg"]
    assert ("has moved at the registry" if when == "before" else "which was looked up") in result["msg"]
    assert {name: sha256(body) for name, body in ollama.store.items()} == {NAME: before}


def test_a_mirror_that_is_full_is_waited_for(
    model: Run, ollama: FakeOllama, mirror: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            mirror.status = 200

    mirror.status = 429
    monkeypatch.setattr(_fetch.time, "sleep", wait)
    assert model()["changed"] is True
    assert waits == [_fetch.BUSY_PAUSE] * 3
    mirror.status = 429
    result = model(state="absent")
    assert result["changed"] is True
    assert "is full" in model(timeout=0)["msg"]


def test_a_pull_that_has_to_wait_for_others_goes_on_later(
    model: Run, ollama: FakeOllama, mirror: FakeRegistry, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While others have all the answers of a mirror, nothing comes and Ollama gives up: that is no failure."""
    pull = ollama.post_pull
    waits: list[float] = []

    def pull_without_luck(http: Any, body: Any) -> None:
        mirror.status = 429 if len(waits) < 2 else 200
        ollama.pull_fault = "error" if len(waits) < 2 else ""
        pull(http, body)

    def wait(seconds: float) -> None:
        if seconds == _fetch.BUSY_PAUSE:
            waits.append(seconds)
            mirror.status = 200

    ollama.post_pull = pull_without_luck  # type: ignore[method-assign]
    monkeypatch.setattr(_fetch.time, "sleep", wait)
    assert model(stall_timeout=1)["changed"] is True
    assert len(waits) == 2
    assert list(ollama.store) == [NAME]
    assert damaged(store) == []


def test_a_mirror_that_was_full_a_moment_ago_is_asked_again(
    model: Run, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """21 servers begin at once: when one looks whether the mirror is full, it may have room again."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        if seconds == _fetch.BUSY_PAUSE:
            waits.append(seconds)
            ollama.pull_fault = ""

    ollama.pull_fault = "full"
    monkeypatch.setattr(_fetch.time, "sleep", wait)
    assert model()["changed"] is True
    assert len(waits) == 1


def test_a_store_that_is_not_the_servers_is_no_place_to_hash(model: Run, ollama: FakeOllama, tmp_path: Path) -> None:
    result = model(models_dir=str(tmp_path / "elsewhere"))
    assert "cannot be hashed, as models_dir is not the store" in result["msg"]
    assert ollama.store == {}


def test_a_model_that_is_there_needs_no_manifest(model: Run, ollama: FakeOllama, mirror: FakeRegistry) -> None:
    """Where the registry could not be asked, a run that has nothing to pull goes well."""
    ollama.have(NAME, "zero")
    assert model(manifest="")["changed"] is False
    assert mirror.requests == []


def test_a_digest_alone_is_a_pin_too(model: Run, ollama: FakeOllama, registry: FakeRegistry) -> None:
    digest = sha256(registry.manifests[PATH])
    result = model(manifest="", digest=f"sha256:{digest}")
    assert (result["changed"], result["digest_after"]) == (True, digest)
    assert list(ollama.store) == [NAME]


class CutError(BaseException):
    """The run is killed."""


def test_cut_off_at_every_request_the_next_run_ends_it(
    model: Run, ollama: FakeOllama, mirror: FakeRegistry, store: Path, monkeypatch: pytest.MonkeyPatch, notes: Path
) -> None:
    opened = _http.opened
    count = cut_at = 0

    def cut(*args: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == cut_at:
            raise CutError
        return opened(*args, **more)

    for module in (_http, _json_lines):
        monkeypatch.setattr(module, "opened", cut)
    old = content_manifest(*OTHER)
    unhashed: list[int] = []
    for at in range(1, 100):
        ollama.store.clear()
        ollama.store[NAME] = old
        for path in (store / "blobs").iterdir():
            path.unlink()
        for content in OTHER:
            blob(store, content).write_bytes(content)
        ollama.save()
        count, cut_at = 0, at
        try:
            model(state="latest")
        except CutError:
            cut_at = 0
        else:
            assert at > 7
            assert unhashed
            return
        # Until what came was hashed, it is found where it is damaged.
        if blob(store, WEIGHTS).exists() and notes.exists():
            unhashed.append(at)
            blob(store, WEIGHTS).write_bytes(b"the weights of Xt")
        what = f"cut off at {at}: {sorted(ollama.store)}"
        result = model(state="latest")
        assert not result.get("failed"), f"{what}: {result.get('msg')}"
        assert list(ollama.store) == [NAME], what
        assert ollama.store[NAME] == mirror.manifests[PATH], what
        assert damaged(store) == [], what
        assert not notes.exists(), what


@pytest.mark.parametrize("state", ["present", "latest", "absent"])
def test_a_name_that_was_left_goes(model: Run, ollama: FakeOllama, mirror: FakeRegistry, state: str) -> None:
    model()
    ollama.store[f"127.0.0.1:{mirror.port}/library/{NAME}"] = ollama.store[NAME]
    ollama.save()
    assert model(state=state, check_mode=True)["changed"] is True
    result = model(state=state)
    assert result["changed"] is True
    assert list(ollama.store) == ([] if state == "absent" else [NAME])
    assert model(state=state)["changed"] is False


def test_a_name_that_was_left_goes_where_the_run_fails(model: Run, ollama: FakeOllama, mirror: FakeRegistry) -> None:
    ollama.have(f"127.0.0.1:{mirror.port}/library/{NAME}", "zero")
    mirror.close()
    assert model()["failed"] is True
    assert ollama.store == {}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"manifest": None}, "nothing says what the registry names. Give manifest"),
        ({"manifest": None, "digest": "ab" * 32}, f"not {'ab' * 32} as asked"),
        ({"models_dir": None}, "Give models_dir"),
        ({"mirror": None}, "no mirror is given"),
        ({"mirror": "192.0.2.1:11444"}, "has no scheme"),
        ({"mirror": "http://192.0.2.1:11444/v2"}, "mirror: 'http://192.0.2.1:11444/v2' has a path"),
        ({"manifest": "<html>Log in first</html>"}, "no model's manifest"),
        ({"digest": "ab" * 32}, "not abab"),
    ],
)
def test_wrong_values_are_named(model: Run, ollama: FakeOllama, args: dict[str, Any], reason: str) -> None:
    result = model(**args)
    assert result["failed"] is True
    assert reason in result["msg"]
    assert ollama.paths("/api/pull") == []
