# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thresholds of a validator's status: the same values for the API, the alerts and the client.

Their names, types and defaults are those of ``gizzi_api_thresholds`` in the argument specification of role gizzi_api.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# The role and the variable that other specifications take them from.
HOME = ("gizzi_api", "gizzi_api_thresholds")
_LEAST = {"max_lag": 0, "max_finality_lag": 0, "min_peers": 0, "stall_seconds": 1, "stale_seconds": 1}
_DAY = 86_400


def threshold_problems(variable: str, thresholds: Mapping[str, Any]) -> list[str]:
    """Return the problems of thresholds that no program accepts."""
    small = [
        f"{variable}.{name} is {thresholds[name]:g}. It must be {least} or more."
        for name, least in _LEAST.items()
        if thresholds[name] < least
    ]
    stale = thresholds["stale_seconds"]
    return small + [f"{variable}.stale_seconds is {stale:g}. It must be {_DAY}, a day, or less."] * (stale > _DAY)
