# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import (
    InvalidModelNameError,
    parse_model_name,
    parse_servable_name,
)


@pytest.mark.parametrize(
    ("text", "shown", "full"),
    [
        ("mistral", "mistral:latest", "registry.ollama.ai/library/mistral:latest"),
        ("llama3.1:8b", "llama3.1:8b", "registry.ollama.ai/library/llama3.1:8b"),
        ("llama3.1:8b-instruct-q4_K_M", "llama3.1:8b-instruct-q4_K_M", None),
        ("library/phi3:mini", "phi3:mini", "registry.ollama.ai/library/phi3:mini"),
        ("team/phi3:mini", "team/phi3:mini", "registry.ollama.ai/team/phi3:mini"),
        ("registry.ollama.ai/library/phi3", "phi3:latest", None),
        ("hub.example:5000/team/phi3", "hub.example:5000/team/phi3:latest", "hub.example:5000/team/phi3:latest"),
    ],
)
def test_names_are_spelled_out(text: str, shown: str, full: str | None) -> None:
    name = parse_model_name(text)
    assert str(name) == shown
    assert full is None or name.full == full


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("mistral", "mistral:latest", True),
        ("Mistral", "mistral", True),
        ("library/mistral", "mistral", True),
        ("phi3", "phi3:mini", False),
        ("llama3.2", "llama3.2:1b", False),
        ("llama3.2:1b", "llama3.2:1b-instruct-q4_0", False),
        ("team/mistral", "mistral", False),
    ],
)
def test_sameness(left: str, right: str, same: bool) -> None:
    assert parse_model_name(left).same_as(parse_model_name(right)) is same


@pytest.mark.parametrize(
    "text",
    ["", ":8b", "mistral:", "a b", "../x", "x/..:y", "a/b/c/d", "http://host/library/x", "x@sha256:00", "host:5000/x"],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidModelNameError):
        parse_model_name(text)


@pytest.mark.parametrize(
    "text", ["x:local", "x:cloud", "x:1-cloud", "x:Cloud", "team/x:8B-CLOUD", "hub.example:5000/team/x:local"]
)
def test_tags_that_name_a_place_never_answer(text: str) -> None:
    parse_model_name(text)
    with pytest.raises(InvalidModelNameError, match="never answers") as error:
        parse_servable_name(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["cloud", "x-cloud", "local:8b", "x:cloudy", "x:cloud1", "x:locals", "x-cloud:latest"])
def test_other_names_with_these_words_answer(text: str) -> None:
    assert parse_servable_name(text) == parse_model_name(text)


def test_a_servable_name_is_a_name() -> None:
    with pytest.raises(InvalidModelNameError, match="is not a model name"):
        parse_servable_name("a b")
