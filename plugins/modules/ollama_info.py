# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_info
short_description: Return the version and the models of an Ollama server
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Returns the version of an Ollama server, the models in its store and the ones in its memory.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
  - etrid.gizzi.attributes.actiongroup_ollama
options:
  models_dir:
    description:
      - The folder of the server's models, on the managed host. Then RV(models[].layers) tells what each consists of.
    type: path
seealso:
  - module: etrid.gizzi.ollama_health
  - module: etrid.gizzi.ollama_model
"""

EXAMPLES = r"""
- name: Ask the server on this host
  etrid.gizzi.ollama_info:
  register: server

- name: Show which models it holds
  ansible.builtin.debug:
    msg: "{{ server.models | map(attribute='name') }}"
"""

RETURN = r"""
version:
  description: The server's version.
  returned: success
  type: str
  sample: 0.34.2
models:
  description: The models in the store, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name, with its tag.
      type: str
      sample: llama3.1:8b
    digest:
      description: SHA-256 of the manifest, in hex.
      type: str
    size:
      description: Bytes of all layers.
      type: int
    family:
      description: The architecture, V("") when the server does not tell.
      type: str
      sample: llama
    parameter_size:
      description: The number of parameters, V("") when the server does not tell.
      type: str
      sample: 8.0B
    quantization_level:
      description: The format of the weights, V("") when the server does not tell.
      type: str
      sample: Q4_K_M
    loaded:
      description:
        - Whether its weights are in memory. That is, they are listed, under any name, and held by a process of the unit
          C(ollama.service) (C(llama-server), before Ollama 0.30 C(ollama runner)). A model and the models made from it
          share their weights.
        - V(null) where they are listed and that unit's processes cannot be seen, as with a server on another host. The
          server still lists a model whose process was killed.
      type: bool
    layers:
      description:
        - The digests of the config and then of the layers, in order. Equal layers are the same model, whatever its
          manifest's digest.
        - V(null) without O(models_dir), and where that folder does not have the model with all its layers, or cannot be
          read.
      type: list
      elements: str
loaded:
  description:
    - The models that the server lists as loaded, by the names that loaded them; RV(models[].loaded) tells which are in
      memory. Their digests are those of the weights that answer now. A pull does not change these.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name, with its tag.
      type: str
      sample: llama3.1:8b
    digest:
      description: SHA-256 of the manifest from which it was loaded, in hex.
      type: str
    size:
      description: Bytes of memory.
      type: int
    size_vram:
      description: The part of RV(loaded[].size) that is on a GPU.
      type: int
    expires_at:
      description: When the server will unload it if nobody asks again.
      type: str
      sample: "2026-11-22T21:35:00.123456789Z"
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, server_of
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store
from ansible_collections.etrid.gizzi.plugins.module_utils._weights import Memory

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model


def described(model: Model, memory: Memory, models_dir: str | None) -> dict[str, Any]:
    """Return a model with whether it is loaded, and with its layers where the store can be read."""
    return {**asdict(model), "loaded": memory.is_loaded(model), "layers": layers_of(model, models_dir)}


def layers_of(model: Model, models_dir: str | None) -> list[str] | None:
    """Return the content of a model in the store, None where that cannot be read."""
    if not models_dir:
        return None
    try:
        manifest = Store(Path(models_dir)).manifest(parse_model_name(model.name))
    except GizziError:
        return None
    return list(manifest.content) if manifest else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SERVER_OPTIONS,
            "models_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        server = server_of(module.params)
        version, memory = server.version(), Memory(server)
        memory.look()
        models = [
            described(model, memory, module.params["models_dir"])
            for model in sorted(memory.models, key=lambda model: model.name)
        ]
    except GizziError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        version=version,
        models=models,
        loaded=[asdict(model) for model in sorted(memory.entries, key=lambda model: model.name)],
    )


if __name__ == "__main__":
    main()
