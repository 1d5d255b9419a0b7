# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_certificates
short_description: Make and renew the fleet's own authority for TLS, and the certificates of its gateways
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Runs on the control host alone, and asks no host. What it makes stays in a folder there, and is returned for the
    tasks that bring it to the hosts.
  - The authority lasts ten years. Its certificate is made again with the same key, more than a year before its end,
    so that clients need no change.
  - A host's certificate lasts a year, and has the addresses and names that were given, and no others. It is made again,
    with a new key, when less than 60 days are left, when its addresses or names have changed, when the authority has
    changed, or when it does not fit its key.
  - The files of hosts that are not in O(hosts) are removed. A file with a name in C(.pem) or C(.key) that is broken or
    was not made here ends the run with its name, before anything is written. Other files are left alone.
  - Each file is replaced atomically. Only one run at a time can use the folder. The next run finishes an interrupted
    one.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
    details:
      - Writes nothing and returns what a run would make. Keys and certificates that are not there yet are made in
        memory, so that the tasks after it have values; the next run makes others.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  folder:
    description:
      - The folder on the control host, by its whole path. It is made with mode 0700 where it is missing.
      - It holds C(authority.pem), C(authority.key), a C(.pem) and a C(.key) for each host by its name, and a
        C(.gitignore), so that Git does not add the keys.
      - It must not be a link, must belong to the user who runs this, and no other user may have access to it.
    type: path
    required: true
  authority_key:
    description:
      - The authority's private key as PEM text, from Vault, instead of C(authority.key) in the folder.
      - C(authority.pem) in the folder must fit it. If there is none, it is made from the key.
    type: str
    default: ''
  hosts:
    description:
      - By the name of each host that shall have a certificate, the list of its addresses and names, as clients write
        them.
      - All hosts, also in a run for some of them, since the files of others are removed.
    type: dict
    required: true
notes:
  - The result is hidden in the output, since the keys are secret. With C(-v) the output tells which certificates are
    new, and why.
seealso:
  - module: etrid.gizzi.settings
"""

EXAMPLES = r"""
- name: Keep the gateways' certificates
  etrid.gizzi.gateway_certificates:
    folder: "{{ inventory_dir }}/gateway"
    hosts:
      gizzi: [192.0.2.1, "2001:db8::1", gizzi.example.org]
  register: __certificates
  run_once: true
"""

RETURN = r"""
authority:
  description: The authority's certificate as PEM text, which clients trust for the gateways. It is public.
  returned: success
  type: str
certificates:
  description: For each host its RV(certificates.certificate), as PEM text, and its private RV(certificates.key).
  returned: success
  type: dict
  contains:
    certificate:
      description: The certificate as PEM text. It is signed by the authority itself, so there is nothing between them.
      returned: success
      type: str
    key:
      description: The private key as PEM text, which is secret.
      returned: success
      type: str
expires:
  description: For each host the seconds until its certificate ends.
  returned: success
  type: dict
"""
