# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown, shown_lines


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
