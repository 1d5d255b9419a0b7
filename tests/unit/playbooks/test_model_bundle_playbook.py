"""Models from one server's store into a file, and from there to a server that reaches no registry."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from plays import PROJECT, RunPlay

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._bundle import bundled_models, pinned_models
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, FakeRegistry
from ansible_collections.etrid.gizzi.tests.unit.plugins.stores import LIBRARY, files_of, put_model, weights

TASKS = PROJECT / "playbooks/tasks"
HOST = {"validator_id": 1, "gizzi_addresses": ["127.0.0.1"], "ansible_become": False}
MISTRAL = (b"config", weights("mistral"), b"licence")

Result = subprocess.CompletedProcess[str]


class StoreOllama(FakeOllama):
    """A server that sees what is in its store, as Ollama does."""

    def answer(self, http: Any, body: Any) -> None:
        assert self.models_dir
        for path in sorted(self.models_dir.glob("manifests/*/*/*/*")):
            self.store[str(parse_model_name("/".join(path.parts[-4:-1]) + f":{path.name}"))] = path.read_bytes()
        super().answer(http, body)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with closing(FakeRegistry()) as server:
        yield server


@pytest.fixture
def ollama(registry: FakeRegistry, tmp_path: Path) -> Iterator[StoreOllama]:
    with closing(StoreOllama(registry)) as server:
        server.models_dir = tmp_path / "store"
        server.models_dir.mkdir()
        yield server


@pytest.fixture
def write(tmp_path: Path, run_play: RunPlay) -> Callable[..., Result]:
    """Run the plays of the playbook model_bundle."""
    (tmp_path / "playbooks/tasks").symlink_to(TASKS)
    put_model(tmp_path / "source", "mistral/latest", *MISTRAL)
    put_model(tmp_path / "source", "derived/latest", b"of this host", MISTRAL[1])
    models = [{"name": "mistral"}, {"name": "derived", "from": "mistral"}, {"name": "gone", "state": "absent"}]
    host = {**HOST, "ollama_models": models, "ollama_models_dir": str(tmp_path / "source")}
    groups = {"validators": {"hosts": {"v1": host}}, "gizzi": {"hosts": {"v1": {}}}}

    def run(*arguments: str, **variables: Any) -> Result:
        given = {"gizzi_topology": "distributed", "gizzi_expected_validators": 1, **variables}
        plays = yaml.safe_load((PROJECT / "playbooks/model_bundle.yml").read_text(encoding="utf-8"))
        return run_play(plays, groups, *arguments, **given)

    return run


def test_the_playbook_writes_what_is_pulled(write: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "models.tar"
    would = write("--check", model_bundle_file=str(path))
    assert would.returncode == 0, would.stdout + would.stderr
    assert not path.exists()
    result = write(model_bundle_file=str(path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"gizzi_bundle_sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}" in result.stdout
    assert f"{path} has mistral:latest;" in result.stdout
    assert "changed=0" in write(model_bundle_file=str(path)).stdout


def test_a_file_that_is_not_given(write: Callable[..., Result]) -> None:
    result = write()
    assert result.returncode != 0
    assert "model_bundle_file is ''. Write the whole path of a file on the control host" in result.stdout


def test_a_server_gets_its_models_and_asks_no_registry(
    write: Callable[..., Result], run_play: RunPlay, ollama: StoreOllama, registry: FakeRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "models.tar"
    write(model_bundle_file=str(path))
    assert ollama.models_dir
    offer = {
        "name": "mistral:latest",
        "digest": hashlib.sha256((tmp_path / "source" / LIBRARY / "mistral/latest").read_bytes()).hexdigest(),
    }
    pulled = [{"name": "mistral:latest", "state": "latest", "digest": None, "from": None}]
    role = {
        "url": ollama.url,
        "registry": registry.url,
        "mirror": "",
        "mirror_fallback": False,
        "bundle": str(path),
        "models_removed": [],
        "models_pulled": pinned_models(pulled, {"mistral:latest": offer}),
        "models_bundled": bundled_models(pulled),
        "models_derived": [],
        "models_dir": str(ollama.models_dir),
        "reserved_disk": 0,
        "pull_timeout": 10,
        "pull_stall_timeout": 10,
        "current": "0.34.2",
    }
    fleet = {
        "bundle": str(path),
        "bundle_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "pulled": ["mistral:latest"],
    }
    play = {
        "hosts": "all",
        "tasks": [
            {"ansible.builtin.include_tasks": str(TASKS / "bundle.yml")},
            {"ansible.builtin.include_tasks": str(TASKS / "bundle_check.yml")},
            {
                "ansible.builtin.include_role": {
                    "name": "etrid.gizzi.ollama",
                    "tasks_from": "models",
                    "rolespec_validate": False,
                },
                "vars": {"__ollama": "{{ __gizzi_host.ollama | combine({'offered': __gizzi_offered.models}) }}"},
            },
        ],
    }
    groups = {"validators": {"hosts": {"v1": HOST}}}

    def run(*arguments: str, **variables: Any) -> Result:
        return run_play(play, groups, *arguments, **{"__fleet": fleet, "__gizzi_host": {"ollama": role}, **variables})

    would = run("--check")
    assert would.returncode == 0, would.stdout + would.stderr
    assert "changed=1" in would.stdout
    assert files_of(ollama.models_dir) == {}
    first = run()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=1" in first.stdout
    assert (ollama.models_dir / LIBRARY / "mistral/latest").exists()
    second = run()
    assert "changed=0" in second.stdout
    assert (registry.requests, ollama.paths("/api/pull")) == ([], [])

    # Not what the operator was told, and a model that is nowhere: nothing is changed.
    wrong = run(__fleet={**fleet, "bundle_sha256": "0" * 64})
    assert "and not 0000" in wrong.stdout
    missing = run(__gizzi_host={"ollama": {**role, "models_bundled": [{"name": "nope:1"}]}})
    assert "nope:1 is neither in the bundle nor in the store" in missing.stdout
