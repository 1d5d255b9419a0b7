# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_look
short_description: Read from a host all that the checks of the deployment need
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Used by the playbooks C(etrid.gizzi.verify) and C(etrid.gizzi.diagnose). It runs the collection's read-only modules
    on the host, and does not fail when one of them fails. M(etrid.gizzi.fleet_report) judges what was seen.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  about:
    description: The playbook for which to look.
    type: str
    choices:
      - verify
      - diagnose
    required: true
  wanted:
    description: What the host should be, by the inventory. It decides what is looked at.
    type: dict
    required: true
  token_secret:
    description: >-
      The secret of role P(etrid.gizzi.gateway#role), from which the host's own token for gateways is derived.
    type: str
    default: ""
  ca:
    description: The certificate of the gateways' authority, in PEM form. Without it the host's own are trusted.
    type: str
    default: ""
  blobs:
    description: Whether V(verify) reads every model and compares it with its checksums.
    type: bool
    default: false
  answer_timeout:
    description: Seconds in which the host's server must have answered a question.
    type: float
    default: 300
seealso:
  - module: etrid.gizzi.fleet_report
  - module: etrid.gizzi.host_state
"""

EXAMPLES = r"""
- name: Look at the host
  etrid.gizzi.fleet_look:
    about: diagnose
    wanted: "{{ __fleet.hosts[inventory_hostname].wanted }}"
  register: look
  ignore_unreachable: true
"""

RETURN = r"""
seen:
  description: >-
    The result of each module that was run, by what it looked at. C(state) is that of M(etrid.gizzi.host_state), and the
    only one when the login or sudo failed.
  returned: success
  type: dict
"""
