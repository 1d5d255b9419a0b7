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
      - V(asked), which models to ask the registry about. V(plan), what to do on each server. V(order), which servers
        are not fit, and which one is first. V(turns), what the servers of this batch do. V(report), the results.
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
    description: The metrics of the last run. V(report) reads from them when the last good run was.
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
    - With O(step=plan), what to do and why, for each server and each model that is pulled. C(action) is V(none),
      V(update), V(finish) (the rest of an interrupted update), V(load) (older weights are in memory), V(sweep)
      (something is there that is not needed any more), V(blocked) (the server or the model cannot be updated),
      V(unknown) (the registry did not tell) or V(unreachable).
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
