# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to show text from outside: of a server, a model, a journal, a peer, a setting or a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_TAB = "    "
# What JSON leaves as it is and a reader may not see. Its own line breaks stay.
_NOT_ASCII = re.compile(r"[^\n -~]")


def shown(text: str) -> str:
    """Return ``text`` as one line: what cannot be seen, or acts on a terminal, is its Python escape, such as ``\\x1b``.

    Markup is not escaped: that depends on where it is put.
    """
    return _escaped(text, lambda one: one.encode("unicode_escape").decode("ascii"))


def shown_lines(text: str) -> str:
    """As ``shown``, for a text that may have several lines: line breaks stay, and a tab is spaces."""
    return "\n".join(map(shown, text.replace("\r\n", "\n").replace("\t", _TAB).split("\n")))


def shown_json(value: Any, indent: int | None = 2) -> str:
    """Return ``value`` as JSON. What cannot be seen has JSON's own escape, so that programs read what was there."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _NOT_ASCII.sub(lambda match: _escaped(match[0], lambda one: json.dumps(one)[1:-1]), text)


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else escape(one) for one in text)
