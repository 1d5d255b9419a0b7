# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to show text from outside."""

from __future__ import annotations

import re
import unicodedata

# By Unicode, without a sign of their own (Default_Ignorable_Code_Point), though Python calls them printable.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_STYLES = "\ufe0e\ufe0f"  # the sign before as text, or as an emoji
_VIRAMA = 9  # its Canonical_Combining_Class


def shown(text: str) -> str:
    """Return ``text`` with every character that cannot be seen, or acts on a terminal, as its Python escape.

    Invisible, control, bidi and private characters become ``\\x1b`` or ``\\u202e``; each blank is a plain one. Markup
    is not escaped: that depends on where it is put.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _seen(text, at) else _written(one) for at, one in enumerate(text))


def _written(one: str) -> str:
    return " " if unicodedata.category(one) == "Zs" else one.encode("unicode_escape").decode("ascii")


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
