# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Registry, parse_manifest
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.modules import host_capacity
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

    Run = Callable[..., dict[str, Any]]

GB = 10**9


@pytest.fixture
def capacity(
    run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: FakeRegistry
) -> Run:
    """The module on a host of 16 GB, 12 GB of them available, 4 CPUs and 100 GB of free disk."""
    monkeypatch.setattr(Host, "memory_total", lambda self: 16 * GB)
    monkeypatch.setattr(Host, "memory_available", lambda self: 12 * GB)
    monkeypatch.setattr(Host, "cpus", lambda self: 4)
    monkeypatch.setattr(Host, "listener", lambda self, port: None)
    monkeypatch.setattr(Store, "free_bytes", lambda self: 100 * GB)

    def run(*models: str, **args: Any) -> dict[str, Any]:
        defaults = {"models_dir": str(tmp_path), "registry": registry.url, "models": list(models)}
        return run_module(host_capacity.main, **{**defaults, **args})

    return run


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in result["checks"] if entry["name"] == name)
    return found


@pytest.mark.parametrize(
    ("model", "disk", "memory"),
    [
        ("llama3.1:8b", 4.7, 8),
        ("phi3:mini", 2.2, 4),
        ("mistral", 4.1, 8),
        ("mistral:latest", 4.1, 8),
        ("llama3.1:70b", 40, 64),
    ],
)
def test_the_figures_of_the_known_models(
    capacity: Run, registry: FakeRegistry, model: str, disk: float, memory: int
) -> None:
    result = capacity(model, fail_on="never", reserved_disk=0, reserved_memory=0)
    assert check(result, "disk")["required"] == round(disk * GB)
    assert check(result, "memory_total")["required"] == memory * GB
    assert check(result, "memory_available")["required"] == memory * GB
    assert result["sufficient"] is (memory < 64)
    assert registry.requests == []


def test_the_largest_model_counts_for_memory_and_all_for_disk(capacity: Run) -> None:
    result = capacity("phi3:mini", "llama3.1:8b", "Phi3:mini", "library/phi3:mini")
    assert check(result, "memory_total")["required"] == (8 + 4) * GB
    assert check(result, "memory_available")["required"] == 8 * GB
    assert check(result, "disk")["required"] == 16_900_000_000
    assert capacity("llama3.1:8b", "phi3:mini")["checks"] == result["checks"]
    assert result["sufficient"] is True
    assert result["changed"] is False
    assert [entry["name"] for entry in result["checks"]] == ["memory_total", "memory_available", "cpus", "disk", "port"]


def test_every_shortage_is_named_with_both_figures(capacity: Run, tmp_path: Path) -> None:
    result = capacity("llama3.1:70b", min_cpus=8, reserved_disk=100 * GB)
    assert result["failed"] is True
    for words in (
        "memory_total: 68.0 GB of memory needed (llama3.1:70b 64.0 GB, rest of the host 4.0 GB), 16.0 GB there: choose",
        "memory_available: 64.0 GB of unused memory needed for llama3.1:70b, 12.0 GB there: stop",
        "cpus: 8 cpus needed, 4 cpus there: use",
        f"disk: 140.0 GB needed under {tmp_path} (models to pull 40.0 GB, to stay free 100.0 GB), 100.0 GB there: free",
    ):
        assert words in result["msg"]
    assert "port:" not in result["msg"]
    assert result["facts"] == {
        "memory_total": 16 * GB,
        "memory_available": 12 * GB,
        "cpus": 4,
        "disk_free": 100 * GB,
        "models_dir": str(tmp_path),
    }


def test_another_model_is_measured_at_the_registry(capacity: Run, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small", size=270 * 10**6 - 15)
    result = capacity("smollm2:135m", reserved_disk=0)
    assert check(result, "disk")["required"] == 270 * 10**6
    assert check(result, "memory_available")["required"] == 270 * 10**6 * 1.2 + 0.5 * GB


def test_a_model_of_unknown_size_is_never_sufficient(capacity: Run) -> None:
    result = capacity("nonsense")
    assert result["failed"] is True
    assert "no such model or tag" in result["msg"]
    assert [entry["ok"] for entry in result["checks"]] == [False, False, True, False, True]
    assert check(result, "disk")["required"] is None


def test_a_stored_model_needs_no_disk(tmp_path: Path) -> None:
    path = tmp_path / "manifests/registry.ollama.ai/library"
    for name in ("smollm2/135m", "mistral/latest"):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(manifest("small"))
    (tmp_path / "blobs").mkdir()
    for layer in parse_manifest(manifest("small")).layers:
        (tmp_path / "blobs" / layer.digest.replace(":", "-")).write_bytes(b"x" * layer.size)
    nobody = Registry("http://127.0.0.1:1")
    names = [parse_model_name("smollm2:135m"), parse_model_name("mistral")]
    demand = host_capacity.demand_of(names, Store(tmp_path), nobody)
    assert (demand.disk, demand.memory, demand.unknown) == (0, 8 * GB, ())


@pytest.mark.parametrize("fact", ["memory_total", "memory_available"])
def test_an_unreadable_fact_is_a_failed_check(capacity: Run, monkeypatch: pytest.MonkeyPatch, fact: str) -> None:
    monkeypatch.setattr(Host, fact, lambda self: None)
    result = capacity("phi3:mini")
    assert result["failed"] is True
    assert check(result, fact)["available"] is None
    assert f"{fact}: What the host has is unknown" in result["msg"]


def test_unreadable_disk_and_port(capacity: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(self: Host, port: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Store, "free_bytes", lambda self: None)
    monkeypatch.setattr(Host, "listener", unreadable)
    result = capacity("phi3:mini", fail_on="never")
    assert "failed" not in result
    assert result["sufficient"] is False
    assert check(result, "disk")["ok"] is False
    assert check(result, "port")["ok"] is False


def test_port_held_by_another(run_module: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run_module(host_capacity.main, models_dir=str(tmp_path), port=port, fail_on="never")
    message = check(result, "port")["message"]
    assert check(result, "port")["ok"] is False
    assert f"Port {port} is held by " in message
    assert "(pid " in message
    assert "choose another port" in message


def test_wrong_values(capacity: Run) -> None:
    assert "is not a model name" in capacity("bad name")["msg"]
    assert "registry: " in capacity(registry="registry.ollama.ai")["msg"]
