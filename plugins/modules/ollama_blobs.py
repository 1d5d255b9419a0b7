# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_blobs
short_description: Check the blobs of Ollama's models against the checksums in their names
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Ollama never checks a blob again after the download. This module computes the checksums of the blobs of models in
    a store on the managed host, each once, and changes nothing.
  - It reads at idle priority, so that other programs on the host get the disk and the processors first, and keeps
    nothing of what it read in the page cache. About 5 GB take half a minute on a fast disk that nothing else uses.
  - M(etrid.gizzi.ollama_model) with O(etrid.gizzi.ollama_model#module:verify_blobs) pulls damaged blobs again.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  models_dir:
    description: The model store, on the managed host.
    type: path
    required: true
  models:
    description: The models, as C([[host/]namespace/]model[:tag]). Without it, all that the store has.
    type: list
    elements: str
  fail_on:
    description:
      - V(damaged) fails when a blob is damaged or missing; what could not be checked is reported and is no failure.
      - V(never) only reports.
    type: str
    choices:
      - damaged
      - never
    default: damaged
seealso:
  - module: etrid.gizzi.ollama_model
"""

EXAMPLES = r"""
- name: Are the models what they were when they were pulled?
  etrid.gizzi.ollama_blobs:
    models_dir: /var/lib/ollama/models

- name: Look at one of them, and go on
  etrid.gizzi.ollama_blobs:
    models_dir: /var/lib/ollama/models
    models:
      - llama3.1:8b
    fail_on: never
  register: hashed
"""

RETURN = r"""
blobs:
  description: What was found, one result for each blob, and one for each model whose list of blobs could not be read.
  returned: always
  type: list
  elements: dict
  contains:
    digest:
      description: The blob's name, V(null) where the model's manifest could not be read.
      type: str
      sample: sha256:667b0c1932bc6ffc593ed1d03f895bf2dc8dc6df21db3042284a6f4416b06a29
    size:
      description: Its bytes on the disk.
      type: int
    models:
      description: The models that need it, as Ollama shows their names.
      type: list
      elements: str
    status:
      description:
        - V(ok), V(damaged) when its content does not fit its name, V(missing), or V(not_checked) where it cannot be
          read, as with a store on another host.
      type: str
    message:
      description: What is wrong, with model and blob, V("") for V(ok).
      type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import DAMAGED, MISSING, check_store
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "models_dir": {"type": "path", "required": True},
            "models": {"type": "list", "elements": "str"},
            "fail_on": {"type": "str", "choices": ["damaged", "never"], "default": "damaged"},
        },
        supports_check_mode=True,
    )
    names = module.params["models"]
    try:
        wanted = None if names is None else [parse_model_name(name) for name in names]
    except GizziError as error:
        module.fail_json(msg=f"models: {error}", blobs=[])
    blobs = check_store(Store(Path(module.params["models_dir"])), wanted)
    bad = [blob["message"] for blob in blobs if blob["status"] in (DAMAGED, MISSING)]
    if bad and module.params["fail_on"] == "damaged":
        remedy = "Pull them anew with etrid.gizzi.ollama_model, state=latest and verify_blobs=true."
        module.fail_json(msg=f"{'; '.join(bad)}. {remedy}", blobs=blobs)
    module.exit_json(changed=False, blobs=blobs)


if __name__ == "__main__":
    main()
