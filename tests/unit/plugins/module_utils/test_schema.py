# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._schema import check_schema, fit, one_document, problem

REPORT = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["HEALTHY", "ISSUE_DETECTED"]},
        "peers": {"type": "integer", "minimum": 0, "maximum": 100},
        "steps": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
    },
    "required": ["status"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"status": "HEALTHY"}, ""),
        ({"status": "HEALTHY", "peers": 3, "steps": ["wait"]}, ""),
        ({"status": "HEALTHY", "peers": 3.0}, ""),
        ([], "is no object"),
        ({}, "has no status"),
        ({"status": "FINE"}, "answer.status is 'FINE'"),
        ({"status": "HEALTHY", "peers": "3"}, "answer.peers is no integer"),
        ({"status": "HEALTHY", "peers": True}, "answer.peers is no integer"),
        ({"status": "HEALTHY", "peers": 3.5}, "answer.peers is no integer"),
        ({"status": "HEALTHY", "peers": -1}, "less than 0"),
        ({"status": "HEALTHY", "peers": 101}, "more than 100"),
        ({"status": "HEALTHY", "steps": ["wait", "Restart"]}, "answer.steps[1] is 'Restart'"),
        ({"status": "HEALTHY", "mood": 1}, "has mood"),
    ],
)
def test_says_what_is_wrong(value: Any, wrong: str) -> None:
    check_schema(REPORT)
    found = problem(value, REPORT)
    assert wrong in found
    assert bool(found) is bool(wrong)


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        (True, "boolean", True),
        (1, "boolean", False),
        (None, "null", True),
        (1.5, "number", True),
        (True, "number", False),
    ],
)
def test_types_are_those_of_json(value: Any, kind: str, right: bool) -> None:
    assert (problem(value, {"type": kind}) == "") is right


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("string", "it must be a mapping"),
        ({"type": "text"}, "'text'"),
        ({"type": "object", "properties": {"a": {"oneOf": []}}}, "schema.a: oneOf"),
        ({"items": {"pattern": "("}}, "schema.items: '('"),
        # llama.cpp's own rule; the server answers 400 for it.
        ({"pattern": "abc"}, "schema: the pattern 'abc' must begin with"),
        ({"pattern": "^abc"}, "must begin with"),
        ({"pattern": "abc$"}, "must begin with"),
    ],
)
def test_what_it_would_not_fully_check_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(GizziError, match=message.replace("(", r"\(")):
        check_schema(schema)


CASES = json.loads((Path(__file__).parents[2] / "recorded" / "json_in_answers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_one_object_of_an_answer_is_taken(case: dict[str, Any]) -> None:
    """The client is tested with the same cases (tests/unit/ollama_client/test_json_in_answers.py)."""
    if "problem" in case:
        with pytest.raises(ValueError, match=case["problem"]):
            one_document(case["text"])
        assert case["problem"] in fit(case["text"], {})
    else:
        assert one_document(case["text"]) == case["value"]
        assert fit(case["text"], {"type": "object", "required": ["status"]}) == ""
        assert "has no peers" in fit(case["text"], {"type": "object", "required": ["peers"]})


@pytest.mark.parametrize("text", ['{"a": "' * 20_000, "{" * 200_000, '{"a": ' * 20_000 + "1"])
def test_an_answer_is_read_in_short_time(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"no JSON|opening braces|characters"):
        one_document(text)
    assert time.monotonic() - started < 2
