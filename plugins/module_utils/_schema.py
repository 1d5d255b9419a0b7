# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of JSON Schema that the answers of a model are asked for in: enough for flat reports, and no more."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._answer import without_thoughts
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import BadJsonError, from_json, json_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# As the client has them: each brace may be read to the end of the text.
LONGEST = 200_000
BRACES = 200

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KEYWORDS = frozenset(
    ("type", "enum", "properties", "required", "additionalProperties", "items", "pattern", "minimum", "maximum")
)
# They say nothing about a value.
_NOTES = frozenset(("$schema", "title", "description"))


def check_schema(schema: Any, where: str = "schema") -> None:
    """Raise a GizziError for a schema that validate() would not fully understand."""
    if not isinstance(schema, dict):
        raise GizziError(f"{where} is no JSON schema: it must be a mapping.")
    unknown = sorted(set(schema) - _KEYWORDS - _NOTES)
    if unknown:
        raise GizziError(f"{where}: {', '.join(unknown)} is not understood, only {', '.join(sorted(_KEYWORDS))}.")
    if "type" in schema and schema["type"] not in _TYPES:
        raise GizziError(f"{where}: type is {schema['type']!r}, it must be one of {', '.join(_TYPES)}.")
    if "pattern" in schema:
        check_pattern(schema["pattern"], where)
        if not (schema["pattern"].startswith("^") and schema["pattern"].endswith("$")):
            raise GizziError(
                f"{where}: the pattern {schema['pattern']!r} must begin with ^ and end with $, or Ollama refuses the "
                "schema."
            )
    for name, part in schema.get("properties", {}).items():
        check_schema(part, f"{where}.{name}")
    if "items" in schema:
        check_schema(schema["items"], f"{where}.items")


def check_pattern(pattern: Any, where: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise GizziError(f"{where}: {pattern!r} is not a regular expression: {error}.") from None


def fit(text: str, schema: Mapping[str, Any]) -> str:
    """Say what is wrong with an answer that should be JSON of a schema; empty when nothing is."""
    try:
        value = one_document(text)
    except ValueError as error:
        return str(error)
    return problem(value, schema)


def one_document(text: str) -> Any:
    """Return the JSON of an answer: all of it, or the one object that it holds, as in a fence or among words.

    Thoughts before it are no part of it.

    Raises ValueError where there is none, or more than one. The client reads answers by the same rule
    (ollama_client/schema.py), and both are tested with tests/unit/recorded/json_in_answers.json.
    """
    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    text = without_thoughts(text)
    with suppress(BadJsonError):
        return from_json(text)
    found, place, braces = [], text.find("{"), 0
    while place >= 0:
        braces += 1
        if braces > BRACES:
            raise ValueError(f"more than {BRACES} opening braces, and no one JSON object")
        try:
            value, end = json_at(text, place)
            found.append(value)
        except BadJsonError:
            end = place + 1
        place = text.find("{", end)
    if len(found) != 1:
        raise ValueError("more than one JSON object" if found else "no JSON")
    return found[0]


def problem(value: Any, schema: Mapping[str, Any], where: str = "the answer") -> str:
    """What is wrong with the value, by a schema that check_schema() has passed; empty when nothing is."""
    wanted = schema.get("type")
    if wanted and not _is_of(value, wanted):
        return f"{where} is no {wanted}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is {value!r}, not one of {', '.join(map(repr, schema['enum']))}"
    if isinstance(value, dict):
        return _object_problem(value, schema, where)
    if isinstance(value, list):
        parts = ((item, f"{where}[{place}]") for place, item in enumerate(value))
        return _first(problem(item, schema.get("items", {}), name) for item, name in parts)
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{where} is {value!r}, which does not match {schema['pattern']!r}"
    if _is_of(value, "number"):
        if value < schema.get("minimum", value):
            return f"{where} is {value}, less than {schema['minimum']}"
        if value > schema.get("maximum", value):
            return f"{where} is {value}, more than {schema['maximum']}"
    return ""


def _object_problem(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> str:
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"{where} has no {', '.join(missing)}"
    surplus = sorted(set(value) - set(properties))
    if surplus and schema.get("additionalProperties") is False:
        return f"{where} has {', '.join(surplus)}, which nobody asked for"
    known = (name for name in properties if name in value)
    return _first(problem(value[name], properties[name], f"{where}.{name}") for name in known)


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _first(problems: Iterable[str]) -> str:
    return next((text for text in problems if text), "")
