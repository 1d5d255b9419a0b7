# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of a host, a server or a model as it may be shown: what would steer a terminal is written out."""

from __future__ import annotations

import re
import unicodedata

# What Markdown makes something of inside a line, with what GitHub's makes links of by itself. An underscore within a
# word is none of it.
_MARKS = re.compile(r"[\\`*\[\]<>&|~]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)

# By Unicode, without a sign of their own (Default_Ignorable_Code_Point), though Python calls them printable.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_STYLES = "\ufe0e\ufe0f"  # the sign before as text, or as an emoji
_VIRAMA = 9  # its Canonical_Combining_Class


def shown(text: str) -> str:
    """Return a text in one line, in which every character that cannot be seen is written as ``\\x1b`` or ``\\u202e``.

    Controls, marks of direction and what has no meaning are such; each blank is a plain one.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if _seen(text, place) else _written(letter) for place, letter in enumerate(text))


def shown_lines(text: str) -> list[str]:
    """Return the lines of a text, each as it may be shown."""
    return [shown(line) for line in text.split("\n")]


def shown_in_markdown(text: str) -> str:
    """Return a text as shown() does, for a line or a cell of a Markdown page, where it is text and nothing else."""
    return _MARKS.sub(r"\\\g<0>", shown(" ".join(text.splitlines())))


def _written(letter: str) -> str:
    return " " if unicodedata.category(letter) == "Zs" else letter.encode("unicode_escape").decode("ascii")


def _seen(text: str, at: int) -> bool:
    """Tell whether a character is one that can be seen, or one that makes another look as it is meant to."""
    if text[at] in _STYLES:
        # UTS #51, ED-9a and ED-14c: a symbol, or a digit of a keycap; the sign for information is a letter by category.
        return at > 0 and (text[at - 1] == "\u2139" or unicodedata.category(text[at - 1])[0] in "NPS")
    if text[at] in (_ZWNJ, _ZWJ):
        return _joins(text, at)
    return text[at].isprintable() and not _IGNORABLE.match(text[at])


def _joins(text: str, at: int) -> bool:
    """Tell whether a joiner is where Unicode has a use for it.

    UAX #31, 2.3 (as RFC 5892, A.1 and A.2): ZWNJ between letters of Arabic and what is written like it, and either one
    at a virama of Indic scripts. UTS #51, ED-16: ZWJ between two emojis.
    """
    start = at - 1
    while start >= 0 and unicodedata.category(text[start]) == "Mn" and unicodedata.combining(text[start]) != _VIRAMA:
        start -= 1
    before, after = text[max(start, 0) : start + 1], text[at + 1 : at + 2]
    if any(one and unicodedata.combining(one) == _VIRAMA for one in (before, after)):
        return True
    if text[at] == _ZWNJ:
        return all(one and unicodedata.bidirectional(one) == "AL" for one in (before, after))
    # Arrows and colours of skin are no "other symbols".
    return all(one >= "\u2190" and unicodedata.category(one) in ("So", "Sm", "Sk") for one in (before, after))
