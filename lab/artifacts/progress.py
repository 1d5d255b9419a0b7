"""One line per step: what, how much, how long."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Step:
    """A running step; whoever runs it may note what came out."""

    note: str = ""


@contextlib.contextmanager
def step(what: str) -> Iterator[Step]:
    """Print ``what`` at once, and its note and duration when it is done."""
    running = Step()
    started = time.monotonic()
    # stdout belongs to the one thing that callers read: the path of the tree.
    print(f"  {what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield running
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    parts = [running.note, f"{time.monotonic() - started:.1f} s"]
    print(" " + ", ".join(part for part in parts if part), file=sys.stderr, flush=True)


def megabytes(*paths: Path) -> str:
    """The size of these files together, in decimal megabytes."""
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"
