# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An answer that must fit a schema, checked on arrival."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from ollama_client.answer import Answer
from ollama_client.errors import PromptError, SchemaError
from ollama_client.thoughts import CLOSE, OPEN

Schema = type[BaseModel] | Mapping[str, Any]
# Characters of an answer that are looked at for JSON, and braces in it that begin none: each costs a look at the rest.
LONGEST = 200_000
BRACES = 200


def document(schema: Schema) -> Mapping[str, Any]:
    """Return the JSON schema of a model class, or the given one. Errors: PromptError."""
    if isinstance(schema, type):
        return schema.model_json_schema()
    import jsonschema  # slow to import, and needed by few

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise PromptError(f"the schema is not valid: {error.message}", hint="Correct it.") from error
    return schema


def validate(answer: Answer, schema: Schema) -> Any:
    """Return the answer as the schema's object. Errors: SchemaError."""
    try:
        value = one_document(answer.text)
        if isinstance(schema, type):
            # As JSON, in which a time is a text.
            return schema.model_validate_json(json.dumps(value))
        why = _misfit(value, schema)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        why = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        why = str(error) or "no JSON"
    if why is None:
        return value
    cut = "" if answer.complete else ", which was cut off at prompt.answer_tokens,"
    raise SchemaError(
        f"the answer{cut} is not what was asked for: {why}",
        text=answer.text,
        endpoint=answer.endpoint,
        elapsed=answer.seconds,
    )


def one_document(text: str) -> Any:
    """Return the JSON of an answer: all of it, or the one object that it holds, as in a fence or among words.

    Thoughts before it, between <think> and </think>, are no part of it.
    Errors: ValueError where there is none, or more than one. The update of models judges answers by the same rule
    (plugins/module_utils/_schema.py), and both are tested with tests/unit/recorded/json_in_answers.json.
    """
    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    start = text.lstrip()
    if start.startswith(OPEN):
        text = start.partition(CLOSE)[2]
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    found, place, decoder = [], text.find("{"), json.JSONDecoder()
    braces = 0
    while place >= 0:
        if (braces := braces + 1) > BRACES:
            raise ValueError(f"more than {BRACES} opening braces, and no one JSON object")
        try:
            value, end = decoder.raw_decode(text, place)
            found.append(value)
        except (ValueError, RecursionError):
            end = place + 1
        place = text.find("{", end)
    if len(found) != 1:
        raise ValueError("more than one JSON object" if found else "no JSON")
    return found[0]


def _misfit(value: Any, schema: Mapping[str, Any]) -> str | None:
    import jsonschema

    error = next(jsonschema.Draft202012Validator(schema).iter_errors(value), None)
    return None if error is None else str(error.message)[:200]
