# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: open_rules
short_description: Remove firewall rules that let everybody reach a TCP port
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Removes rules such as C(iptables -I INPUT -p tcp --dport 11434 -j ACCEPT), which somebody has made by hand. Use
    M(etrid.gizzi.port_guard) to open the port to the addresses that need it.
  - It removes live rules of iptables and ip6tables in chain C(INPUT), the same lines in C(/etc/iptables/rules.v4) and
    C(/etc/iptables/rules.v6), which C(netfilter-persistent) loads at boot, and rules such as C(ufw allow 11434/tcp) or
    C(ufw allow 11434), for IPv4 and IPv6.
  - A rule is removed only when it accepts one of the ports, no other port, and from every address. It may have a
    comment, and it may be for new connections only.
  - A rule for a range or a list of ports, a rule of ufw that limits or logs, and one for a profile of an application
    stay. When they let everybody reach one of the ports, the task warns of them.
  - All other rules stay as they are. Among them are rules with a source, a destination or an interface, rules in other
    chains, tables of others in nftables, and the rules of this collection.
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
  ports:
    description:
      - The TCP ports, as a rule those of Ollama and of the Gizzi API.
      - The port by which the host is reached by SSH is refused.
    type: list
    elements: int
    required: true
  state:
    description: The rules are not there.
    type: str
    choices:
      - absent
    default: absent
notes:
  - Needs root. When iptables or nft cannot list its rules, the task fails and changes nothing.
  - The files are changed before the live rules. When the task is interrupted, the next run removes what is left.
"""

EXAMPLES = r"""
- name: Nobody reaches Ollama by a rule for everybody
  etrid.gizzi.open_rules:
    ports: [11434, 8080]
  register: open_rules

- name: Name the rules that are gone
  ansible.builtin.debug:
    msg: "{{ open_rules.rules | map(attribute='rule') | join('; ') }}"
"""

RETURN = r"""
rules:
  description: The rules that were removed, or would be in check mode. Each is here as often as it was there.
  returned: success
  type: list
  elements: dict
  contains:
    tool:
      description: V(iptables), V(ip6tables), V(ufw), or the path of the file.
      type: str
    port:
      description: The port that the rule opens.
      type: int
    rule:
      description: The rule as the tool or the file has it. For ufw, it is what follows C(ufw), once for IPv4 and IPv6.
      type: str
  sample:
    - tool: iptables
      port: 11434
      rule: -A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.host import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._guard.open_rules import remove
from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown

HOST = Host()
SPEC = {
    "ports": {"type": "list", "elements": "int", "required": True},
    "state": {"type": "str", "choices": ["absent"], "default": "absent"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = remove(HOST, module.params["ports"], module.check_mode)
    except (GizziError, OSError) as error:
        module.fail_json(msg=f"Rules that let everybody in: {error}")
    for rule in result.wider:
        module.warn(
            f"A rule that opens port {rule.port} to everybody is for more than that port, and stays: "
            f"{shown(str(rule))}. Remove it by hand where nobody needs it."
        )
    module.exit_json(
        changed=bool(result.rules),
        rules=[{"tool": rule.tool, "port": rule.port, "rule": shown(rule.rule)} for rule in result.rules],
        diff={"before": "".join(f"{shown(str(rule))}\n" for rule in result.rules), "after": ""},
    )


if __name__ == "__main__":
    main()
