# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_host_keys
short_description: Return the SSH host keys of the fleet's hosts
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Used by the playbook C(etrid.gizzi.model_update_timer). It runs on the control host, asks no host, and reads the
    results of M(etrid.gizzi.host_state) that the playbook has registered.
  - An answer that is not a public key is left out, so that no host can write a line about another one.
  - Fails when no key is known for a host of the fleet.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  fleet:
    description: What M(etrid.gizzi.settings) returns for V(fleet), of which C(hosts) is used.
    type: dict
    required: true
seealso:
  - module: etrid.gizzi.host_state
"""

EXAMPLES = r"""
- name: Read the host's keys
  etrid.gizzi.host_state:
    ssh_host_keys: true
  register: __gizzi_keys

- name: Know all hosts
  etrid.gizzi.fleet_host_keys:
    fleet: "{{ __fleet }}"
  register: known
  run_once: true
"""

RETURN = r"""
lines:
  description: Lines of a C(known_hosts) file, by the addresses of the inventory.
  returned: success
  type: list
  elements: str
"""
