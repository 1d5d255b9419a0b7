# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guards of the host's ports, and whether they work."""

from __future__ import annotations

from typing import Any

from ansible_collections.etrid.gizzi.plugins.module_utils._guard.host import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.state import guards as live_guards
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _seen


def guards() -> dict[str, Any]:
    """Return each guard by its name; unseen where the rules cannot be read."""
    found: dict[str, Any] = _seen.seen_or_why(_guards)
    return found


def _guards() -> dict[str, Any]:
    described = live_guards(Host())
    return {guard["name"]: {key: value for key, value in guard.items() if key != "name"} for guard in described}
