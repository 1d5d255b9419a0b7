# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expressions of the alerts for Prometheus: from the API's own presets, or from settings that replace them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PRESETS = Path(__file__).parents[3] / "roles/gizzi_api/files/gizzi-api/src/gizzi_api/presets"
# The API's facts, and the names of the recording rules for them.
RECORDED = {
    "up": "up",
    "best": "best_height",
    "finalized": "finalized_height",
    "peers": "peers",
    "syncing": "syncing",
}


def presets() -> list[str]:
    """Return the presets' names."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def recorded_facts(
    preset: str, replaced: Mapping[str, str], names: Mapping[str, str], stall_seconds: int
) -> list[dict[str, Any]]:
    """Return the facts that the alerts use, each with the ``fact``, its ``record`` and its ``expression``.

    :param preset: one of presets().
    :param replaced: expressions by fact; a fact with an empty one is left out.
    :param names: what stands for $JOB and $LABEL, by ``JOB`` and ``LABEL``.
    """
    # Imported here: only the control host runs this. The Python of a managed host may be too old for tomllib.
    import tomllib

    own = tomllib.loads((PRESETS / f"{preset}.toml").read_text(encoding="utf-8"))
    found = {fact: {**own, **replaced}[fact] for fact in RECORDED}
    for name, value in {**names, "STALL": str(stall_seconds)}.items():
        found = {fact: expression.replace(f"${name}", value).strip() for fact, expression in found.items()}
    return [
        {"fact": fact, "record": f"validator:{RECORDED[fact]}", "expression": expression}
        for fact, expression in found.items()
        if expression
    ]
