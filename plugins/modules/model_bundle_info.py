# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_bundle_info
short_description: Check a file with models, and return which models it has
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Runs on the control host alone, and asks no host and no registry.
  - Hashes the whole file, which M(etrid.gizzi.model_bundle) has made, and fails where it is not the one that was given.
  - Its result can be used instead of one of M(etrid.gizzi.ollama_registry_info).
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  path:
    description: The file on the control host.
    type: path
    required: true
  sha256:
    description: SHA-256 of the file in hex, with or without C(sha256:), as M(etrid.gizzi.model_bundle) has returned it.
    type: str
    required: true
  models:
    description: The models, as C([[host/]namespace/]model[:tag]). Without it, all that the file has.
    type: list
    elements: str
seealso:
  - module: etrid.gizzi.model_bundle
  - module: etrid.gizzi.model_bundle_import
"""

EXAMPLES = r"""
- name: What does the file name?
  etrid.gizzi.model_bundle_info:
    path: /srv/models.tar
    sha256: 3f786850e387550fdab836ed7e6dc881de23001b6a3b0d1f4f1f1f1f1f1f1f1f
  run_once: true
  register: bundle
"""

RETURN = r"""
models:
  description: What the file names for each model, as it was given. One that the file does not have is there too.
  returned: success
  type: dict
  contains:
    digest:
      description: SHA-256 of the manifest, V(null) where the file does not have the model.
      type: str
    digests:
      description: The digests under which servers may have this same manifest. Servers before 0.19 write it in another
        form.
      type: list
      elements: str
    layers:
      description: The digests of the config and then of the layers, in order, V(null) as above.
      type: list
      elements: str
    size:
      description: Bytes of all layers.
      type: int
    manifest:
      description: The manifest, byte for byte, V("") as above.
      type: str
    header:
      description:
        - What the weights say of themselves, C(token_bytes), the bytes of memory that one token of context takes, and
          C(context), the tokens that the model was trained for.
        - V(null) where they do not say it.
      type: dict
    header_error:
      description: Why there is no header, V("") where there is one.
      type: str
    error:
      description: That the file does not have the model, V("") where it has it.
      type: str
"""
