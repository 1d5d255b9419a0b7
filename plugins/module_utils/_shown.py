# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of a host, a server or a model as it may be shown: what would steer a terminal is written out."""

from __future__ import annotations

import re

# What Markdown makes something of inside a line, with what GitHub's makes links of by itself. An underscore within a
# word is none of it.
_MARKS = re.compile(r"[\\`*\[\]<>&|~]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)


def shown(text: str) -> str:
    """Return a text in one line, in which every character that cannot be seen is written as ``\\x1b`` or ``\\u202e``.

    What Python calls printable is letters, signs and the blank; controls, marks of direction and other blanks are not.
    """
    return "".join(letter if letter.isprintable() else _written(letter) for letter in text)


def shown_lines(text: str) -> list[str]:
    """Return the lines of a text, each as it may be shown."""
    return [shown(line) for line in text.split("\n")]


def shown_in_markdown(text: str) -> str:
    """Return a text as shown() does, for a line or a cell of a Markdown page, where it is text and nothing else."""
    return _MARKS.sub(r"\\\g<0>", shown(" ".join(text.splitlines())))


def _written(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
