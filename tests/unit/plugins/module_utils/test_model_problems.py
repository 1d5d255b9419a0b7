# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.etrid.gizzi.plugins.filter.model_problems import model_problems

GOOD: list[dict[str, Any]] = [
    {"name": "llama3.1:8b"},
    {"name": "etrid-validator", "from": "llama3.1:8b", "parameters": {"temperature": 0, "num_ctx": 4096}},
]


@pytest.mark.parametrize("version", ["", "0.34.2", "0.9.3"])
def test_a_good_list(version: str) -> None:
    assert model_problems(GOOD, version) == []


def test_everything_is_said_at_once() -> None:
    models = [
        *GOOD,
        {"name": "x:cloud"},
        {"name": "y", "from": "x:1-cloud", "parameters": {"num_cxt": 1, "num_thread": 2}},
        {"name": "bad name", "state": "absent"},
    ]
    found = model_problems(models, "0.34.2")
    starts = [
        "ollama_models: x:cloud: name: 'x:cloud' can be stored and never answers",
        "ollama_models: y: from: 'x:1-cloud' can be stored and never answers",
        "ollama_models: y: parameters: num_cxt: Ollama does not know",
        "ollama_models: y: parameters: num_thread: ",
        "ollama_models: bad name: name: 'bad name' is not a model name",
    ]
    assert len(found) == len(starts)
    assert all(problem.startswith(start) for problem, start in zip(found, starts))


def test_what_goes_may_have_such_a_name() -> None:
    assert model_problems([{"name": "x:cloud", "state": "absent", "from": "y:local"}], "") == []


def test_threads_before_the_child() -> None:
    models = [{"name": "y", "from": "x", "parameters": {"num_thread": 2}}]
    assert model_problems(models, "0.9.3") == []
    assert len(model_problems(models)) == 1


def test_a_context_for_which_no_memory_was_checked() -> None:
    models = [{"name": "y", "from": "x", "parameters": {"num_ctx": "8192"}}]
    (problem,) = model_problems(models, "0.34.2", 4096)
    assert "num_ctx: 8192 tokens are more than ollama_context_length, 4096" in problem
    assert model_problems(models, "0.34.2", 8192) == []
    # Not a number: the module that makes the model says so.
    assert model_problems([{"name": "y", "from": "x", "parameters": {"num_ctx": "many"}}]) == []


def test_a_version_that_is_none() -> None:
    with pytest.raises(AnsibleFilterError, match="'newest' is not a version"):
        model_problems(GOOD, "newest")
