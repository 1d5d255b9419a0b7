# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: substrate_info
short_description: Tell the height and the peers of a Substrate node
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Reads a node's own metrics page. With O(above) it waits until the node has imported another block.
  - What the page does not tell is an error, and never 0.
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

- name: Does it go on?
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

import re
import time
from dataclasses import asdict, dataclass

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import check_base_url, request

PAUSE = 1.0

# The names of a stock node, and those of Ëtrid's own document.
HEIGHTS = ("substrate_block_height{best}",)
FINALIZED = ("substrate_block_height{finalized}", "substrate_finalized_height")
PEERS = ("substrate_sub_libp2p_peers_count", "substrate_peers_count")

_SAMPLE = re.compile(r"(substrate_\w+)(?:\{(.*)\})? (\S+)(?: \d+)?")
_STATUS = re.compile(r'(?:^|,)\s*status="(\w+)"')


@dataclass(frozen=True)
class Node:
    height: int
    finalized: int
    peers: int


def parse_page(text: str) -> Node:
    samples: dict[str, int] = {}
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line.strip())
        if not match:
            continue
        name, labels, value = match.groups()
        status = _STATUS.search(labels or "")
        try:
            samples[f"{name}{{{status[1]}}}" if status else name] = int(float(value))
        except (ValueError, OverflowError):
            continue
    # A page without the label has one height alone.
    return Node(
        height=_first(samples, (*HEIGHTS, "substrate_block_height"), "the best block"),
        finalized=_first(samples, FINALIZED, "the finalized block"),
        peers=_first(samples, PEERS, "the number of peers"),
    )


def _first(samples: dict[str, int], names: tuple[str, ...], what: str) -> int:
    found = [samples[name] for name in names if name in samples]
    if not found:
        raise GizziError(f"The page does not tell {what}: it has none of {', '.join(names)}.")
    return found[0]


def read(url: str, timeout: float) -> Node:
    return parse_page(request("GET", url, timeout).body.decode("utf-8", "replace"))


def read_above(url: str, above: int | None, timeout: float, request_timeout: float) -> Node:
    deadline = time.monotonic() + timeout
    while True:
        node = read(url, request_timeout)
        if above is None or node.height > above:
            return node
        if time.monotonic() > deadline:
            raise GizziError(
                f"The node's height stays at {node.height}: for {timeout:g} s it was not above {above}. "
                f"It has {node.peers} peers."
            )
        time.sleep(PAUSE)


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
