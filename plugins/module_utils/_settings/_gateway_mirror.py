# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of role gateway's values that is about the mirror: a models' store that others pull from.

The values are those of the role's argument specification, without the prefix ``gateway_``.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import source_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_servable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

MIRROR_PORT = 11444
MIRROR_GUARD = "gateway-mirror"
# nginx limits the rate of one answer, so what all may take is shared among so many: one pull of Ollama has 16. Whoever
# finds them taken is told to ask again.
ANSWERS = 20
# Bytes per second. With less, a part of a pull may stand still for longer than Ollama waits.
_LEAST_RATE = 1_000_000


def mirror_problems(values: Mapping[str, Any]) -> list[str]:
    """Return the problems of the values, each with the value and the solution."""
    if not values["mirror_sources"]:
        return []
    found = [f"gateway_mirror_sources: {one}." for one in source_problems(values["mirror_sources"])]
    if values["mirror_rate"] and values["mirror_rate"] < _LEAST_RATE:
        found.append(
            f"gateway_mirror_rate is {values['mirror_rate']}. Write bytes per second, {_LEAST_RATE} or more, or 0 for "
            "no limit."
        )
    folder = values["mirror_models_dir"]
    # What it would be in nginx' configuration.
    if not PurePosixPath(folder).is_absolute() or set(folder) & set(" \t\n\"'\\;{}$"):
        found.append(
            f"gateway_mirror_models_dir is {folder!r}. Write the whole path of the models' store, without blanks, "
            "quotes, $, ;, { and }."
        )
    wrong = list(filter(None, map(_name_problem, values["mirror_models"])))
    if wrong:
        return found + wrong
    names = [parse_servable_name(text) for text in values["mirror_models"]]
    paths = [_path(name) for name in names]
    twice = sorted({str(name) for name in names if paths.count(_path(name)) > 1})
    if twice:
        found.append(
            f"gateway_mirror_models has {' and '.join(twice)} under one path of the mirror. Name each model once, and "
            "no two of one name at two registries."
        )
    return found


def mirror_derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value ``mirror`` of the templates, empty without a mirror; the given values have no problem."""
    if not values["mirror_sources"]:
        return {}
    names = [parse_servable_name(text) for text in values["mirror_models"]]
    return {
        "port": MIRROR_PORT,
        "models_dir": values["mirror_models_dir"],
        "models": [
            {"path": _path(name), "file": f"{name.host}/{name.namespace}/{name.model}/{name.tag}"} for name in names
        ],
        "answers": ANSWERS,
        "rate": values["mirror_rate"] // ANSWERS,
    }


def _name_problem(text: str) -> str:
    try:
        parse_servable_name(text)
    except GizziError as error:
        return f"gateway_mirror_models: {error}"
    return ""


def _path(name: ModelName) -> str:
    return f"{name.namespace}/{name.model}/manifests/{name.tag}"
