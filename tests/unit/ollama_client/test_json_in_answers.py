# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON in answers: taken by the same rule as in the update of models, from one table of cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ollama_client.schema import one_document

CASES = json.loads((Path(__file__).parents[1] / "recorded" / "json_in_answers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_one_object_of_an_answer_is_taken(case: dict[str, Any]) -> None:
    if "problem" in case:
        with pytest.raises(ValueError, match=case["problem"]):
            one_document(case["text"])
    else:
        assert one_document(case["text"]) == case["value"]
