# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ollama_models: the models to remove, to pull and to derive, and their problems.

ollama_offered: what the registry names of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name, parse_servable_name
from ansible_collections.etrid.gizzi.plugins.module_utils._offered import key_of, parse_offers
from ansible_collections.etrid.gizzi.plugins.module_utils._parameters import (
    name_problems,
    room_problems,
    thread_problems,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Model = Mapping[str, Any]

# Since this version Ollama cannot make models with adapters.
NO_ADAPTERS = (0, 34, 1)
# Options that only a derived model can have.
OVERLAYS = ("system", "template", "parameters", "adapter")

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{64}")


def sorted_models(models: Iterable[Model]) -> dict[str, Any]:
    """Return models without problems, sorted by their action, and the names of the wanted ones; names are complete."""
    whole = [_whole(model) for model in models]
    pulled, derived = pulled_models(whole), derived_models(whole)
    return {
        "models_removed": [model for model in whole if model.get("state") == "absent"],
        "models_pulled": pulled,
        "models_derived": derived,
        "models_wanted": [model["name"] for model in [*pulled, *derived]],
    }


def pulled_models(models: Iterable[Model]) -> list[Model]:
    """Return the models that come from the registry."""
    return [model for model in _wanted(models) if model.get("from") is None]


def derived_models(models: Iterable[Model]) -> list[Model]:
    """Return the derived models."""
    return [model for model in _wanted(models) if model.get("from") is not None]


def offered_problems(offered: Any) -> list[str]:
    """Return what is wrong with ollama_offered."""
    try:
        parse_offers(offered)
    except GizziError as error:
        return [f"ollama_{error}"]
    return []


def offered_models(offered: Mapping[str, Any], models: Iterable[Model]) -> dict[str, Any]:
    """Return the offers without problems that these models have, by the names of the models, which are complete."""
    known = {key_of(parse_model_name(name)): value for name, value in offered.items()}
    keys = {model["name"]: key_of(parse_model_name(model["name"])) for model in models}
    return {name: known[key] for name, key in keys.items() if key in known}


def models_problems(models: list[Model], version: tuple[int, int, int] | None, context_length: int) -> list[str]:
    """Return the problems of the list; version is the release that will run, None where it is unknown.

    context_length is the server's context in tokens. Wrong names are reported first: they may cause other problems.
    """
    return [
        *(
            f"ollama_models: {model['name']}: {problem}"
            for model in models
            for problem in _model_problems(model, version, context_length)
        ),
        *_list_problems(models),
        *_origin_problems(models, version),
    ]


def _whole(model: Model) -> Model:
    names = {key: str(parse_model_name(model[key])) for key in ("name", "from") if model.get(key) is not None}
    return {**model, **names}


def _wanted(models: Iterable[Model]) -> list[Model]:
    return [model for model in models if model.get("state") != "absent"]


def _model_problems(model: Model, version: tuple[int, int, int] | None, context_length: int) -> list[str]:
    # A model to remove may have any name.
    if model.get("state") == "absent":
        return _name_problems("name", model["name"], servable=False)
    problems = _name_problems("name", model["name"])
    if model.get("from") is not None:
        problems += _name_problems("from", model["from"])
    parameters = model.get("parameters") or {}
    found = name_problems(parameters) + thread_problems(parameters, version) + room_problems(parameters, context_length)
    return problems + [f"parameters: {problem}" for problem in found]


def _name_problems(key: str, text: str, servable: bool = True) -> list[str]:
    try:
        (parse_servable_name if servable else parse_model_name)(text)
    except GizziError as error:
        return [f"{key}: {error}"]
    return []


def _list_problems(models: list[Model]) -> list[str]:
    names = [_identity(model["name"]) for model in models]
    twice = [model["name"] for model, name in zip(models, names) if names.count(name) > 1]
    found = [f"ollama_models names a model twice: {', '.join(twice)}. No tag means latest."] if twice else []
    digests = [model["name"] for model in models if model.get("digest") and not _DIGEST.fullmatch(model["digest"])]
    if digests:
        found.append(
            f"A digest in ollama_models is not a SHA-256, 64 lower-case hex digits: that of {' and '.join(digests)}."
        )
    return found


def _origin_problems(models: list[Model], version: tuple[int, int, int] | None) -> list[str]:
    """Return problems between derived models and their bases, and options that the kind of model does not allow."""
    pulled, derived = pulled_models(models), derived_models(models)
    bases = {_identity(model["name"]) for model in pulled}
    found = []
    baseless = list(dict.fromkeys(model["from"] for model in derived if _identity(model["from"]) not in bases))
    if baseless:
        found.append(
            f"ollama_models makes a model from {' and '.join(baseless)}, which it does not pull itself. Add that as an "
            "item of its own."
        )
    foreign = [model["name"] for model in derived if model["name"].count("/") > 1]
    if foreign:
        found.append(
            f"ollama_models makes {' and '.join(foreign)} from another model, but the name is one of a registry. Write "
            'it as "etrid-validator" or "etrid/validator:v1".'
        )
    pinned = [model["name"] for model in derived if model.get("digest") or model.get("state") == "latest"]
    if pinned:
        found.append(
            f"ollama_models makes {' and '.join(pinned)} from another model, and so has no digest and no state latest "
            "for it. Set them for the model that it is made from."
        )
    overlaid = [key for key in OVERLAYS if any(model.get(key) is not None for model in pulled)]
    if overlaid:
        found.append(
            f"ollama_models sets {' and '.join(overlaid)} for a model that is pulled. Give a model of another name "
            'these, and name this one as its "from".'
        )
    if version and version >= NO_ADAPTERS and any(model.get("adapter") for model in derived):
        found.append(
            f"ollama_models has an adapter, and Ollama {'.'.join(map(str, version))} makes no models with one any "
            'more. Merge it into the weights, or set ollama_version to "0.34.0".'
        )
    return found


def _identity(text: str) -> str:
    """Return a text that is equal for all names of one model; for a wrong name, the name itself."""
    try:
        return parse_model_name(text).full.lower()
    except GizziError:
        return text
