# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that begin as this collection's do, and are none of it: a slip, or a name of another release."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OWN = ("gizzi_", "model_bundle_", "model_update_", "ollama_")
# Others use this beginning too, so only what is close to a name of ours is taken for a slip.
SHARED = ("gateway_",)
_CLOSE, _ALMOST_THE_SAME = 0.75, 0.9
_ELSE = (
    "If an earlier release had it, the changelog has its new name. If it is a variable of your own, let it begin with "
    "something else."
)


def unknown(variables: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Return a problem for each variable that would do nothing.

    :param variables: all variables of a host, by name.
    :param known: the names of all variables of the collection.
    """
    found = []
    for name in sorted(variables):
        if name in known or not name.startswith(OWN + SHARED) or _is_result(variables[name]):
            continue
        close = get_close_matches(name, known, n=3, cutoff=_CLOSE if name.startswith(OWN) else _ALMOST_THE_SAME)
        if close:
            found.append(f"{name} is not known, and would do nothing. Do you mean {' or '.join(close)}? {_ELSE}")
        elif name.startswith(OWN):
            found.append(f"{name} is not known, and would do nothing. {_ELSE}")
    return found


def _is_result(value: Any) -> bool:
    """Tell whether a task of a user has registered the variable."""
    return isinstance(value, dict) and "changed" in value and "failed" in value
