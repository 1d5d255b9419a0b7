# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi status."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ollama_client import gizzi_api
from ollama_client.cli import output
from ollama_client.gizzi_api import Status
from ollama_client.masking import plain
from ollama_client.settings import load

COLOURS: dict[Status, str] = {
    "offline": "bold red",
    "isolated": "red",
    "lagging": "yellow",
    "unknown": "magenta",
    "syncing": "cyan",
    "healthy": "green",
}
# Wide enough for every reason; a pipe has no edge.
PIPE_WIDTH = 200


@output.command
def run(*, as_json: bool) -> None:
    settings = load()
    with output.waiting("asking the Gizzi API"):
        status = gizzi_api.network_status(settings.api)
    if as_json:
        output.show_json(status.model_dump())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("validator", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("height", "finalized", "peers", "lag", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reason")
    for one in status.worst_first():
        age = None if one.age_seconds is None else f"{one.age_seconds:.0f} s"
        numbers = (one.block_height, one.finalized_height, one.peers, one.lag, age)
        table.add_row(
            Text(plain(one.name)),
            Text(one.status, style=COLOURS[one.status]),
            *(Text("?" if number is None else str(number)) for number in numbers),
            Text(plain(one.reason)),
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(table)
    count = sum(one.status == "healthy" for one in status.validators)
    console.print(Text(f"\n{count} of {len(status.validators)} healthy; {_age(status)}"))


def _age(status: gizzi_api.NetworkStatus) -> str:
    why = f" ({plain(status.error)})" if status.error else ""
    if status.age_seconds is None:
        return f"there is no data yet{why}"
    return f"data {status.age_seconds:.0f} s old" + (", too old to judge by" if status.stale else "") + why
