# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thoughts before an answer, of models that put them into its text: <think> and </think> around them."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class Thoughts:
    """Takes an answer in pieces, and gives back what is no thought.

    Attributes:
        any: whether there was a thought.
    """

    def __init__(self) -> None:
        self.any = False
        # What may still become a mark; None: the answer itself has begun.
        self._held: str | None = ""

    def said(self, piece: str) -> str:
        """Return what of the answer comes with this piece; nothing while it may be a thought."""
        if self._held is None:
            return piece
        held = self._held + piece
        if not self.any and held.lstrip().startswith(OPEN):
            self.any = True
        if self.any:
            thought, found, rest = held.partition(CLOSE)
            # Of a thought only so much is kept as its end may begin with.
            self._held = None if found else thought[-len(OPEN + CLOSE) :]
            return rest
        if OPEN.startswith(held.lstrip()):
            self._held = held
            return ""
        self._held = None
        return held

    def rest(self) -> str:
        """Return what was held back at the end of the answer: no mark came of it."""
        held, self._held = self._held, None
        return "" if self.any else held or ""
