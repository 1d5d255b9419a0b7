# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Check the results of all hosts, and write a report
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Used by the playbooks C(etrid.gizzi.verify) and C(etrid.gizzi.diagnose), once for all hosts of the play. It runs on
    the control host, asks no host, and reads the results that C(playbooks/tasks/look.yml) has registered.
  - What a host answered is data. A value of another type than expected counts as not seen. An item that was not seen
    never passes. Characters that could control a terminal are shown as codes in the table.
  - The report is written in check mode too. Only its owner can read it.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  about:
    description: V(verify) goes through the deployment checklist, V(diagnose) looks for causes and names remedies.
    type: str
    choices:
      - verify
      - diagnose
    required: true
  fleet:
    description: >-
      What M(etrid.gizzi.settings) returns for V(fleet), of which C(hosts), C(topology) and C(expected_validators) are
      used.
    type: dict
    required: true
  folder:
    description: Where the control host keeps reports. It is made where it is not there.
    type: str
    default: reports
seealso:
  - module: etrid.gizzi.host_state
"""

EXAMPLES = r"""
- name: Judge what was seen
  etrid.gizzi.fleet_report:
    about: verify
    fleet: "{{ __fleet }}"
  register: report
  run_once: true

- name: Show the results
  ansible.builtin.debug:
    msg: "{{ report.table }}"
  run_once: true
"""

RETURN = r"""
rows:
  description:
    - V(verify) has for each item of the checklist and each host that it concerns C(item), C(check), C(host), C(status)
      (V(PASS), V(FAIL) or V(SKIP)) and C(reason).
    - V(diagnose) has for each topic and each host C(topic), C(host), C(ok), C(found) and C(do), which is empty where
      there is nothing to do.
  returned: success
  type: list
  elements: dict
summary:
  description: C(passed), C(failed) and C(skipped) of V(verify), C(problems) of V(diagnose).
  returned: success
  type: dict
table:
  description: The same for people, with the path of the report as its last line.
  returned: success
  type: str
report:
  description: The path of the report.
  returned: success
  type: str
"""
