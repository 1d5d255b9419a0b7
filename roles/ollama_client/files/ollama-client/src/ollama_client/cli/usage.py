# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gizzi usage."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ollama_client.cli import output, tables
from ollama_client.errors import LedgerError
from ollama_client.ledger import Ledger, exposition
from ollama_client.settings import load


@output.command
def run(days: int | None, textfile: Path | None, *, as_json: bool) -> None:
    ledger = Ledger(load())
    if textfile:
        # Counters only grow: all of it, whatever was asked to be shown.
        _write(textfile, exposition(ledger.usage()))
    usage = ledger.usage(days)
    if as_json:
        output.show_json(usage.model_dump() | {"dollars": usage.dollars, "saved": usage.saved})
        return
    numbers = "calls", "failed", "in", "out", "seconds", "dollars", "saved"
    table = tables.table(("tier", "model"), numbers)
    for one in usage.lines:
        counts = one.calls, one.failures, one.tokens_in, one.tokens_out
        money = f"{one.dollars:.4f}", f"{one.saved:.4f}"
        row = one.tier, one.model, *counts, f"{one.seconds:.1f}", *money
        table.add_row(*map(tables.cell, row))
    tables.console().print(table)
    since = f"since {usage.since}" if usage.since else "ever"
    output.say("")
    output.say(f"${usage.dollars:.4f} spent {since}, ${usage.saved:.4f} saved against asking Claude every time")
    output.say(f"${usage.spent_today:.4f} of today's ${usage.budget:.2f} spent or reserved")


def _write(path: Path, text: str) -> None:
    """Replace a file at once: node_exporter may read it at any time."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(handle, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error}", hint="See its folder.") from error
