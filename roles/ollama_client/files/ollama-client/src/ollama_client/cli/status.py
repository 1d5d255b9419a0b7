# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi status."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ollama_client import gizzi_api
from ollama_client.cli import output, tables
from ollama_client.errors import GizziError
from ollama_client.gizzi_api import Details, NetworkStatus, Source, Status
from ollama_client.settings import load
from ollama_client.shown import shown

COLOURS: dict[Status, str] = {
    "offline": "bold red",
    "isolated": "red",
    "lagging": "yellow",
    "unknown": "magenta",
    "syncing": "cyan",
    "healthy": "green",
}


@dataclass
class Look:
    """What the API said, and how it is shown: a head of one line, and what belongs under or over it."""

    said: BaseModel
    head: Text
    body: RenderableType


@output.command
def run(which: str | None, *, watch: bool, every: float, as_json: bool) -> None:
    api = load().api

    def look() -> Look:
        return _one(gizzi_api.validator(api, which)) if which else _all(gizzi_api.network_status(api))

    if watch:
        _watch(look, every, as_json)
    with output.waiting("asking the Gizzi API"):
        seen = look()
    if as_json:
        output.show_json(seen.said.model_dump())
    elif which:
        tables.console().print(seen.head, seen.body, sep="\n")
    else:
        tables.console().print(seen.body, Text(), seen.head, sep="\n")


def _all(status: NetworkStatus) -> Look:
    table = tables.table(("validator", "status"), ("height", "finalized", "peers", "lag", "age"), "reason")
    for one in status.worst_first():
        numbers = one.block_height, one.finalized_height, one.peers, one.lag, _seconds(one.age_seconds)
        table.add_row(
            tables.cell(one.name),
            tables.cell(one.status, COLOURS[one.status]),
            *map(tables.cell, numbers),
            # The others have one; this line shall be one, also where a terminal is narrow.
            tables.cell("" if one.status == "healthy" else one.reason),
        )
    count = sum(one.status == "healthy" for one in status.validators)
    return Look(status, Text(f"{count} of {len(status.validators)} healthy; {_age(status)}"), table)


def _one(one: Details) -> Look:
    head = Text.assemble(shown(one.name), f" (no. {one.number}): ", (one.status, COLOURS[one.status]), _stale(one))
    table = tables.table(("",), (), "")
    table.show_header = False
    rows: dict[str, object] = {
        "reason": one.reason,
        "height": one.block_height,
        "finalized": one.finalized_height,
        "peers": one.peers,
        "lag": one.lag,
        "age": _seconds(one.age_seconds),
    }
    if one.sync_target is not None:
        rows["sync target"] = one.sync_target
    if one.history:
        rows["last hour"] = (
            f"height {_span(one.history.block_height)}, peers {_span(one.history.peers)}"
            f" (as of {one.history.age_seconds:.0f} s ago)"
        )
    else:
        rows["last hour"] = None
    rows["metrics"] = None if one.metrics is None else f"{len(one.metrics)}: --json shows them"
    for name, value in rows.items():
        table.add_row(f"  {name}", tables.cell(value))
    return Look(one, head, table)


def _span(points: list[tuple[int, float]]) -> str:
    values = [value for _unused, value in points]
    if not values:
        return "?"
    return f"{min(values):.0f}" if min(values) == max(values) else f"{min(values):.0f} to {max(values):.0f}"


def _seconds(age: float | None) -> str | None:
    return None if age is None else f"{age:.0f} s"


def _age(status: NetworkStatus) -> str:
    age = "there is no data yet" if status.age_seconds is None else f"data {status.age_seconds:.0f} s old"
    return age + _stale(status)


def _stale(source: Source) -> str:
    why = f" ({shown(source.error)})" if source.error else ""
    return (", too old to judge by" if source.stale else "") + why


def _watch(look: Callable[[], Look], every: float, as_json: bool) -> None:
    """Look again and again, until Ctrl-C. A look that fails is shown in place of an earlier one, and is no end."""
    console = tables.console()
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        while True:
            _print_look(look, as_json)
            time.sleep(every)
    last: RenderableType = ""
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                last = _frame(look, every)
                live.update(last, refresh=True)
                time.sleep(every)
    finally:
        # The screen from before comes back; the latest look stays on it.
        console.print(last)


def _frame(look: Callable[[], Look], every: float) -> RenderableType:
    head = Text(f"{time.strftime('%H:%M:%S')}, again every {every:g} s; Ctrl-C ends it", style="dim")
    try:
        seen = look()
    except GizziError as error:
        return Group(head, Text(f"gizzi: {error}", style="red"))
    # The head first: a low terminal shows the worst.
    return Group(head, seen.head, Text(), seen.body)


def _print_look(look: Callable[[], Look], as_json: bool) -> None:
    try:
        seen = look()
    except GizziError as error:
        if as_json:
            output.show_json({"error": output.error_json(error)}, indent=None)
        else:
            output.warn(str(error))
    else:
        if as_json:
            output.show_json(seen.said.model_dump(), indent=None)
        else:
            head = Text(f"{time.strftime('%H:%M:%S')}  ") + seen.head
            tables.console().print(head, seen.body, Text(), sep="\n")
    output.flush()
