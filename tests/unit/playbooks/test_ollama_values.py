"""What role ollama writes into the unit by its variables, and values of them that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT, RunPlay

ROLE = PROJECT / "roles/ollama"
HOSTS = {"servers": {"hosts": {"server": {}}}}
MIB = 1024 * 1024


@pytest.fixture
def dropin(run_play: RunPlay, tmp_path: Path) -> Any:
    """Return a function that returns the lines of the drop-in which the role writes by some variables."""

    def write(**variables: Any) -> list[str]:
        known = {
            "__ollama_unit_info": {"unset": ["LLAMA_API_KEY", "OLLAMA_DEBUG"]},
            "__ollama_capacity": {"facts": {"memory_total": 16 * 10**9}},
            "_ollama_secrets": "/etc/default/ollama",
        }
        task = {"src": str(ROLE / "templates/override.conf.j2"), "dest": str(tmp_path / "override.conf")}
        play = {
            "hosts": "server",
            "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
            "tasks": [{"ansible.builtin.template": task}],
        }
        result = run_play(play, HOSTS, **known, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return (tmp_path / "override.conf").read_text(encoding="utf-8").splitlines()

    return write


def environment(lines: list[str]) -> dict[str, str]:
    """Return what the lines ``Environment="NAME=value"`` set."""
    values = [line.partition("=")[2].strip('"') for line in lines if line.startswith("Environment=")]
    return {name: value for name, _sign, value in (value.partition("=") for value in values)}


def test_context_cache_and_threads_of_a_current_release(dropin: Any) -> None:
    lines = dropin(ollama_context_length=8192, ollama_prompt_cache=5 * MIB - 1, ollama_cpu_threads=2)
    assert environment(lines) == {
        "OLLAMA_HOST": "127.0.0.1:11434",
        "OLLAMA_MODELS": "/var/lib/ollama/models",
        "OLLAMA_CONTEXT_LENGTH": "8192",
        "LLAMA_ARG_CACHE_RAM": "4",
        "LLAMA_ARG_THREADS": "2",
    }
    assert "CPUQuota=200%" in lines
    assert "MemoryMax=12000000000" in lines
    assert "UnsetEnvironment=LLAMA_API_KEY OLLAMA_DEBUG" in lines


def test_no_cache_is_said_to_a_current_release_alone(dropin: Any) -> None:
    current = environment(dropin())
    assert (current["LLAMA_ARG_CACHE_RAM"], current["OLLAMA_CONTEXT_LENGTH"]) == ("0", "4096")
    assert "LLAMA_ARG_THREADS" not in current
    before = environment(dropin(ollama_version="0.9.3", ollama_prompt_cache=100 * MIB))
    assert set(before) == {"OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_CONTEXT_LENGTH"}


def test_numbers_and_booleans_on_the_command_line_are_texts(dropin: Any) -> None:
    lines = dropin(ollama_cpu_threads="2", ollama_reserved_memory="1000000000", ollama_prompt_cache="2097152")
    assert {"CPUQuota=200%", "MemoryMax=15000000000"} <= set(lines)
    assert environment(lines)["LLAMA_ARG_CACHE_RAM"] == "2"


@pytest.mark.parametrize(("keep", "kept"), [("false", False), ("true", True)])
def test_models_are_kept_by_what_the_text_means(run_play: RunPlay, tmp_path: Path, keep: str, kept: bool) -> None:
    play = {
        "hosts": "server",
        "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
        "tasks": [{"ansible.builtin.copy": {"content": "{{ _ollama_traces }}", "dest": str(tmp_path / "traces")}}],
    }
    result = run_play(play, HOSTS, ollama_keep_models=keep)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ("/var/lib/ollama/models" not in (tmp_path / "traces").read_text(encoding="utf-8")) is kept


def test_values_that_break_every_answer_are_refused(run_play: RunPlay) -> None:
    role = {"name": str(ROLE), "tasks_from": "preflight"}
    play = {"hosts": "server", "tasks": [{"ansible.builtin.include_role": role}]}
    result = run_play(
        play,
        HOSTS,
        ollama_environment={"OLLAMA_X": "", "LLAMA_ARG_X": None, "OLLAMA_CONTEXT_LENGTH": 1, "LLAMA_ARG_CACHE_RAM": 1}
        | {"LLAMA_API_KEY": "x"},
        ollama_models=[{"name": "b:cloud"}, {"name": "c", "from": "b:cloud", "parameters": {"num_cxt": 1}}],
        ollama_context_length=255,
        ollama_prompt_cache=-1,
    )
    printed = " ".join((result.stdout + result.stderr).split())
    assert result.returncode != 0
    for said in (
        "ollama_environment has no value for OLLAMA_X and LLAMA_ARG_X.",
        "Set ollama_context_length and ollama_prompt_cache instead.",
        "ollama_environment sets LLAMA_API_KEY.",
        "ollama_models: b:cloud: name: 'b:cloud' can be stored and never answers",
        "Is num_ctx meant?",
        "ollama_prompt_cache must be 0 or more",
        "ollama_context_length 256 or more",
    ):
        assert said in printed
