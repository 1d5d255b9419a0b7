# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What site does with an earlier installation by hand besides what the roles replace: open rules, programs, remains.

The values are those of part takeover of the playbooks' argument specification, without the prefix ``gizzi_``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._replaced import unseen

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHY = {"port": "uses Ollama's port", "import": "imports the old client"}


def look(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of module host_state."""
    return {"takeover": ["programs", "rules"]}


def host_problems(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return why the rules cannot be removed, where that is wanted."""
    rules = host["takeover"]["rules"]
    return unseen(rules) if values["close_open_rules"] and "unseen" in rules else []


def host_derived(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ports whose open rules are to be removed."""
    rules = host["takeover"]["rules"]
    wanted = rules if values["close_open_rules"] and "unseen" not in rules else []
    return {"closes": sorted({rule["port"] for rule in wanted})}


def host_notes(values: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """Return the open rules, and the programs that will not reach Ollama any more."""
    return [*_rule_notes(values, host["takeover"]["rules"]), *_program_notes(host["takeover"]["programs"])]


def _rule_notes(values: Mapping[str, Any], rules: Any) -> list[str]:
    if "unseen" in rules:
        return [f"Whether a firewall rule lets everybody in cannot be seen: {rules['unseen']}."]
    if not rules:
        return []
    told = "; ".join(f"{one['tool']}: {one['rule']}" for one in rules)
    remedy = "They are removed." if values["close_open_rules"] else "Remove them with -e gizzi_close_open_rules=true."
    return [f"Firewall rules let everybody reach the ports of Ollama or of an API server ({told}). {remedy}"]


def _program_notes(programs: Mapping[str, Any]) -> list[str]:
    if "unseen" in programs:
        return [f"Which programs use Ollama's port cannot be seen: {programs['unseen']}."]
    notes = [] if programs["complete"] else ["Not all folders were looked through for programs that use Ollama's port."]
    told = ", ".join(f"{one['path']} line {one['line']} ({_WHY[one['why']]})" for one in programs["found"])
    if told:
        notes.append(
            f"These get no answer from a shared server any more, which only its gateway reaches: {told}. Let them call "
            "the command gizzi."
        )
    return notes
