# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_bundle_import
short_description: Add models from a file on the control host to an Ollama server's store
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Adds to the store on the managed host what is missing of the models in a file that M(etrid.gizzi.model_bundle) has
    made. The server may run during that. It is not asked.
  - The blobs come one after the other, in parts of 256 MiB. Each is hashed on the managed host before it is added to
    the store. Blobs of these models that are in the store already are hashed too. A model gets its name only when all
    its blobs are good. Files and folders get the owner of the store. Blobs of a replaced model are removed, unless
    another model has them.
  - Neither host needs memory for a whole blob. The managed host needs, besides the store, disk space for one part, in
    Ansible's folder for files of a task (C(remote_tmp)).
  - After an interrupted run, the next one sends the rest. Until all blobs are there, they are kept in root's folder
    C(.gizzi-incoming) in the store, because an Ollama that starts removes blobs that no model has. At the end the
    folder is removed.
  - It must run as root.
extends_documentation_fragment:
  - etrid.gizzi.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description: The file on the control host.
    type: path
    required: true
  offered:
    description: What M(etrid.gizzi.model_bundle_info) has returned as RV(etrid.gizzi.model_bundle_info#module:models).
    type: dict
    required: true
  models:
    description:
      - The models that the server is to have. All that are neither in the file nor in the store fail the task, before
        anything is sent.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The model, as C([[host/]namespace/]model[:tag]).
        type: str
        required: true
      state:
        description: V(present) does not change a model of this name that is there. V(latest) replaces it by the one in
          the file.
        type: str
        choices: [present, latest]
        default: present
      digest:
        description: SHA-256 that the model's manifest must have, in hex, with or without C(sha256:).
        type: str
  models_dir:
    description: The model store, on the managed host.
    type: path
    required: true
  reserved_disk:
    description: Bytes that must stay free on its disk.
    type: int
    default: 1000000000
  part:
    description: The part of a blob that a call on the managed host is to take. The action sets it.
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
      size:
        description: Bytes of the whole blob.
        type: int
        required: true
      path:
        description: The part's file on the managed host.
        type: path
        required: true
  finish:
    description:
      - Whether all blobs have come, so that a call on the managed host is to name the models. The action sets it.
    type: bool
    default: false
seealso:
  - module: etrid.gizzi.model_bundle
  - module: etrid.gizzi.model_bundle_info
"""

EXAMPLES = r"""
- name: Check the file
  etrid.gizzi.model_bundle_info:
    path: /srv/models.tar
    sha256: 3f786850e387550fdab836ed7e6dc881de23001b6a3b0d1f4f1f1f1f1f1f1f1f
  run_once: true
  register: bundle

- name: Have a model without a registry
  etrid.gizzi.model_bundle_import:
    path: /srv/models.tar
    offered: "{{ bundle.models }}"
    models:
      - name: llama3.1:8b
    models_dir: /var/lib/ollama/models
"""

RETURN = r"""
models:
  description: The models that were brought, or would be in check mode, as Ollama shows them.
  returned: success
  type: list
  elements: str
blobs:
  description: The blobs of which something was missing.
  returned: success
  type: list
  elements: dict
  contains:
    digest:
      description: The blob's name.
      type: str
    size:
      description: Its bytes.
      type: int
    there:
      description: How many of them a run before this one had brought.
      type: int
bytes:
  description: The bytes that were sent, or would be in check mode.
  returned: success
  type: int
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._blobs import blob_digest, take_away
from ansible_collections.etrid.gizzi.plugins.module_utils._bundled import (
    blobs_to_bring,
    models_to_bring,
    read_wanted,
    require_blobs,
    require_room,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._store_parts import Incoming

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "latest"], "default": "present"},
    "digest": {"type": "str"},
}
PART = {
    "digest": {"type": "str", "required": True},
    "start": {"type": "int", "required": True},
    "size": {"type": "int", "required": True},
    "path": {"type": "path", "required": True},
}
SPEC = {
    "path": {"type": "path", "required": True},
    "offered": {"type": "dict", "required": True},
    "models": {"type": "list", "elements": "dict", "required": True, "options": MODEL},
    "models_dir": {"type": "path", "required": True},
    "reserved_disk": {"type": "int", "default": 1000000000},
    "part": {"type": "dict", "options": PART},
    "finish": {"type": "bool", "default": False},
}


def looked(params: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """Return what the store lacks; raise GizziError where it cannot have it."""
    models = models_to_bring(store, read_wanted(params["models"], params["offered"]))
    incoming = Incoming(store.path)
    unfinished, good = incoming.there(), incoming.good()
    blobs: list[dict[str, Any]] = []
    for layer in blobs_to_bring(store, models.values()):
        if layer.digest not in good:
            there = (unfinished or {}).get(layer.digest, 0)
            blobs.append({"digest": layer.digest, "size": layer.size, "there": there if there <= layer.size else 0})
    size = sum(blob["size"] - blob["there"] for blob in blobs)
    if models:
        require_room(store, size, params["reserved_disk"])
    return {
        "changed": bool(models) or unfinished is not None,
        "models": sorted(str(name) for name in models),
        "blobs": blobs,
        "bytes": size,
    }


def finish(params: Mapping[str, Any], store: Store) -> None:
    """Name the models whose blobs have come, and leave nothing else behind; raise GizziError where that fails."""
    models = models_to_bring(store, read_wanted(params["models"], params["offered"]))
    incoming = Incoming(store.path)
    if models:
        incoming.take(digest for manifest in models.values() for digest in manifest.content)
    require_blobs(store, models)
    replaced = {digest for held in map(store.held, models) if held for digest in held.content}
    for name, manifest in models.items():
        incoming.name(name, manifest.text.encode())
    # As a pull does; else they would stay until the server starts anew.
    for digest in replaced.intersection(blob_digest(path.name) for path in store.orphans()):
        take_away(store.path, digest)
    incoming.clean()


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params = module.params
    store, part = Store(Path(params["models_dir"])), params["part"]
    try:
        if part:
            there = Incoming(store.path).append(part["digest"], part["start"], part["size"], Path(part["path"]))
            module.exit_json(changed=True, there=there)
        if params["finish"]:
            finish(params, store)
            module.exit_json(changed=True)
        module.exit_json(**looked(params, store))
    except GizziError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
