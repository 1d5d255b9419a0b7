# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: port_guard
short_description: Open one TCP port only to the addresses that are named
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Drops packets of all other addresses to a TCP port, over IPv4 and IPv6, in its own nftables table C(gizzi-NAME) that
    comes before every other filter. No other rule can open the port, and C(iptables -F) does not remove the guard.
  - Lets the sources and the host itself in where the host's own firewall would refuse them. Where ufw is active and its
    rules are reached, by ufw rules with the comment C(gizzi NAME); elsewhere by a chain C(GIZZI-NAME) in iptables and
    ip6tables, at the top of C(INPUT). The rules that are active now decide.
  - Restores the rules at boot, after everything that loads other rules and before the network, and within 2 seconds
    when somebody flushes them. For that it writes C(/usr/local/sbin/gizzi-guard), C(/etc/gizzi-guard),
    C(gizzi-guard-NAME.service) and C(gizzi-guards.service).
  - One host can have several guards with different names. Rules of others are never changed.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Name of the guard, as a rule the service's. From 1 to 16 of C(a-z), C(0-9) and C(-), with no C(-) at either end.
    type: str
    required: true
  state:
    description: Whether the port is guarded, or nothing of the guard is left.
    type: str
    choices:
      - present
      - absent
    default: present
  port:
    description:
      - The TCP port. Required with O(state=present), not used with V(absent).
      - The port by which the host is reached by SSH is refused.
    type: int
  sources:
    description:
      - Who may connect, as IPv4 and IPv6 addresses and CIDR networks. With an empty list only the host itself may.
      - Host names are refused, and so are networks wider than C(/8) of IPv4 or C(/7) of IPv6.
    type: list
    elements: str
    default: []
  units:
    description: systemd units that must not run without the guard. They start after the guard, and not at all if it
      fails.
    type: list
    elements: str
    default: []
notes:
  - Needs root, systemd and the package C(nftables). Without the package the task fails with RV(missing_package), and in
    check mode it tells the change that it would make.
  - A filter of others in nftables that refuses the sources gets no rule from this module; the task warns about it.
"""

EXAMPLES = r"""
- name: Let two hosts use Ollama
  etrid.gizzi.port_guard:
    name: ollama
    port: 11434
    sources: [192.0.2.10, "2001:db8::10"]
    units: [ollama.service]
  register: guard

- name: Put back what was there before
  etrid.gizzi.port_guard:
    name: ollama
    state: "{{ guard.previous.state }}"
    port: "{{ guard.previous.port }}"
    sources: "{{ guard.previous.sources }}"
    units: "{{ guard.previous.units }}"
"""

RETURN = r"""
previous:
  description: The guard that was there before, as options of this module.
  returned: success
  type: dict
  contains:
    state:
      description: V(absent) where there was none.
      type: str
    port:
      description: Its port, V(null) where there was none.
      type: int
    sources:
      description: Its sources.
      type: list
      elements: str
    units:
      description: Its units.
      type: list
      elements: str
steps:
  description: What was done, or would be in check mode. Empty when nothing has to change.
  returned: success
  type: list
  elements: str
missing_package:
  description: The package that has to be installed first, V("") when there is none.
  returned: always
  type: str
  sample: nftables
"""

import sys
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.change import change
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.host import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import name_problems, parse_guard

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._guard.change import Result

HOST = Host()
SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "port": {"type": "int"},
    "sources": {"type": "list", "elements": "str", "default": []},
    "units": {"type": "list", "elements": "str", "default": []},
}


def run(module: AnsibleModule) -> Result:
    """Bring the guard to what the options say; GizziError when it cannot be."""
    name, state, *values = (module.params[option] for option in SPEC)
    if state == "present":
        return change(HOST, name, parse_guard(name, *values), sys.executable, module.check_mode)
    if name_problems(name):
        raise GizziError("; ".join(name_problems(name)))
    return change(HOST, name, None, sys.executable, module.check_mode)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, required_if=[("state", "present", ["port"])], supports_check_mode=True)
    try:
        result = run(module)
    except (GizziError, OSError) as error:
        module.fail_json(msg=f"Guard {module.params['name']}: {error}", missing_package="")
    package = result.missing_package
    if package and not module.check_mode:
        module.fail_json(msg=f"The package {package} has to be installed first.", missing_package=package)
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(
        changed=bool(result.steps),
        previous=result.previous,
        steps=result.steps,
        missing_package=package,
        diff={"before": result.before, "after": result.after},
    )


if __name__ == "__main__":
    main()
