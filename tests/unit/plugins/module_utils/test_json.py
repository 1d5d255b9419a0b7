# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._json import MAX_DEPTH, from_json, json_at
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import named_blobs, parse_manifest

BAD = [
    ("", "not JSON"),
    ("<html>", "not JSON"),
    ("[" * 200_000, "within one another"),
    ("[" * 900 + "]" * 900, "within one another"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "within one another"),
    ('{"a":' * 5_000 + "1" + "}" * 5_000, "within one another"),
    ("1" * 5_000, "a number of 5000 digits"),
    ('{"size": ' + "9" * 400 + "}", "a number of 400 digits"),
    ("1e999", "the number 1e999"),
    ("[NaN]", "NaN is none"),
    ("-Infinity", "-Infinity is none"),
    ('{"digest": "a", "digest": "b"}', "'digest' is there twice"),
    # However long it is, the message is not.
    ("9" * 500 + "e999", "the number 9999"),
    ('{"' + "a" * 500 + '": 1, "' + "a" * 500 + '": 2}', "'aaaa.*' is there twice"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_cannot_be_used_is_refused(text: str, reason: str) -> None:
    for read in (from_json, lambda text: json_at(text, 0)):
        with pytest.raises(GizziError, match=reason) as error:
            read(text)
        # Whoever expects a bad value of any kind is told too.
        assert isinstance(error.value, ValueError)
        assert len(str(error.value)) < 300


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(GizziError, match="not JSON"):
        from_json(b"\xff\xfe\xff")


def test_documents() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert str(from_json(deep)) == deep
    assert from_json('{"a": [1, 2.5, -18446744073709551615, true, null]}') == {
        "a": [1, 2.5, -18446744073709551615, True, None]
    }
    assert json_at('so {"a": 1} it is', 3) == ({"a": 1}, 11)


def test_a_manifest_of_brackets_is_none() -> None:
    """It ended the module with a RecursionError."""
    for parse in (parse_manifest, named_blobs):
        with pytest.raises(ValueError, match="within one another"):
            parse(b"[" * 200_000)
