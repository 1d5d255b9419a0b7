# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables on a terminal and in a pipe. What stands in them is text, and no markup."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ollama_client.shown import shown

# A pipe has no edge.
PIPE_WIDTH = 10_000


def console() -> Console:
    """Return standard output."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


def table(words: Sequence[str], numbers: Sequence[str], text: str | None = None) -> Table:
    """Return a table with columns for words, for numbers, and for text. No number is ever cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in words:
        made.add_column(name, overflow="fold")
    for name in numbers:
        made.add_column(name, justify="right", no_wrap=True)
    if text is not None:
        made.add_column(text)
    return made


def cell(value: object, style: str = "") -> Text:
    """Return what a cell shows; what is not known is a question mark."""
    return Text("?" if value is None else shown(str(value)), style=style)
