# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a list of models before any host is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name, parse_servable_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import parse_version
from ansible_collections.etrid.gizzi.plugins.module_utils._parameters import (
    name_problems,
    room_problems,
    thread_problems,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def model_problems(models: Iterable[Mapping[str, Any]], version: str, context_length: int) -> list[str]:
    """Return every problem of the list, each with the model's name, the value and the remedy.

    models are items of the role's ollama_models; version is the Ollama that will run, "" for a current one;
    context_length is the server's context in tokens. Raises GizziError where version is none.
    """
    release = parse_version(version) if version else None
    return [
        f"ollama_models: {model.get('name')}: {problem}"
        for model in models
        for problem in _problems(model, release, context_length)
    ]


def _problems(model: Mapping[str, Any], release: tuple[int, int, int] | None, context_length: int) -> list[str]:
    # What goes may have any name that Ollama has.
    if model.get("state") == "absent":
        return _name_problems("name", model.get("name"), servable=False)
    problems = _name_problems("name", model.get("name"))
    if model.get("from") is not None:
        problems += _name_problems("from", model["from"])
    parameters = model.get("parameters") or {}
    found = name_problems(parameters) + thread_problems(parameters, release) + room_problems(parameters, context_length)
    return problems + [f"parameters: {problem}" for problem in found]


def _name_problems(key: str, text: Any, servable: bool = True) -> list[str]:
    try:
        (parse_servable_name if servable else parse_model_name)(str(text))
    except GizziError as error:
        return [f"{key}: {error}"]
    return []
