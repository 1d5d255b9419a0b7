# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_client.cli import output
from ollama_client.masking import mask
from ollama_client.settings import config_path, load, sources

Place = tuple[str | int, ...]


@output.command
def run(*, as_json: bool) -> None:
    settings = _masked(load().model_dump(mode="json"))
    path = config_path()
    source = str(path) if path.exists() else None
    given = sources()
    # Where each value is from.
    origins = {".".join(map(str, place)): (value, _origin(place, given)) for place, value in _flat(settings)}
    if as_json:
        told = {name: origin for name, (_unused, origin) in origins.items()}
        output.show_json({"file": source, "settings": settings, "origins": told})
        return
    output.say(f"# file: {source}" if source else f"# file: none, {path} is not there")
    for name, (value, origin) in origins.items():
        output.say(f"{name} = {value}  # {origin}")


def _masked(value: Any) -> Any:
    """An address may have a password in it."""
    if isinstance(value, dict):
        return {key: _masked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part) for part in value]
    return mask(value) if isinstance(value, str) else value


def _flat(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield each value that has no parts, and where it stands."""
    if not isinstance(value, dict | list) or not value:
        yield place, "(none)" if value in (None, [], {}) else value
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flat(part, (*place, key))


def _origin(place: Place, given: list[tuple[str, dict[str, Any]]]) -> str:
    """Return the strongest source that gives the value. A list is one value: no source adds to another's."""
    for name, source in given:
        at: Any = source
        for number, key in enumerate(place):
            if isinstance(at, list):
                return name if _has(at, place[number:]) else "default"
            if not isinstance(at, dict) or key not in at:
                break
            at = at[key]
        else:
            return name
    return "default"


def _has(at: Any, place: Place) -> bool:
    for key in place:
        try:
            at = at[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
