"""The look of an update at a server: by what models consist of and, on request, by what their blobs are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT, RunPlay

from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry, rewritten

GROUPS = {
    "validators": {"hosts": {"v1": {"validator_id": 1, "gizzi_addresses": ["127.0.0.1"], "ansible_become": False}}},
    "gizzi": {"hosts": {"v1": {}}},
    "ollama_servers": {"hosts": {"v1": {}}},
}
TASKS = PROJECT / "playbooks/tasks"
CONFIG, WEIGHTS = b"{}", b"the weights"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with closing(FakeRegistry()) as server:
        yield server


@pytest.fixture
def ollama(registry: FakeRegistry) -> Iterator[FakeOllama]:
    with closing(FakeOllama(registry)) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path, registry: FakeRegistry, ollama: FakeOllama) -> Path:
    """Make a store with one model, in a manifest that its server wrote in another way than the registry's."""
    layer = {"mediaType": "application/x", "digest": sha256(WEIGHTS), "size": len(WEIGHTS)}
    document = {"schemaVersion": 2, "config": {"digest": sha256(CONFIG), "size": len(CONFIG)}, "layers": [layer]}
    offered = json.dumps(document, indent=1).encode()
    registry.manifests["/v2/library/mistral/manifests/latest"] = offered
    # An order of the keys that neither Ollama nor a registry would choose.
    own = rewritten(json.dumps(dict(reversed(document.items()))).encode())
    ollama.store["mistral:latest"] = own
    folder = tmp_path / "store"
    (folder / "blobs").mkdir(parents=True)
    for content in (CONFIG, WEIGHTS):
        (folder / "blobs" / sha256(content).replace(":", "-")).write_bytes(content)
    manifest = folder / "manifests/registry.ollama.ai/library/mistral/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(own)
    return folder


@pytest.fixture
def look(run_play: RunPlay, tmp_path: Path, registry: FakeRegistry, ollama: FakeOllama, store: Path) -> Any:
    """Return a function that looks at the server and returns the row of its model."""

    def run(*, verify_blobs: bool = False) -> dict[str, Any]:
        rows = tmp_path / "rows.json"
        fleet = {
            "port": ollama.port,
            "mirror": "",
            "ask_registry_from": "localhost",
            "hosts": {
                "v1": {
                    "mirror": "",
                    "ollama": {"models_dir": str(store), "registry": registry.url},
                    "models": [{"name": "mistral", "state": "present"}],
                }
            },
        }
        update = {"verify_blobs": verify_blobs, "keep": 1, "model_rollback_models": []}
        play = {
            "hosts": "validators",
            "vars": {"__fleet": fleet, "__update": update, "_update_playbook": "model_update"},
            "tasks": [
                {"ansible.builtin.import_tasks": str(TASKS / "model_update_look.yml")},
                {
                    "ansible.builtin.copy": {
                        "dest": str(rows),
                        "content": "{{ __update_plan.rows['v1'] | to_json }}",
                        "mode": "0600",
                    }
                },
            ],
        }
        result = run_play(play, GROUPS)
        assert result.returncode == 0, result.stdout + result.stderr
        (row,) = json.loads(rows.read_text())
        return dict(row)

    return run


def test_the_same_content_in_another_manifest_is_current(look: Any) -> None:
    row = look()
    assert row["digest_present"] != row["digest_wanted"]
    assert (row["action"], row["blobs"]) == ("none", [])


def test_damage_is_looked_for_on_request_and_is_an_update(look: Any, store: Path) -> None:
    blob = store / "blobs" / sha256(WEIGHTS).replace(":", "-")
    blob.write_bytes(b"the Weights")
    assert look()["action"] == "none"
    row = look(verify_blobs=True)
    assert (row["action"], row["damaged"]) == ("update", [sha256(WEIGHTS)])
    assert "mistral:latest" in row["reason"]
    assert sha256(WEIGHTS)[7:19] in row["reason"]
    assert [(one["digest"], one["size"], one["status"]) for one in row["blobs"]] == sorted(
        [(sha256(CONFIG), 2, "ok"), (sha256(WEIGHTS), 11, "damaged")]
    )
