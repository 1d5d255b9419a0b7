# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked, by tier and day: calls, tokens, seconds, dollars, and what asking Claude each time would have cost.

One SQLite file for all programs of a user, in a folder that nobody else can change: SQLite opens by path, and follows
whatever it finds there. Claude is paid from a day's budget (UTC), and each ledger has its own: what a call may cost at
most is set aside before it, so that many callers together cannot overdraw it, and a caller that dies has spent it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Literal

from pydantic import BaseModel, ValidationError

from ollama_client.deadline import Limit
from ollama_client.errors import BudgetError, LedgerError
from ollama_client.folders import open_own_folder
from ollama_client.settings import Settings

log = logging.getLogger(__name__)
Tier = Literal["rules", "cache", "ollama", "claude"]
WAIT = 5.0  # seconds for other programs to finish with the file, and no more than the caller has

_TABLES = """
CREATE TABLE IF NOT EXISTS usage (
  day TEXT, tier TEXT, model TEXT, calls INTEGER, failures INTEGER, tokens_in INTEGER, tokens_out INTEGER,
  seconds REAL, dollars REAL, saved REAL, PRIMARY KEY (day, tier, model)
);
CREATE TABLE IF NOT EXISTS reserved (id INTEGER PRIMARY KEY, day TEXT, dollars REAL);
"""
_ADD = """
INSERT INTO usage VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  calls = calls + 1, failures = failures + excluded.failures, tokens_in = tokens_in + excluded.tokens_in,
  tokens_out = tokens_out + excluded.tokens_out, seconds = seconds + excluded.seconds,
  dollars = dollars + excluded.dollars, saved = saved + excluded.saved
"""
_SUMS = """
SELECT tier, model, sum(calls), sum(failures), sum(tokens_in), sum(tokens_out), sum(seconds), sum(dollars), sum(saved)
FROM usage WHERE day >= ? GROUP BY tier, model ORDER BY tier, model
"""


class Line(BaseModel):
    """One tier's use of one model. ``saved``: dollars that Claude would have cost instead."""

    tier: str
    model: str
    calls: int
    failures: int
    tokens_in: int
    tokens_out: int
    seconds: float
    dollars: float
    saved: float


class Usage(BaseModel):
    """What the file ``ledger`` has since ``since`` (a day), or ever. Money in dollars."""

    ledger: str
    since: str | None
    lines: list[Line]
    spent_today: float
    budget: float

    @property
    def dollars(self) -> float:
        return sum(line.dollars for line in self.lines)

    @property
    def saved(self) -> float:
        return sum(line.saved for line in self.lines)


class Ledger:
    """Args: settings: the ledger of this user, and the budget of the section [claude].

    Where a method has ``until``, it waits for other programs no longer; without it ``WAIT`` seconds.

    Attributes:
        path: the file.
    """

    def __init__(self, settings: Settings) -> None:
        self.path = settings.ledger.of_this_user / str(os.geteuid()) / "ledger.db"
        self._claude = settings.claude

    def record(
        self,
        tier: Tier,
        model: str = "",
        *,
        until: Limit | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
        seconds: float = 0.0,
        saved: float = 0.0,
        failed: bool = False,
    ) -> None:
        """Count a call that cost nothing. A ledger that cannot be written is logged, and no reason to fail."""
        try:
            with self._open(until) as database:
                database.execute(_ADD, (today(), tier, model, int(failed), tokens_in, tokens_out, seconds, 0.0, saved))
        except LedgerError as error:
            log.warning("not written to the ledger: %s", error)

    def reserve(self, dollars: float, until: Limit | None = None) -> int:
        """Set money aside; return the number to settle it by.

        Errors: BudgetError, and LedgerError: who cannot count may not spend.
        """
        with self._open(until) as database:
            spent = self._spent(database)
            if spent + dollars > self._claude.budget:
                raise BudgetError(
                    f"today's budget of ${self._claude.budget:.2f} does not allow another call"
                    f" (${spent:.4f} spent, ${dollars:.4f} needed)"
                )
            reserved = database.execute("INSERT INTO reserved (day, dollars) VALUES (?, ?)", (today(), dollars))
            assert reserved.lastrowid is not None
            return reserved.lastrowid

    def settle(
        self,
        number: int,
        model: str,
        *,
        until: Limit | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
        seconds: float,
        dollars: float | None,
        failed: bool = False,
    ) -> None:
        """Count a call that was paid.

        Args:
            number: from ``reserve``.
            dollars: what it cost; None: as much as was set aside, because nobody knows.
        """
        try:
            with self._open(until) as database:
                row = database.execute("DELETE FROM reserved WHERE id = ? RETURNING dollars", (number,)).fetchone()
                cost = dollars if dollars is not None else (row[0] if row else 0.0)
                database.execute(
                    _ADD, (today(), "claude", model, int(failed), tokens_in, tokens_out, seconds, cost, 0.0)
                )
        except LedgerError as error:
            # What was set aside stays spent.
            log.warning("not written to the ledger: %s", error)

    def usage(self, days: int | None = None) -> Usage:
        """Return what was used in the last ``days`` days, today included, or ever. Errors: LedgerError."""
        since = None if days is None else today(days - 1)
        with self._open(None) as database:
            rows = database.execute(_SUMS, (since or "",)).fetchall()
            spent = self._spent(database)
            lines = [Line(**dict(zip(Line.model_fields, row, strict=True))) for row in rows]
        return Usage(ledger=str(self.path), since=since, lines=lines, spent_today=spent, budget=self._claude.budget)

    def _spent(self, database: sqlite3.Connection) -> float:
        # What is dated later than today counts too: a clock set back gives no new budget.
        query = "SELECT coalesce(sum(dollars), 0) FROM"
        return sum(
            float(database.execute(f"{query} {table} WHERE day >= ?", (today(),)).fetchone()[0])
            for table in ("usage", "reserved")
        )

    @contextmanager
    def _open(self, until: Limit | None) -> Iterator[sqlite3.Connection]:
        wait = WAIT if until is None else max(0.0, min(WAIT, until.remaining()))
        try:
            os.close(open_own_folder(self.path.parent))
            with closing(sqlite3.connect(self.path, timeout=wait, isolation_level=None)) as database:
                # With the file for us alone from here on, nothing that follows waits.
                database.execute("BEGIN EXCLUSIVE")
                for statement in _TABLES.split(";"):
                    database.execute(statement)
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except ValidationError as error:
            raise LedgerError(f"{self.path} has a line that is not of a ledger: {error.errors()[0]['msg']}") from error
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"{self.path}: {error}") from error


def today(ago: int = 0) -> str:
    """Return the day, by UTC, of so many days ago."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 * ago))


def exposition(usage: Usage) -> str:
    """Return the usage as a text file for Prometheus' node_exporter; its label tells it from another ledger's."""
    ledger = f'ledger="{_escaped(usage.ledger)}"'
    lines = []
    for name, field, text in (
        ("calls", "calls", "Questions asked"),
        ("failures", "failures", "Questions without an answer"),
        ("seconds", "seconds", "Seconds spent on answers"),
        ("dollars", "dollars", "Dollars spent"),
        ("saved_dollars", "saved", "Dollars that Claude would have cost instead"),
    ):
        lines += [f"# HELP gizzi_{name}_total {text}.", f"# TYPE gizzi_{name}_total counter"]
        lines += [f"gizzi_{name}_total{{{_labels(one)},{ledger}}} {getattr(one, field):g}" for one in usage.lines]
    lines += ["# HELP gizzi_tokens_total Tokens of prompts and answers.", "# TYPE gizzi_tokens_total counter"]
    for one in usage.lines:
        lines.append(f'gizzi_tokens_total{{{_labels(one)},{ledger},direction="in"}} {one.tokens_in}')
        lines.append(f'gizzi_tokens_total{{{_labels(one)},{ledger},direction="out"}} {one.tokens_out}')
    for name, value, text in (
        ("budget_dollars", usage.budget, "Dollars that a day may cost"),
        ("budget_spent_dollars", usage.spent_today, "Dollars spent or reserved today (UTC)"),
    ):
        lines += [f"# HELP gizzi_{name} {text}.", f"# TYPE gizzi_{name} gauge", f"gizzi_{name}{{{ledger}}} {value:g}"]
    return "\n".join(lines) + "\n"


def _labels(line: Line) -> str:
    return f'tier="{line.tier}",model="{_escaped(line.model)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
