# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_answers
short_description: Check that a gateway uses the configuration and certificate in its folder
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Waits until the gateway's own process listens on each address of its configuration, and serves its certificate
    there.
  - nginx reports success for a reload that did not work, for instance because another program has the port, and
    keeps its old configuration.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  folder:
    description: The folder with C(nginx.conf) and C(certificate.pem).
    type: path
    default: /etc/gizzi-gateway
  reloaded:
    description: Whether each worker that takes requests must have started after the last change in O(folder).
    type: bool
    default: false
  timeout:
    description: Seconds within which it must serve.
    type: float
    default: 30
  unit:
    description: The gateway's unit.
    type: str
    default: gizzi-gateway.service
notes:
  - Needs root, because only root sees which process holds a port.
"""

EXAMPLES = r"""
- name: The gateway has taken up its new certificate
  etrid.gizzi.gateway_answers:
    reloaded: true
"""

RETURN = r"""
reason:
  description: Why it does not serve. Empty when it does.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._gateway import Gateway


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "default": "/etc/gizzi-gateway"},
            "reloaded": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 30},
            "unit": {"type": "str", "default": "gizzi-gateway.service"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    reason = Gateway(asked["unit"], Path(asked["folder"])).wait(asked["reloaded"], asked["timeout"])
    if reason:
        module.fail_json(msg=reason, reason=reason)
    module.exit_json(changed=False, reason="")


if __name__ == "__main__":
    main()
