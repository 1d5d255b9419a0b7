# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: substrate_info
short_description: Return the block height and the peers of a Substrate node
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Reads a node's own metrics page. With O(above) it waits until the node has imported another block.
  - A value that is missing on the page is an error, never 0. So is a value that is there more than once, for instance
    on a page with the metrics of two chains.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  url:
    description: The metrics page, as the managed host reaches it. A node serves it on loopback unless told otherwise.
    type: str
    default: http://127.0.0.1:9615/metrics
  above:
    description: The height that must be exceeded.
    type: int
  timeout:
    description: Seconds in which O(above) must be exceeded.
    type: float
    default: 60
  request_timeout:
    description: Seconds to wait for one page.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Where is the validator?
  etrid.gizzi.substrate_info:
  register: before

- name: Does its height rise?
  etrid.gizzi.substrate_info:
    above: "{{ before.height }}"
"""

RETURN = r"""
height:
  description: The best block.
  returned: success
  type: int
finalized:
  description: The last finalized block.
  returned: success
  type: int
peers:
  description: The number of peers.
  returned: success
  type: int
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import check_base_url
from ansible_collections.etrid.gizzi.plugins.module_utils._node import read_above


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:9615/metrics"},
            "above": {"type": "int"},
            "timeout": {"type": "float", "default": 60},
            "request_timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        url = check_base_url(params["url"], "url")
        node = read_above(url, params["above"], params["timeout"], params["request_timeout"])
    except GizziError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **asdict(node))


if __name__ == "__main__":
    main()
