# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guards of a service's ports, as role release takes them: the wanted ones, and those before the change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def wanted_guard(
    name: str, unit: str, port: int, sources: Sequence[str], needed: bool, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return what is to become of a guard; nothing where none is needed and there is none.

    live: the section guards of host_state.
    """
    if needed:
        return [{"name": name, "state": "present", "port": port, "sources": [*sources], "units": [unit]}]
    # A guard that cannot be seen may exist.
    return [{"name": name, "state": "absent"}] if name in live or _is_unseen(live) else []


def guard_before(name: str, unit: str, live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the guard as it is now, to go back to; where it cannot be seen, a restore changes none."""
    guard = live.get(name, {}) if not _is_unseen(live) else {}
    if guard.get("port"):
        return [{"name": name, "state": "present", "port": guard["port"], "sources": guard["sources"], "units": [unit]}]
    return [] if name in live or _is_unseen(live) else [{"name": name, "state": "absent"}]


def _is_unseen(live: Mapping[str, Any]) -> bool:
    return isinstance(live.get("unseen"), str)
