# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page for people: the validators, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gizzi_api.models import WORST_FIRST, NetworkStatus, Status, Validator
from gizzi_api.network import Past
from gizzi_api.page import template
from gizzi_api.page.sparkline import Line, Points, line

# Not by colour alone.
SIGNS: Mapping[Status, str] = {
    "offline": "✕",
    "isolated": "◌",
    "lagging": "▼",
    "unknown": "?",
    "syncing": "↻",
    "healthy": "✓",
}


@dataclass(frozen=True)
class Row:
    """A validator, with the lines of its last hour where the past is known."""

    validator: Validator
    heights: Line | None
    peers: Line | None


def render(status: NetworkStatus, past: Past | None, refresh: int) -> str:
    """Return the page, which renews itself after ``refresh`` seconds."""
    counts = [f"{count} {name}" for name in WORST_FIRST if (count := status.summary.by_status[name])]
    return template("overview.html").render(
        headline=f"{status.summary.validators} validators: {', '.join(counts)}",
        refresh=refresh,
        rows=_rows(status.validators, past),
        signs=SIGNS,
        status=status,
    )


def _rows(validators: Sequence[Validator], past: Past | None) -> list[Row]:
    # Only among the lagging does the lag say who is worse; elsewhere it would make the rows dance.
    ordered = sorted(
        validators,
        key=lambda one: (WORST_FIRST.index(one.status), -(one.lag or 0) * (one.status == "lagging"), one.number),
    )
    if past is None:
        return [Row(one, None, None) for one in ordered]
    labels = [str(one.number) for one in ordered]
    # One scale for all, so that a validator behind the others is below them.
    low, high = _bounds(past.heights.get(label, ()) for label in labels)
    _unused, most = _bounds(past.peers.get(label, ()) for label in labels)
    return [
        Row(
            one,
            line("Block height of the last hour", past.heights.get(label, ()), past, low, high),
            line("Peers of the last hour", past.peers.get(label, ()), past, 0, most),
        )
        for one, label in zip(ordered, labels, strict=True)
    ]


def _bounds(series: Iterable[Points]) -> tuple[int, int]:
    values = [value for points in series for _unused, value in points]
    return min(values, default=0), max(values, default=0)
