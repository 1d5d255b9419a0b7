# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_client.cli import output
from ollama_client.masking import mask
from ollama_client.settings import config_path, load


@output.command
def run(*, as_json: bool) -> None:
    settings = _masked(load().model_dump(mode="json"))
    path = config_path()
    source = str(path) if path.exists() else None
    if as_json:
        output.show_json({"file": source, "settings": settings})
        return
    output.say(f"# {source}, and over it the environment" if source else f"# no file {path}: defaults and environment")
    for name, value in _flat(settings):
        output.say(f"{name} = {value}")


def _masked(value: Any) -> Any:
    """An address may have a password in it."""
    if isinstance(value, dict):
        return {key: _masked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part) for part in value]
    return mask(value) if isinstance(value, str) else value


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not parts:
        yield name, "(none)" if value in (None, [], {}) else value
    for key, part in parts:
        yield from _flat(part, f"{name}.{key}" if name else str(key))
