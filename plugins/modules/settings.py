# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settings
short_description: Check the variables of roles, and give them the types of their argument specifications
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Reads the variables that a role of this collection takes, on the control host. Types and defaults are those of the
    role's argument specification, also for text that C(-e name=value) gave.
  - Then, where the values are right, M(etrid.gizzi.host_state) looks at what the roles need of the host, in one call
    for all of them, and the host is judged by the values.
  - Warns of what Prometheus lacks for role C(gizzi_api). This does not fail here; the role fails when it is deployed.
  - A variable that begins as those of the collection do, and that no role or playbook has, is a problem too.
  - Lists all problems at once, each with its value and what to do, also those of rules between values.
  - Facts of a host are not used as variables here, also if C(inject_facts_as_vars) is on. Ansible's own facts, with
    names of C(ansible_), can be used in templates.
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
  role:
    description: The role, or V(fleet) for what the playbooks read from the inventory. Either this or O(roles).
    type: str
  roles:
    description: >-
      Several roles, which look at the host in one call. Where the host's Python is too old for the client, the result
      has the client as absent, with a warning; with O(role) that is a problem.
    type: list
    elements: str
  given:
    description: What the rules of O(role) compare the values with. The host is not looked at then.
    type: dict
notes:
  - The result is hidden in the output, since some of the values are secret.
"""

EXAMPLES = r"""
- name: Check the variables
  etrid.gizzi.settings:
    role: ollama
  register: __ollama

- name: Use them
  ansible.builtin.debug:
    msg: "{{ __ollama.version }} listens on {{ __ollama.listen }}"
"""

RETURN = r"""
_value:
  description:
    - Each variable by its name without the role's prefix (C(ollama_listen) is C(listen)), and what follows from them
      and from the host. With O(roles) these are in a dictionary for each role, by its name.
  returned: success
  type: raw
"""
