# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_client.cli import output
from ollama_client.settings import config_path, load


@output.command
def run(*, as_json: bool) -> None:
    settings = load().model_dump(mode="json")
    path = config_path()
    source = str(path) if path.exists() else None
    if as_json:
        output.show_json({"file": source, "settings": settings})
        return
    output.say(f"# {source}, and over it the environment" if source else f"# no file {path}: defaults and environment")
    for name, value in _flat(settings):
        output.say(f"{name} = {value}")


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not parts:
        yield name, "(none)" if value in (None, [], {}) else value
    for key, part in parts:
        yield from _flat(part, f"{name}.{key}" if name else str(key))
