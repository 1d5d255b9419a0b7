# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._parameters import (
    NAMES,
    context_problem,
    name_problems,
    thread_problems,
    trained_context,
)
from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import recordings


def test_all_names_of_ollama_are_known() -> None:
    assert name_problems(dict.fromkeys(NAMES, 1)) == []
    assert {"num_ctx", "temperature", "stop", "num_thread", "top_k"} < NAMES


@pytest.mark.parametrize(
    ("name", "near"),
    [("num_cxt", "num_ctx"), ("NUM_CTX", "num_ctx"), ("temprature", "temperature"), ("stops", "stop")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    (problem,) = name_problems({name: 1})
    assert problem.startswith(f"{name}: ")
    assert problem.endswith(f"Is {near} meant?")


def test_an_unknown_name_like_no_other_is_refused_with_all() -> None:
    (problem,) = name_problems({"zzzzzz": 1})
    assert "Known are draft_num_predict, frequency_penalty" in problem
    assert name_problems({"zzzzzz": None}) == []


@pytest.mark.parametrize(
    ("version", "count"), [(None, 1), ((0, 30, 0), 1), ((0, 34, 2), 1), ((0, 29, 9), 0), ((0, 9, 3), 0)]
)
def test_threads_are_the_servers_since_it_has_a_child(version: tuple[int, int, int] | None, count: int) -> None:
    assert len(thread_problems({"num_thread": 4}, version)) == count
    assert thread_problems({"num_thread": None}, version) == thread_problems({}, version) == []


def test_more_context_than_was_trained() -> None:
    problem = context_problem({"num_ctx": 131072}, 8192, "smol:1b")
    assert "131072" in problem
    assert "8192 for which smol:1b" in problem
    for parameters, trained in (({"num_ctx": 8192}, 8192), ({}, 8192), ({"num_ctx": 131072}, None)):
        assert context_problem(parameters, trained, "smol:1b") == ""


@pytest.mark.parametrize(
    ("shown", "tokens"),
    [
        ({"model_info": {"general.architecture": "llama", "llama.context_length": 8192}}, 8192),
        ({"model_info": {"general.architecture": "llama", "qwen.context_length": 8192}}, None),
        ({"model_info": {"general.architecture": "llama", "llama.context_length": "8192"}}, None),
        ({"model_info": {"general.architecture": "llama", "llama.context_length": 0}}, None),
        ({"model_info": None}, None),
        ({}, None),
    ],
)
def test_trained_context(shown: dict[str, Any], tokens: int | None) -> None:
    assert trained_context(shown) == tokens


def test_trained_context_as_a_real_server_tells_it() -> None:
    assert trained_context(json.loads(recordings()["show"]["answer"][0])) == 8192
