# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_info
short_description: Return the certificates that a host serves, and what gateways and mirrors answer to it
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Looks at the certificates of the host's own gateway (role P(etrid.gizzi.gateway#role)), as it serves them.
  - Asks gateways for the version of the Ollama behind them, with the host's token and without one, and for a pull that
    names no model.
  - Asks mirrors for the manifests of models.
  - Does not fail when one of them is wrong. M(etrid.gizzi.fleet_report) judges what was seen.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  ports:
    description: Ports at which the host itself serves TLS. They are asked on loopback.
    type: list
    elements: int
    default: []
  urls:
    description: Base URLs of gateways in front of an Ollama. They are asked for 10 seconds each, and never through a
      proxy.
    type: list
    elements: str
    default: []
  token:
    description: The host's token, which is shown to O(urls) alone.
    type: str
  ca:
    description: The certificate of the gateways' authority, in PEM form. Without it the host's own are trusted.
    type: str
  mirrors:
    description: Mirrors of a registry, as those of role P(etrid.gizzi.gateway#role), and models that they are to have.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: The mirror's base URL.
        type: str
        required: true
      models:
        description: Names of models.
        type: list
        elements: str
        required: true
seealso:
  - module: etrid.gizzi.fleet_look
  - module: etrid.gizzi.gateway_answers
"""

EXAMPLES = r"""
- name: How long does the certificate last?
  etrid.gizzi.gateway_info:
    ports:
      - 11443
    ca: "{{ authority }}"
  register: gateway
"""

RETURN = r"""
certificates:
  description: >-
    By port, as a text, what is wrong with its certificate (C(problem)), empty where it is of the authority and valid
    now. Only then are there the seconds C(left) until it expires, by the host's clock, and the C(addresses) that it is
    for.
  returned: success
  type: dict
  sample:
    "11443":
      problem: ""
      left: 31536000.0
      addresses:
        - 192.0.2.1
gateways:
  description: >-
    By URL, why the host's C(token) is refused, empty when it is accepted, and the HTTP statuses for the version without
    a token (C(stranger)) and for a pull (C(change)). Where there was no answer, a dictionary with the only key
    C(unseen), the reason.
  returned: success
  type: dict
  sample:
    https://192.0.2.1:11443:
      token: ""
      stranger: 401
      change: 403
mirrors:
  description: >-
    By URL and by name of a model, the C(digest) of its manifest (SHA-256 in hex), empty where the mirror does not give
    it, and then the C(problem). C(full) says that the mirror serves others at the moment and must be asked again.
  returned: success
  type: dict
  sample:
    http://192.0.2.1:11444:
      llama3.1:8b:
        digest: 46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e
        problem: ""
        full: false
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._access import check_access
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._gateway_look import certificate, given, let_through
from ansible_collections.etrid.gizzi.plugins.module_utils._http import check_base_url
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._state._seen import seen_or_why

SPEC = {
    "ports": {"type": "list", "elements": "int", "default": []},
    "urls": {"type": "list", "elements": "str", "default": []},
    "token": {"type": "str", "no_log": True},
    "ca": {"type": "str"},
    "mirrors": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "url": {"type": "str", "required": True},
            "models": {"type": "list", "elements": "str", "required": True},
        },
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params = module.params
    token, ca = params["token"] or "", params["ca"] or ""
    try:
        urls = [check_base_url(url, "urls") for url in params["urls"]]
        accesses = {url: check_access(url, token, ca) for url in urls}
        own = check_access("https:", "", ca)
        mirrors = {one["url"]: {name: parse_model_name(name) for name in one["models"]} for one in params["mirrors"]}
        registries = {url: registry_at(url, "mirrors") for url in mirrors}
    except GizziError as error:
        module.fail_json(msg=str(error))
    certificates = {str(port): certificate(port, own) for port in params["ports"]}
    gateways = {url: seen_or_why(let_through, url, access) for url, access in accesses.items()}
    module.exit_json(
        changed=False,
        certificates=certificates,
        gateways=gateways,
        mirrors={
            url: {text: given(registries[url], name) for text, name in names.items()} for url, names in mirrors.items()
        },
    )


if __name__ == "__main__":
    main()
