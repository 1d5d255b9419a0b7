# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a judge of the deployment checklist says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import Given


class Verdict(NamedTuple):
    """Whether an item holds, and what was seen; None is SKIP: nobody asked for it."""

    ok: Optional[bool]  # noqa: UP045  # A named tuple's types are evaluated, and hosts have Python 3.9.
    reason: str


def runs(unit: Given) -> Verdict:
    """Judge whether a service runs and starts at boot."""
    state, enabled = unit.text("active"), unit.text("enabled") or "not installed"
    return Verdict((state, enabled) == ("active", "enabled"), f"{state}, {enabled}")
