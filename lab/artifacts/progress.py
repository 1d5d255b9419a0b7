"""Progress messages: one line per step with its name, result and duration."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Step:
    """A running step; ``note`` is its result."""

    note: str = ""


@contextlib.contextmanager
def step(what: str) -> Iterator[Step]:
    """Print ``what`` at the start, and the note and the duration at the end."""
    running = Step()
    started = time.monotonic()
    # stdout is for the tree's path only, which callers read.
    print(f"  {what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield running
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    parts = [running.note, f"{time.monotonic() - started:.1f} s"]
    print(" " + ", ".join(part for part in parts if part), file=sys.stderr, flush=True)


def megabytes(*paths: Path) -> str:
    """Return the total size of these files in decimal megabytes."""
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"
