# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ollama reads a body: Go's encoding/json, which takes a key in any case, and of two the last one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

# Ollama's Runner: each loads the weights anew. (Also those of earlier releases.)
RUNNER = frozenset(("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")) | frozenset(
    ("low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "numa")
)
# Beside these, what takes memory or time without end, shows the system prompt, or names another model.
OTHER = frozenset(("template", "_debug_render_only", "width", "height", "steps", "name"))


class Pairs(list[tuple[str, Any]]):
    """An object with all its members, in their order."""


def pairs(text: bytes) -> Any:
    """Read JSON, every twin included.

    Errors: ValueError.
    """

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text.decode("utf-8"), object_pairs_hook=Pairs, parse_constant=refuse)


def folded(key: str) -> str:
    """Fold a key as Go does: the Kelvin sign is a k, the long s an s."""
    return key.replace("\u212a", "k").replace("\u017f", "s").lower()


def effects(body: Any) -> set[str]:
    """Return what a body, as pairs() gave it, would change on the server."""
    found: set[str] = set()
    if not isinstance(body, Pairs):
        return found
    fields: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for key, value in body:
        name = folded(key)
        fields[name] = value
        if name == "options" and isinstance(value, Pairs):
            # A map that is there already is filled up.
            options.update(value)
    found |= {name for name in (*OTHER, "keep_alive") if fields.get(name) is not None}
    found |= {name for name, value in options.items() if name in RUNNER and value is not None}
    model = fields.get("model")
    if isinstance(model, str) and model.strip().lower().endswith((":cloud", "-cloud")):
        found.add("model")
    return found


def twins(body: Any) -> set[str]:
    """Return the keys that stand twice in one object, at any depth."""
    if isinstance(body, Pairs):
        names = [folded(key) for key, _value in body]
        return {name for name in names if names.count(name) > 1} | _all(value for _key, value in body)
    return _all(body) if isinstance(body, list) else set()


def _all(values: Iterable[Any]) -> set[str]:
    return {name for value in values for name in twins(value)}
