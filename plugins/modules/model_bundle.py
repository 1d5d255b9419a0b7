# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_bundle
short_description: Write models of an Ollama server into one file on the control host
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Writes models out of the store on the managed host, with their manifests and digests, into a tar on the control
    host, for M(etrid.gizzi.model_bundle_import) and hosts that reach no registry. Weights do not compress.
  - The blobs come one after the other, in parts of 256 MiB, and are hashed on the control host. A damaged one fails the
    task. Neither host needs memory for a whole blob. The managed host needs disk space for one part, in Ansible's
    folder for files of a task (C(remote_tmp)).
  - The file is replaced in one moment, at the end. The same models make the same file, byte for byte.
  - It must run as root where only root and Ollama can read the store.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
    details:
      - Reads no blob.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A file that is there, names the same models and has good blobs is left alone.
options:
  path:
    description: The file on the control host, by its whole path. Another file that is there is not replaced.
    type: path
    required: true
  models_dir:
    description: The model store, on the managed host.
    type: path
    required: true
  models:
    description: The models, as C([[host/]namespace/]model[:tag]). The store must have all of them.
    type: list
    elements: str
    required: true
  part:
    description: The part of a blob that a call on the managed host is to write. The action sets it.
    type: dict
    suboptions:
      digest:
        description: The blob.
        type: str
        required: true
      start:
        description: The part's first byte.
        type: int
        required: true
      path:
        description: The part's file on the managed host.
        type: path
        required: true
seealso:
  - module: etrid.gizzi.model_bundle_info
  - module: etrid.gizzi.model_bundle_import
"""

EXAMPLES = r"""
- name: Take a model along
  etrid.gizzi.model_bundle:
    path: /srv/models.tar
    models_dir: /var/lib/ollama/models
    models:
      - llama3.1:8b
"""

RETURN = r"""
sha256:
  description: SHA-256 of the file in hex, V(null) in check mode where the file is to be made.
  returned: success
  type: str
size:
  description: Bytes of the file. In check mode they are the bytes of its content.
  returned: success
  type: int
models:
  description: The names of the models in it, as Ollama shows them.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._bundled import given
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._store_parts import write_part

PART = {
    "digest": {"type": "str", "required": True},
    "start": {"type": "int", "required": True},
    "path": {"type": "path", "required": True},
}
SPEC = {
    "path": {"type": "path", "required": True},
    "models_dir": {"type": "path", "required": True},
    "models": {"type": "list", "elements": "str", "required": True},
    "part": {"type": "dict", "options": PART},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    store = Path(module.params["models_dir"])
    part = module.params["part"]
    try:
        if part:
            write_part(store, part["digest"], part["start"], Path(part["path"]))
            module.exit_json(changed=False)
        if not module.params["models"]:
            raise GizziError("models: it is empty. Name what is to be written.")
        module.exit_json(changed=False, models=given(Store(store), module.params["models"]))
    except GizziError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
