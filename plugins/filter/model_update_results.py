# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

DOCUMENTATION = r"""
name: model_update_results
short_description: Say what came of an update on a server
version_added: 1.0.0
author: Ëtrid operations (@etrid)
description:
  - Used by the playbooks C(etrid.gizzi.model_update) and C(etrid.gizzi.model_rollback).
positional: host, check_mode, lost
options:
  _input:
    description:
      - The variables of the host, of which C(model_update_rows), C(model_update_results), C(model_update_unfit),
        C(model_update_gone) and C(model_update_bytes) are read.
    type: dict
    required: true
  host:
    description: The name of the host.
    type: str
    required: true
  check_mode:
    description: Whether the run was a dry one.
    type: bool
    required: true
  lost:
    description: Whether Ansible has left the host out before the end of the run.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: Show what came of it
  ansible.builtin.debug:
    msg: "{{ hostvars[inventory_hostname] | etrid.gizzi.model_update_results(inventory_hostname, false, false) }}"
"""

RETURN = r"""
_value:
  description:
    - Of each model C(host), C(model), C(digest_before), C(digest_after), C(digest_wanted), C(bytes), C(seconds),
      C(speed_before), C(speed_after), C(golden_before), C(golden_after), C(verdict) and C(reason), and C(blobs), what
      was found about each blob where that was asked for.
    - C(verdict) is V(current), V(updated), V(reloaded), V(rebuilt), V(swept), V(planned), V(restored), V(failed),
      V(unhealthy), V(unreachable) or V(untouched); of a rollback also V(rolled_back) or V(refused).
  type: list
  elements: dict
"""

FIELDS = (
    "model",
    "digest_before",
    "digest_after",
    "digest_wanted",
    "bytes",
    "seconds",
    "speed_before",
    "speed_after",
    "golden_before",
    "golden_after",
    "blobs",
    "verdict",
    "reason",
)
# What nobody has touched, by what was to be done about it.
IDLE = {
    "none": "current",
    "blocked": "unhealthy",
    "unknown": "failed",
    "unreachable": "unreachable",
    "refused": "refused",
}


def _untouched(row: t.Mapping[str, t.Any], seen: t.Mapping[str, t.Any], check_mode: bool) -> tuple[str, str]:
    if row["action"] in IDLE:
        return IDLE[row["action"]], row["reason"]
    if seen.get("model_update_unfit"):
        return "unreachable" if seen.get("model_update_gone") else "unhealthy", seen["model_update_unfit"]
    if check_mode:
        return "planned", row["reason"]
    stopped = seen.get("model_update_stopped")
    return "untouched", f"{row['reason']}; the run stopped before its turn{f' ({stopped})' if stopped else ''}"


def model_update_results(
    seen: t.Mapping[str, t.Any], host: str, check_mode: bool, lost: bool
) -> list[dict[str, t.Any]]:
    rows = {row["model"]: row for row in seen.get("model_update_rows", [])}
    done = {result["model"]: result for result in seen.get("model_update_results", [])}
    planned = seen.get("model_update_bytes", {}) if check_mode else {}
    results = []
    for model in [*rows, *(model for model in done if model not in rows)]:
        row = rows.get(model, {})
        known = {
            "digest_before": row.get("digest_before"),
            "digest_after": row.get("digest_present"),
            "digest_wanted": row.get("digest_wanted"),
            "bytes": planned.get(model, 0),
            "seconds": 0,
            "blobs": row.get("blobs", []),
        }
        if model in done:
            known.update(done[model])
        elif lost:
            known.update(verdict="failed", reason="the run broke off there, see above")
        else:
            verdict, reason = _untouched(row, seen, check_mode)
            known.update(verdict=verdict, reason=reason)
            if verdict == "planned":
                known["digest_after"] = None
        known["model"] = model
        results.append({"host": host, **{field: known.get(field) for field in FIELDS}})
    if not results:
        results.append({"host": host, **dict.fromkeys(FIELDS), "verdict": "failed", "reason": "it was not looked at"})
    return results


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"model_update_results": model_update_results}
