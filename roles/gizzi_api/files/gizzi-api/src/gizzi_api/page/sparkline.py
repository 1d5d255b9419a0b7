# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small line of the last hour, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from gizzi_api.network import Past
from gizzi_api.page import text

WIDTH, HEIGHT, MARGIN = 120, 24, 2

Points = Sequence[tuple[int, int]]


def render(label: str, points: Points, past: Past, low: int, high: int) -> str:
    """Draw ``points`` between ``low`` and ``high``; where one is missing, the line breaks."""
    if not points:
        return f'<span class="none" role="img" aria-label="{text(label)}: no data">unknown</span>'
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
    return (
        f'<svg class="spark" role="img" aria-label="{text(spoken)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" preserveAspectRatio="xMinYMid"><path d="{"".join(path)}"/></svg>'
    )
