# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_update
short_description: Decide the next step of an update of the models
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Used by the playbooks C(etrid.gizzi.model_update) and C(etrid.gizzi.model_rollback), on the control host and without
    a connection. It reads what their earlier tasks have registered, and changes nothing.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
options:
  step:
    description:
      - V(asked), which models the registry is asked about. V(plan), what is to be done on each server. V(order), who is
        not fit, and who goes first. V(turns), what the servers of this batch do. V(report), what came of it.
    type: str
    choices:
      - asked
      - plan
      - order
      - turns
      - report
    required: true
  playbook:
    description: Which of the two playbooks runs.
    type: str
    choices:
      - model_update
      - model_rollback
    default: model_update
  metrics:
    description: The metrics of the last run, from which V(report) takes when one went well.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Say what is to be done
  etrid.gizzi.model_update:
    step: plan
  register: __update_plan
"""

RETURN = r"""
rows:
  description:
    - With O(step=plan), of each server and each model that is pulled what is to be done and why. C(action) is V(none),
      V(update), V(finish) (the rest of an update that was cut off), V(load) (older weights are in memory), V(sweep)
      (something superfluous is there), V(blocked) (the server or the model cannot be updated), V(unknown) (the registry
      did not tell) or V(unreachable).
  returned: with O(step=plan)
  type: dict
todo:
  description: The servers with something to do.
  returned: with O(step=plan)
  type: list
  elements: str
turns:
  description: What the module is told, one model of one server after the other.
  returned: with O(step=turns)
  type: list
  elements: dict
document:
  description: The report for programs.
  returned: with O(step=report)
  type: dict
"""
