# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a monitor says about validators, read as facts. What cannot be read is not known; nothing is made up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ollama_client.prompts import compact

# The names that monitors give to one thing; the first is the Gizzi API's.
HEIGHT = ("block_height", "best_height", "best_block", "height")
FINALIZED = ("finalized_height", "finalized_block", "finalized")
PEERS = ("peers", "peer_count", "peers_count")
AGE = ("age_seconds", "age")
STATUS = ("status", "state", "health")
CONTRADICTION = "contradiction"
LABEL = ("name", "validator", "number", "id")
ABSENT = object()


@dataclass(frozen=True, slots=True)
class Facts:
    """One validator. None: not known.

    Attributes:
        missing: what was expected and is not there, or is no number.
        contradiction: what its source says more than once, in a sentence.
    """

    label: str
    status: str | None = None
    height: int | None = None
    finalized: int | None = None
    peers: int | None = None
    age: float | None = None
    missing: tuple[str, ...] = ()
    contradiction: str | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of them.

    Attributes:
        doubt: why nothing of it can be believed.
        generated: when the source says that it was made.
        text: all that the source says, for a model.
        strings: every text in it.
    """

    validators: Sequence[Facts] = ()
    doubt: str | None = None
    generated: str | None = None
    text: str = ""
    strings: Sequence[str] = ()


def read(statuses: object) -> Fleet:
    """Read what a monitor or the Gizzi API gives.

    Args:
        statuses: a list of objects, one per validator; an object with such a list under "validators", as the Gizzi
            API's; or an object of such objects by name.
    """
    value = _unpacked(statuses)
    text = compact(value)
    whole = value if isinstance(value, Mapping) else {}
    generated = whole.get("generated_at")
    doubt = None
    if whole.get("stale"):
        doubt = "the source calls its data too old to judge by" + _why(whole)
    entries = whole.get("validators", value)
    if isinstance(entries, Mapping):
        entries = [{"name": name} | dict(one) if isinstance(one, Mapping) else one for name, one in entries.items()]
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        entries = []
    objects = [one for one in entries if isinstance(one, Mapping)]
    if not objects or len(objects) < len(entries):
        doubt = doubt or "there is no list of validators in the data" + _why(whole)
    labels = [_label(one, number) for number, one in enumerate(objects, 1)]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        doubt = doubt or f"the data has {', '.join(twice)} twice"
    validators = [_facts(one, label) for one, label in zip(objects, labels, strict=True)]
    made = None if generated is None else str(generated)
    return Fleet(validators, doubt, made, text, list(_strings(json.loads(text))))


def _unpacked(statuses: object) -> Any:
    if isinstance(statuses, BaseModel):
        return statuses.model_dump(mode="json")
    if isinstance(statuses, Sequence) and not isinstance(statuses, str):
        return [_unpacked(one) for one in statuses]
    return statuses


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from _strings(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _strings(one)


def _why(whole: Mapping[str, Any]) -> str:
    return f" ({whole['error']})" if whole.get("error") else ""


def _label(one: Mapping[str, Any], number: int) -> str:
    found = _first(one, LABEL)
    return str(found) if found not in (ABSENT, None, "") else f"entry {number}"


def _facts(one: Mapping[str, Any], label: str) -> Facts:
    height, finalized, peers, age = (_number(_first(one, names)) for names in (HEIGHT, FINALIZED, PEERS, AGE))
    missing = []
    # Height and peers must be there; the others only have to make sense if they are.
    for value, names, needed in (
        (height, HEIGHT, True),
        (peers, PEERS, True),
        (finalized, FINALIZED, False),
        (age, AGE, False),
    ):
        if value is None and (needed or _first(one, names) is not ABSENT):
            missing.append(names[0])
    status = _first(one, STATUS)
    if status is not ABSENT and not isinstance(status, str):
        missing.append(STATUS[0])
    return Facts(
        label=label,
        status=status.strip().lower() if isinstance(status, str) else None,
        height=None if height is None else int(height),
        finalized=None if finalized is None else int(finalized),
        peers=None if peers is None else int(peers),
        age=age,
        missing=tuple(missing),
        contradiction=str(one[CONTRADICTION]) if one.get(CONTRADICTION) else None,
    )


def _first(one: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((one[name] for name in names if name in one), ABSENT)


def _number(value: object) -> float | None:
    """Return a finite number that is not negative; Prometheus gives numbers as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
