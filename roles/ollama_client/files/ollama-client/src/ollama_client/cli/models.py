# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import typer

from ollama_client import models
from ollama_client.cli import output, tables
from ollama_client.errors import GizziError
from ollama_client.models import Held
from ollama_client.settings import Endpoint, load

GIB = 1 << 30
Found = list[tuple[Held, bool]] | GizziError


@output.command
def run(*, as_json: bool) -> None:
    settings = load()
    with output.waiting("asking the servers"), ThreadPoolExecutor() as pool:
        found = list(zip(settings.endpoints, pool.map(_listed, settings.endpoints), strict=True))
    if as_json:
        servers = [_object(endpoint, one) for endpoint, one in found]
        output.show_json({"model": settings.model, "servers": servers})
    else:
        _show(settings.model, found)
    if any(isinstance(one, GizziError) for _unused, one in found):
        raise typer.Exit(output.FAILED)


def _listed(endpoint: Endpoint) -> Found:
    try:
        return models.listed(endpoint)
    except GizziError as error:
        return error


def _object(endpoint: Endpoint, found: Found) -> dict[str, Any]:
    told = {"name": endpoint.name, "url": endpoint.address}
    if isinstance(found, GizziError):
        return told | {"models": None, "error": output.error_json(found)}
    return told | {"models": [held.model_dump() | {"loaded": loaded} for held, loaded in found], "error": None}


def _show(wanted: str, found: list[tuple[Endpoint, Found]]) -> None:
    table = tables.table(("server", "model", "loaded"), ("GiB",))
    for endpoint, one in found:
        for held, loaded in [] if isinstance(one, GizziError) else one:
            word = "loaded" if loaded else "no"
            row = endpoint.name, held.name, word, f"{held.size / GIB:.1f}"
            table.add_row(*(tables.cell(part, "green" if loaded else "") for part in row))
    if table.rows:
        tables.console().print(table)
    for endpoint, one in found:
        if isinstance(one, GizziError):
            output.warn(str(one))
        elif wanted not in (name for held, _unused in one for name in (held.name, held.name.removesuffix(":latest"))):
            output.warn(f"{endpoint.name}: it does not have {wanted}, the model that the settings ask for")
