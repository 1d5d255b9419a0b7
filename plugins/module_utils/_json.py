# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON that somebody else has written: read as a document whose every value can be used, or refused."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lists and objects within one another; what Ollama and registries answer has less than ten.
MAX_DEPTH = 64
# Ollama's are 64 bits. What is longer is no float, and takes time to read.
MAX_DIGITS = 20


class BadJsonError(GizziError, ValueError):
    """A text that is no JSON, or none that can be used; the text says why."""


def from_json(text: str | bytes) -> Any:
    """Return the document of a JSON text; raise BadJsonError for what is none.

    Also refused is what Python reads and nobody can use: NaN and numbers without end, whole numbers of more than 64
    bits, a name twice in one object, and more than MAX_DEPTH lists and objects within one another.
    """
    with _refused():
        value = json.loads(text, **_RULES)
    _check_depth(value)
    return value


def json_at(text: str, place: int) -> tuple[Any, int]:
    """Return the document that begins at a place in a text, and the place behind it; raise BadJsonError as above."""
    with _refused():
        value, end = _DECODER.raw_decode(text, place)
    _check_depth(value)
    return value, end


@contextmanager
def _refused() -> Iterator[None]:
    """Turn each error of the parser into BadJsonError."""
    try:
        yield
    except RecursionError:
        raise BadJsonError(_TOO_DEEP) from None
    except BadJsonError:
        raise
    except ValueError as error:
        raise BadJsonError(f"it is not JSON ({str(error)[:200]})") from None


_TOO_DEEP = f"it is not JSON that can be used: more than {MAX_DEPTH} lists and objects within one another"


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise BadJsonError(f"it is not JSON that can be used: a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadJsonError(f"it is not JSON that can be used: the number {digits[:40]}")
    return value


def _no_number(word: str) -> NoReturn:
    raise BadJsonError(f"it is not JSON: {word} is none of its numbers")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadJsonError(f"it is not JSON that can be used: {twice[:40]!r} is there twice in one object")
    return value


_RULES: dict[str, Any] = {
    "object_pairs_hook": _object,
    "parse_int": _whole,
    "parse_float": _number,
    "parse_constant": _no_number,
}
_DECODER = json.JSONDecoder(**_RULES)


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _depth in range(MAX_DEPTH):
        parts = (part for one in level for part in (one.values() if isinstance(one, dict) else one))
        level = [part for part in parts if isinstance(part, (dict, list))]
    if level:
        raise BadJsonError(_TOO_DEEP)
