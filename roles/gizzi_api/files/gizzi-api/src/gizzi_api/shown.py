# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to show text from outside."""

from __future__ import annotations


def shown(text: str) -> str:
    """Return ``text`` with every character that cannot be seen, or acts on a terminal, as its Python escape.

    Invisible, control, bidi and private characters become ``\\x1b`` or ``\\u202e``; plain spaces stay. Markup is not
    escaped: that depends on where it is put.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
