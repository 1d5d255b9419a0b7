# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page for people: the validators, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gizzi_api.models import WORST_FIRST, NetworkStatus, Status, Validator
from gizzi_api.network import Past
from gizzi_api.page import frame, sparkline, text

# Not by colour alone.
SIGNS: Mapping[Status, str] = {
    "offline": "✕",
    "isolated": "◌",
    "lagging": "▼",
    "unknown": "?",
    "syncing": "↻",
    "healthy": "✓",
}
UNKNOWN = '<span class="none">unknown</span>'
COLUMNS = (
    ("Status", ""),
    ("Validator", ""),
    ("Height", "number"),
    ("Behind", "number"),
    ("Finalized", "number"),
    ("Peers", "number"),
    ("Height, last hour", "chart"),
    ("Peers, last hour", "chart"),
    ("Last read", "number"),
)


def render(status: NetworkStatus, past: Past | None, refresh: int) -> str:
    headline = _headline(status)
    head = f'<noscript><meta http-equiv="refresh" content="{refresh}"></noscript>\n'
    body = f"""<header>
<h1>Gizzi network</h1>
<p id="headline" role="status">{text(headline)}</p>
<p id="lost" role="alert" hidden>No answer from the API: what is shown is old.</p>
</header>
<main id="network" data-refresh="{refresh}">
{_facts(status)}
{_table(status.validators, past)}
</main>
<footer><p><a href="/docs">API</a> · <a href="/api/network/status">These data as JSON</a></p></footer>"""
    return frame(f"{headline} · Gizzi network", body, script=True, head=head)


def _headline(status: NetworkStatus) -> str:
    counts = [f"{count} {name}" for name in WORST_FIRST if (count := status.summary.by_status[name])]
    return f"{status.summary.validators} validators: {', '.join(counts)}"


def _facts(status: NetworkStatus) -> str:
    warning = ""
    if status.age_seconds is None:
        warning = f"Nothing is known yet: {status.error or 'Prometheus has not answered'}."
    elif status.error:
        warning = f"{status.error}. The data is {_age(status.age_seconds)} old."
    facts = (
        ("Best block", _number(status.summary.best_height)),
        ("Finalized", _number(status.summary.finalized_height)),
        ("Spread", _number(status.summary.spread)),
        ("Data from", "never" if status.age_seconds is None else f"{_age(status.age_seconds)} ago"),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    shown = f'<p class="warning">{text(warning)}</p>\n' if warning else ""
    return f'{shown}<dl class="facts">{listed}</dl>'


def _table(validators: Sequence[Validator], past: Past | None) -> str:
    # Only among the lagging does the lag say who is worse; elsewhere it would make the rows dance.
    ordered = sorted(
        validators,
        key=lambda one: (WORST_FIRST.index(one.status), -(one.lag or 0) * (one.status == "lagging"), one.number),
    )
    heights, peers = (past.heights, past.peers) if past else ({}, {})
    # One scale for all, so that a validator behind the others is below them.
    low, high = _bounds(heights[str(one.number)] for one in validators if str(one.number) in heights)
    _unused, most = _bounds(peers[str(one.number)] for one in validators if str(one.number) in peers)
    # The roles stay when a narrow screen lays the table out as cards.
    header = "".join(f'<th role="columnheader" scope="col" class="{kind}">{name}</th>' for name, kind in COLUMNS)
    rows = []
    for one in ordered:
        label = str(one.number)
        charts = (
            _chart("Block height of the last hour", heights.get(label, ()), past, low, high),
            _chart("Peers of the last hour", peers.get(label, ()), past, 0, most),
        )
        state = (
            f'<span class="status {one.status}"><span aria-hidden="true">{SIGNS[one.status]}</span> {one.status}</span>'
            f'<span class="reason">{text(one.reason)}</span>'
        )
        name = f'<a href="/api/validator/{one.number}">{text(one.name)}</a> <span class="id">no. {one.number}</span>'
        age = "never" if one.age_seconds is None else f"{_age(one.age_seconds)} ago"
        values = (
            _number(one.block_height),
            _number(one.lag),
            _number(one.finalized_height),
            _number(one.peers),
            *charts,
            age,
        )
        cells = "".join(
            f'<td role="cell" class="{kind}" data-label="{column}">{value}</td>'
            for (column, kind), value in zip(COLUMNS[2:], values, strict=True)
        )
        rows.append(
            f'<tr role="row" class="{one.status}"><td role="cell">{state}</td>'
            f'<th role="rowheader" scope="row">{name}</th>{cells}</tr>'
        )
    return (
        '<table role="table"><caption>Validators, those that need attention first</caption>'
        f'<thead role="rowgroup"><tr role="row">{header}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{"".join(f"{row}{chr(10)}" for row in rows)}</tbody></table>'
    )


def _chart(name: str, points: Sequence[tuple[int, int]], past: Past | None, low: int, high: int) -> str:
    return UNKNOWN if past is None else sparkline.render(name, points, past, low, high)


def _bounds(series: Iterable[Sequence[tuple[int, int]]]) -> tuple[int, int]:
    values = [value for points in series for _unused, value in points]
    return min(values, default=0), max(values, default=0)


def _number(value: int | None) -> str:
    """With narrow spaces between thousands."""
    return UNKNOWN if value is None else f"{value:,}".replace(",", "\u202f")


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}\u00a0s"
    if seconds < 7200:
        return f"{seconds / 60:.0f}\u00a0min"
    return f"{seconds / 3600:.0f}\u00a0h"
