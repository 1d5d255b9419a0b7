# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small line of the last hour, for a template to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gizzi_api.network import Past

WIDTH, HEIGHT, MARGIN = 120, 24, 2

Points = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Line:
    """What is drawn, as SVG's path data, empty where there is no data; and what is spoken in its place."""

    path: str
    spoken: str
    width: int = WIDTH
    height: int = HEIGHT


def line(label: str, points: Points, past: Past, low: int, high: int) -> Line:
    """Lay ``points`` out between ``low`` and ``high``; where one is missing, the line breaks."""
    if not points:
        return Line("", f"{label}: no data")
    span, height = max(1, past.end - past.start), max(1, high - low)
    path, before = [], None
    for moment, value in points:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (moment - past.start) / span
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / height
        joined = before is not None and moment - before <= past.step
        # A point alone is a dot: a line of no length with round ends.
        path.append(f"L{x:.1f} {y:.1f}" if joined else f"M{x:.1f} {y:.1f}h0")
        before = moment
    missing = (past.end - past.start) // past.step + 1 - len(points)
    minutes = missing * past.step // 60
    gaps = f", no data for {minutes} minutes" if minutes > 0 else ""
    values = [value for _unused, value in points]
    spoken = f"{label}: from {points[0][1]} to {points[-1][1]}, lowest {min(values)}, highest {max(values)}{gaps}"
    return Line("".join(path), spoken)
