# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that node_exporter's textfile collector reads, as each program that measures writes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

MAX_TEXT = 1_000_000


def metric(name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    """Return a metric in Prometheus' text format, nothing without samples; each has its labels and its value."""
    lines = []
    for labels, number in samples:
        pairs = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
        lines.append(f"{name}{{{pairs}}} {number:.15g}\n" if pairs else f"{name} {number:.15g}\n")
    return "".join([f"# HELP {name} {text}\n# TYPE {name} {kind}\n", *lines]) if lines else ""


def escaped(value: str) -> str:
    """Return a label's value as the text format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write(path: Path, text: str) -> None:
    """Replace a file at once, readable by everybody: a reader finds the old or the new one and never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(handle, 0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise


def read(path: Path) -> str:
    """Return the beginning of a file's text, empty if there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_TEXT)
    except FileNotFoundError:
        return ""
