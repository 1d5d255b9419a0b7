# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guards of a host, and whether they really work. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import iptables, nftables
from .definitions import WATCH, definitions, states, unit_of
from .host import PACKAGE, look
from .plan import refusals
from .values import plain
from .walk import REFUSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .host import Host, Seen
    from .values import Guard


def guards(host: Host) -> list[dict[str, Any]]:
    """Return every guard of a host, sorted by name; GizziError when the rules cannot be read.

    Each has ``name``, ``port`` and ``sources`` (from its live rules, else from its definition, else None),
    ``effective`` (strangers are dropped, the sources are accepted, and this is still so after a reboot or a flush),
    ``unseen`` (a part of this is unknown; never together with ``effective``) and ``reason``, "" when effective.
    """
    defined, unreadable = definitions(host)
    seen = look(host)
    names = set(defined) | set(unreadable) | nftables.names(seen.tables or {})
    names = names.union(*(iptables.names(listing) for listing in seen.listings.values()))
    if not names:
        return []
    units = states(host, [WATCH, *(unit_of(name) for name in sorted(names))])
    return [describe(seen, units, name, defined.get(name), unreadable.get(name, "")) for name in sorted(names)]


def describe(
    seen: Seen, units: Mapping[str, tuple[str, str]], name: str, defined: Guard | None, unreadable: str
) -> dict[str, Any]:
    """Return one guard as ``guards`` does."""
    live = nftables.live(seen.tables or {}, name)
    lacks = [unreadable] if unreadable else []
    unsure: list[str] = []
    if seen.tables is None:
        lacks.append(f"{PACKAGE} is not installed")
    elif live is None:
        lacks.append("other hosts are not kept out: its table is missing or was changed")
    elif defined and (live.port, live.sources) != (defined.port, defined.sources):
        lacks.append("its rules are not those that it is defined with")
    guard = live or defined
    if guard:
        for what, outcome in refusals(seen, guard).items():
            if outcome == REFUSE:
                lacks.append(f"{what} refuses some of the sources")
            else:
                unsure.append(f"whether the sources are let in cannot be told: {what}")
    lacks += _boot_lacks(units, name, defined)
    return {
        "name": name,
        "port": guard.port if guard else None,
        "sources": [plain(source) for source in guard.sources] if guard else None,
        "effective": not lacks and not unsure,
        "unseen": bool(unsure) and not lacks,
        "reason": "; ".join(lacks + unsure),
    }


def _boot_lacks(units: Mapping[str, tuple[str, str]], name: str, defined: Guard | None) -> list[str]:
    if defined is None:
        return ["nothing puts it back: it has no definition"]
    return [
        f"{unit} {what}: it is {' and '.join(filter(None, units.get(unit, ()))) or 'not there'}"
        for unit, what in (
            (unit_of(name), "would not restore it at boot"),
            (WATCH, "would not restore it after a flush"),
        )
        if units.get(unit) != ("active", "enabled")
    ]
