# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The update of one model from a mirror: pinned, hashed, judged, and nothing left of a mirror that lies."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.modules import ollama_model_update
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

MODEL, PATH = "mistral:latest", "/v2/library/mistral/manifests/latest"
OLD, NEW, OTHER = (b"{}old", b"old"), (b"{}new", b"new"), (b"{}other", b"other")


@pytest.fixture
def mirror(ollama: FakeOllama) -> Iterator[FakeRegistry]:
    with closing(FakeRegistry()) as server:
        server.publish_content(MODEL, *NEW)
        ollama.others.append(server)
        yield server


@pytest.fixture
def update(run_module: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry, tmp_path: Path) -> Run:
    """Update a server that has an old model; the registry and the mirror hold a new one."""
    ollama.models_dir = tmp_path / "models"
    (ollama.models_dir / "blobs").mkdir(parents=True)
    ollama.loads = True
    ollama.answers = {"capital": "It is Paris."}
    registry.publish_content(MODEL, *OLD)
    ollama.store[MODEL] = registry.manifests[PATH]
    for content in OLD:
        (ollama.models_dir / "blobs" / f"sha256-{sha256(content)}").write_bytes(content)
    ollama.save()
    registry.publish_content(MODEL, *NEW)
    given = {
        "url": ollama.url,
        "registry": registry.url,
        "mirror": mirror.url,
        "manifest": registry.manifests[PATH].decode(),
        "models_dir": str(ollama.models_dir),
        "reserved_disk": 0,
        "name": MODEL,
        "prompts": [{"name": "France", "prompt": "capital", "pattern": "Paris"}],
        "stall_timeout": 0.3,
        "answer_timeout": 5,
        "fail_on": "never",
    }

    def run(**args: Any) -> dict[str, Any]:
        return run_module(ollama_model_update.main, **{**given, **args})

    return run


def contents(ollama: FakeOllama) -> dict[str, bytes]:
    """What is in the server's store, by name, without the previous models."""
    return {name: body for name, body in ollama.store.items() if ".gizzi-2" not in name}


def test_it_comes_from_the_mirror(
    update: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry
) -> None:
    looked = update(until="checked")
    assert (looked["verdict"], looked["digest_wanted"]) == ("planned", sha256(registry.manifests[PATH]))
    assert mirror.requests == []
    result = update()
    assert (result["verdict"], result["bytes_pulled"]) == ("updated", sum(map(len, NEW)))
    assert contents(ollama) == {MODEL: registry.manifests[PATH]}
    assert registry.requests == []
    assert update()["verdict"] == "current"


@pytest.mark.parametrize("fault", ["another", "wrong blob", "down"])
def test_a_mirror_that_lies_changes_nothing(update: Run, ollama: FakeOllama, mirror: FakeRegistry, fault: str) -> None:
    before = dict(ollama.store)
    if fault == "another":
        mirror.publish_content(MODEL, *OTHER)
    elif fault == "wrong blob":
        mirror.contents[f"sha256:{sha256(NEW[1])}"] = b"neW"
    else:
        mirror.close()
    result = update()
    assert result["verdict"] == "restored"
    reasons = {"another": "has another model", "wrong blob": "is damaged", "down": "connection refused"}
    assert reasons[fault] in result["reason"]
    assert ollama.store == before
    assert not (ollama.models_dir / "blobs" / f"sha256-{sha256(NEW[1])}").exists()


def test_where_it_is_allowed_the_registry_helps(
    update: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry
) -> None:
    mirror.close()
    result = update(mirror_fallback=True)
    assert result["verdict"] == "updated"
    assert f"It was pulled from {registry.url} instead" in str(result["warnings"])
    assert contents(ollama) == {MODEL: registry.manifests[PATH]}


@pytest.mark.parametrize("source", ["mirror", "registry"])
def test_a_name_that_was_left_goes(
    update: Run, ollama: FakeOllama, registry: FakeRegistry, mirror: FakeRegistry, source: str
) -> None:
    update()
    port = mirror.port if source == "mirror" else registry.port
    ollama.store[f"127.0.0.1:{port}/library/{MODEL}"] = ollama.store[MODEL]
    ollama.save()
    assert update()["verdict"] == "swept"
    assert contents(ollama) == {MODEL: registry.manifests[PATH]}


def test_it_is_pinned(update: Run) -> None:
    result = update(manifest="")
    assert result["verdict"] == "failed"
    assert "Give manifest" in result["reason"]
