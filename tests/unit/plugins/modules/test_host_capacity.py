# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._capacity import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.modules import host_capacity
from ansible_collections.etrid.gizzi.tests.unit.plugins.gguf_files import SMOLLM2, SMOLLM2_TOKEN, TOKENIZER, gguf

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
    ("model", "memory"), [("llama3.1:8b", 8), ("phi3:mini", 5.921225472), ("mistral", 8), ("llama3.1:70b", 64)]
)
def test_the_figures_of_the_known_models(capacity: Run, registry: FakeRegistry, model: str, memory: float) -> None:
    result = capacity(model, fail_on="never", reserved_memory=0)
    assert check(result, "memory_total")["required"] == round(memory * GB)
    assert check(result, "memory_available")["required"] == round(memory * GB)
    assert result["sufficient"] is (memory < 64)
    assert registry.requests == []


def test_the_largest_model_counts_for_memory_and_all_for_disk(capacity: Run) -> None:
    result = capacity("phi3:mini", "llama3.1:8b")
    assert check(result, "memory_total")["required"] == (8 + 4) * GB
    assert check(result, "memory_available")["required"] == 8 * GB
    assert check(result, "disk")["required"] == 16_900_000_000
    assert capacity("llama3.1:8b", "phi3:mini")["checks"] == result["checks"]
    assert result["sufficient"] is True
    assert result["changed"] is False
    assert [entry["name"] for entry in result["checks"]] == ["memory_total", "memory_available", "cpus", "disk", "port"]


def test_the_sum_is_shown_and_returned(capacity: Run) -> None:
    result = capacity("llama3.1:8b", context_length=16_384, prompt_cache=10**9 + 1)
    context, cache = 16_384 * 131_072, 953 * 1024**2
    assert result["memory"] == {
        "model": "llama3.1:8b",
        "tokens": 16_384,
        "weights": 4_700_000_000,
        "context": context,
        "prompt_cache": cache,
        "saved_prompt": context,
        "runner": 500_000_000,
        "least": 8 * GB,
        "sum": 4_700_000_000 + 2 * context + cache + 500_000_000,
        "required": 4_700_000_000 + 2 * context + cache + 500_000_000,
        "limit": 12 * GB,
    }
    assert check(result, "memory_total")["message"] == (
        "14.5 GB of memory needed (llama3.1:8b 10.5 GB, rest of the host 4.0 GB), 16.0 GB there. "
        "llama3.1:8b needs weights 4.7 GB + context of 16384 tokens 2.1 GB + prompt cache 999.3 MB + "
        "one saved prompt 2.1 GB + the runner itself 500.0 MB = 10.5 GB."
    )
    assert result["sufficient"] is True


@pytest.mark.parametrize(
    ("memory_max", "fits"), [("8G", True), ("8000000000", True), ("7999999999", False), ("50%", True), ("49%", False)]
)
def test_what_must_fit_is_compared_with_the_limit(capacity: Run, memory_max: str, fits: bool) -> None:
    result = capacity("llama3.1:8b", memory_max=memory_max, fail_on="never")
    assert result["sufficient"] is fits
    assert check(result, "memory_total")["ok"] is fits
    assert check(result, "memory_total")["required"] == 8 * GB
    assert check(result, "memory_total")["available"] == result["memory"]["limit"]


def test_a_limit_too_low_is_named_with_what_helps(capacity: Run) -> None:
    message = capacity("llama3.1:8b", memory_max="6G", prompt_cache=10**9)["msg"]
    assert (
        "memory_total: 8.0 GB of memory needed for llama3.1:8b under the limit 6G, 6.4 GB there: choose a smaller "
        "model, set a smaller ollama_context_length, set a smaller ollama_prompt_cache, or raise ollama_memory_max. "
        "llama3.1:8b needs weights 4.7 GB +"
    ) in message


def test_a_limit_gives_nothing_of_the_reserve(capacity: Run) -> None:
    result = capacity("llama3.1:70b", memory_max="100G", fail_on="never")
    assert (check(result, "memory_total")["required"], check(result, "memory_total")["available"]) == (68 * GB, 16 * GB)
    assert result["memory"]["limit"] == 12 * GB


def test_before_llama_server_no_prompt_is_saved(capacity: Run) -> None:
    def required(version: str) -> int:
        result = capacity("phi3:mini", version=version, prompt_cache=GB)
        return check(result, "memory_total")["required"] - 4 * GB

    context = 4096 * 393_216
    assert required("0.9.3") == required("0.29.1") == 2_200_000_000 + context + 500_000_000
    assert required("0.30.0") == required("") == 2_200_000_000 + 2 * context + 953 * 1024**2 + 500_000_000


def test_a_context_that_would_be_cut_is_a_warning(capacity: Run) -> None:
    result = capacity("mistral", context_length=131_072, fail_on="never")
    (warning,) = result["warnings"]
    assert "mistral:latest was trained for a context of 32768 tokens: Ollama cuts the 131072" in warning
    assert warning in check(result, "memory_total")["message"]
    assert result["memory"]["tokens"] == 32_768
    assert capacity("mistral", context_length=32_768)["warnings"] == []


def test_every_shortage_is_named_with_both_figures(capacity: Run, tmp_path: Path) -> None:
    result = capacity("llama3.1:70b", min_cpus=8, reserved_disk=100 * GB)
    assert result["failed"] is True
    for words in (
        "memory_total: 68.0 GB of memory needed (llama3.1:70b 64.0 GB, rest of the host 4.0 GB), 16.0 GB there: choose "
        "a smaller model, set a smaller ollama_context_length, or use a host with more memory. llama3.1:70b needs",
        "memory_available: 64.0 GB of unused memory needed for llama3.1:70b, 12.0 GB there: stop what uses it, or ",
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
        "partial_downloads": 0,
    }


def test_parts_of_unfinished_downloads_are_counted(capacity: Run, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    for name in ("sha256-00-partial", "sha256-00-partial-0", "sha256-11"):
        (tmp_path / "blobs" / name).touch()
    assert capacity()["facts"]["partial_downloads"] == 2
    (tmp_path / "blobs").rename(tmp_path / "elsewhere")
    (tmp_path / "blobs").write_text("no folder")
    assert capacity()["facts"]["partial_downloads"] is None


def test_another_model_is_measured_at_the_registry(capacity: Run, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small", size=270 * 10**6)
    registry.give_weights("smollm2:135m", "small", gguf({**SMOLLM2, **TOKENIZER}))
    result = capacity("smollm2:135m", reserved_disk=0)
    assert check(result, "disk")["required"] == 270 * 10**6 + 15
    assert check(result, "memory_available")["required"] == 270 * 10**6 + 2 * 4096 * SMOLLM2_TOKEN + 0.5 * GB


def test_a_model_of_unknown_size_is_never_sufficient(capacity: Run) -> None:
    result = capacity("nonsense")
    assert result["failed"] is True
    assert "no such model or tag" in result["msg"]
    assert [entry["ok"] for entry in result["checks"]] == [False, False, True, False, True]
    assert check(result, "disk")["required"] is None
    assert result["memory"] is None


def test_a_wrong_name_is_said_first_and_the_host_is_not_blamed(capacity: Run) -> None:
    reason = capacity("nonsense")["msg"]
    assert reason.startswith("What a model needs cannot be found out: ")
    assert reason.count("no such model or tag") == 1
    assert "This host does not suffice" not in reason
    both = capacity("nonsense", min_cpus=10**6)["msg"]
    assert both.index("no such model or tag") < both.index("This host is too small. cpus: ")


def test_a_model_of_unknown_memory_is_never_sufficient(capacity: Run, registry: FakeRegistry) -> None:
    registry.publish("smollm2:135m", "small")
    registry.give_weights("smollm2:135m", "small", b"<html>")
    result = capacity("smollm2:135m", "phi3:mini")
    assert result["failed"] is True
    assert [entry["ok"] for entry in result["checks"]] == [False, False, True, True, True]
    assert "the need is unknown: smollm2:135m: http://" in check(result, "memory_total")["message"]
    assert "is not a GGUF file" in check(result, "memory_total")["message"]
    assert check(result, "memory_available")["message"].endswith("the need is unknown: see memory_total.")


def test_no_model_needs_the_reserve_alone(capacity: Run) -> None:
    result = capacity()
    assert result["memory"] is None
    assert check(result, "memory_total")["required"] == 4 * GB
    assert "(no model 0 B, rest of the host 4.0 GB)" in check(result, "memory_total")["message"]


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


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"models": ["bad name"]}, "is not a model name"),
        ({"models": ["mistral:cloud"]}, "'mistral:cloud' can be stored and never answers"),
        ({"models": ["x:1b-cloud"]}, "can be stored and never answers"),
        ({"models": ["x:local"]}, "can be stored and never answers"),
        ({"registry": "registry.ollama.ai"}, "registry: "),
        ({"memory_max": "12GB"}, "memory_max: '12GB' is no limit"),
        ({"context_length": 0}, "context_length: 0 is no number of tokens"),
        ({"prompt_cache": -1}, "prompt_cache: -1 is no number of bytes"),
        ({"version": "newest"}, "'newest' is not a version"),
    ],
)
def test_wrong_values(capacity: Run, args: dict[str, Any], reason: str) -> None:
    result = capacity(**args)
    assert result["failed"] is True
    assert reason in result["msg"]
    assert "checks" not in result
