# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown, shown_in_markdown, shown_lines

CASES = json.loads((Path(__file__).parents[2] / "recorded" / "shown.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[ascii(case["text"]) for case in CASES])
def test_the_common_cases(case: dict[str, str]) -> None:
    """Client and API are tested with the same ones."""
    assert shown(case["text"]) == case["shown"]
    assert str(GizziError(case["text"].replace("\n", ""))) == case["shown"].replace("\\n", "")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("an ordinary line → 61.0 µs, Ëtrid 💤", "an ordinary line → 61.0 µs, Ëtrid 💤"),
        # Clears the screen, moves up a line, rings, and goes back to the line's start.
        ("\x1b[2J\x1b[1A\x07\r", r"\x1b[2J\x1b[1A\x07\r"),
        # The same by one byte of the second set of controls, and a line that is written from right to left.
        ("\x9b2J \u202egnihton", r"\x9b2J \u202egnihton"),
        ("two\nlines\u2028", r"two\nlines\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_nothing_steers_a_terminal(text: str, written: str) -> None:
    assert shown(text) == written


def test_lines_stay_lines() -> None:
    assert shown_lines("one\ntwo\x1b") == ["one", r"two\x1b"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<img src=x> & more", r"\<img src=x\> \& more"),
        ("[here](http://x/) ![i](y)", r"\[here\](http\://x/) !\[i\](y)"),
        ("http://x and WWW.x", r"http\://x and WWW\.x"),
        ("a | b\nc\r\nd\u2028e", r"a \| b c d e"),
        ("*b* _i_ ~~s~~ `c`", r"\*b\* \_i\_ \~\~s\~\~ \`c\`"),
        (r"\[x\]", r"\\\[x\\\]"),
        ("\x1b[2J\U000e0041", r"\\x1b\[2J\\U000e0041"),
        ("llama3.1:8b max_retries 50 %", "llama3.1:8b max_retries 50 %"),
    ],
)
def test_in_markdown_text_is_text(text: str, written: str) -> None:
    assert shown_in_markdown(text) == written


def test_an_error_steers_no_terminal() -> None:
    assert str(GizziError("first\nsecond \x1b[2J\u202e")) == "first\nsecond \\x1b[2J\\u202e"
