# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Claude was asked about, and what it said: a finding is paid for once in a while.

Figures do not make a finding another one, and neither does what stands beside it: otherwise a validator whose height
comes and goes would have ever new sets of findings analysed, until the day's budget is spent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, TypeAdapter, ValidationError

from ollama_client import cache
from ollama_client.answer import Answer
from ollama_client.deadline import Deadline


class Entry(BaseModel):
    """One analysis: when it was made (``cache.now``), of which findings, and its text."""

    at: float
    findings: frozenset[str]
    text: str


_ENTRIES = TypeAdapter(list[Entry])


class Before:
    """What is known about these findings from before."""

    def __init__(self, findings: frozenset[str], entries: list[Entry], slot: cache.Slot) -> None:
        self._findings = findings
        self._entries = entries
        self._slot = slot

    def answer(self) -> str | None:
        """Return the text of the newest analysis of exactly these findings."""
        same = [one for one in self._entries if one.findings == self._findings]
        return same[-1].text if same else None

    def all_known(self) -> bool:
        """Tell whether each of the findings was analysed, be it beside others."""
        return bool(self._findings) and self._findings <= {each for one in self._entries for each in one.findings}

    def keep(self, answer: Answer) -> None:
        """Keep an analysis of these findings."""
        entry = Entry(at=cache.now(), findings=self._findings, text=answer.text)
        text = _ENTRIES.dump_json([*self._entries, entry]).decode()
        self._slot.write(answer.model_copy(update={"text": text}))


class Repeats:
    """Analyses kept in one place of a cache.

    Args:
        kept: where; all who share it pay for a finding once together.
        name: whose analyses they are.
        seconds: how long one counts.
    """

    def __init__(self, kept: cache.Cache, name: str, seconds: float) -> None:
        self._cache = kept
        self._key = hashlib.sha256(f"analyses of {name}".encode()).hexdigest()
        self._seconds = seconds

    @contextmanager
    def about(self, findings: Iterable[str], deadline: Deadline) -> Iterator[Before]:
        """Hold the place, alone, so that nobody else has the same analysed meanwhile. Errors: DeadlineError."""
        with self._cache.slot(self._key, deadline) as slot:
            yield Before(frozenset(findings), self._read(slot), slot)

    def _read(self, slot: cache.Slot) -> list[Entry]:
        answer = slot.read()
        if answer is None:
            return []
        try:
            return [one for one in _ENTRIES.validate_json(answer.text) if cache.fresh(one.at, self._seconds)]
        except ValidationError:
            return []
