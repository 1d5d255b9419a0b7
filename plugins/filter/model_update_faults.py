# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

DOCUMENTATION = r"""
name: model_update_faults
short_description: Say what is worse about a model than about the one before it
version_added: 1.0.0
author: Ëtrid operations (@etrid)
description:
  - Used by the playbook C(etrid.gizzi.model_update).
positional: before, minimum_speed
options:
  _input:
    description: What M(etrid.gizzi.ollama_golden) returned about the new model.
    type: dict
    required: true
  before:
    description: What it returned about the model before.
    type: dict
    required: true
  minimum_speed:
    description: The share of the speed before that the new model must reach.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: The new model is no worse
  ansible.builtin.assert:
    that: faults | length == 0
  vars:
    faults: "{{ golden_after | etrid.gizzi.model_update_faults(golden_before, 0.7) }}"
"""

RETURN = r"""
_value:
  description: Each fault in words, V([]) when there is none. What could not be measured is a fault.
  type: list
  elements: str
"""

SHOWN = 80


def model_update_faults(after: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any], minimum_speed: float) -> list[str]:
    faults = []
    if after["pass_rate"] < before["pass_rate"]:
        known = {failure["name"] for failure in before["failures"]}
        new = [failure for failure in after["failures"] if failure["name"] not in known] or after["failures"]
        shown = "; ".join(
            f"{failure['name'][:SHOWN]!r}: {failure['reason']}"
            + (f", it is {failure['answer'][:SHOWN]!r}" if failure["answer"] else "")
            for failure in new[:2]
        )
        faults.append(
            f"{after['pass_rate']:.0%} of the golden prompts are answered well, {before['pass_rate']:.0%} were: {shown}"
        )
    if before["tokens_per_second"] is not None:
        least = before["tokens_per_second"] * minimum_speed
        if after["tokens_per_second"] is None:
            faults.append("its speed could not be measured")
        elif after["tokens_per_second"] < least:
            faults.append(
                f"too slow: {after['tokens_per_second']:.2f} tokens/s, at least {least:.2f} are wanted "
                f"({minimum_speed:g} of the {before['tokens_per_second']:.2f} before)"
            )
    return faults


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"model_update_faults": model_update_faults}
