# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# A relative import: the guard's program on the hosts has both files without the collection around them.
from ._shown import shown_lines


class GizziError(Exception):
    """An expected failure. Its text is the message an operator reads, in which nothing from outside is invisible."""

    def __str__(self) -> str:
        return "\n".join(shown_lines(super().__str__()))
