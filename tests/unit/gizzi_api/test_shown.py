"""Text from outside: what cannot be seen is shown as an escape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gizzi_api.shown import shown

# Common to all that show text from outside.
CASES = json.loads((Path(__file__).parents[1] / "recorded" / "shown.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"]))
def test_the_common_table(case: dict[str, str]) -> None:
    assert shown(case["text"]) == case["shown"]
    assert shown(case["text"]).isprintable()
