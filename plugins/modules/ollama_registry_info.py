# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_registry_info
short_description: Return which models a registry has
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Asks a registry for the manifest of each model, with one small request for each, and with O(headers) for the first
    megabyte of its weights.
extends_documentation_fragment:
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
options:
  models:
    description: The models, as C([[host/]namespace/]model[:tag]). One with a host is asked for there.
    type: list
    elements: str
    required: true
  registry:
    description: Base URL of the registry.
    type: str
    default: https://registry.ollama.ai
  headers:
    description:
      - Whether to return what the header of each model's weights says about its memory.
        O(etrid.gizzi.host_capacity#module:offered) needs that.
      - The headers of C(llama3.1:8b), C(phi3:mini), C(mistral) and C(llama3.1:70b) are built in.
    type: bool
    default: false
  request_timeout:
    description: Seconds to wait for the answer to one request. A header gets this time for each megabyte.
    type: float
    default: 10
seealso:
  - module: etrid.gizzi.ollama_model
  - module: etrid.gizzi.host_capacity
"""

EXAMPLES = r"""
- name: What would a pull bring?
  etrid.gizzi.ollama_registry_info:
    models:
      - llama3.1:8b
      - phi3:mini
  delegate_to: localhost
  run_once: true
  register: registry
"""

RETURN = r"""
models:
  description: What the registry has for each name, as the name was given.
  returned: success
  type: dict
  sample:
    llama3.1:8b:
      digest: 46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e
      digests:
        - 46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e
      layers:
        - sha256:455f34728c9b5dd3376378bfb809ee166c145b0b4c1f1a6feca069055066ef9a
        - sha256:667b0c1932bc6ffc593ed1d03f895bf2dc8dc6df21db3042284a6f4416b06a29
      size: 4920753328
      manifest: '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json", …}'
      error: ""
  contains:
    digest:
      description: SHA-256 of the manifest, V(null) when it could not be read.
      type: str
    digests:
      description: The digests under which servers may have this same manifest. Servers before 0.19 write it in another
        form.
      type: list
      elements: str
    layers:
      description:
        - The digests of the config and then of the layers, in order, V(null) when the manifest could not be read.
        - Two models with equal digests here are the same, however their manifests are written.
      type: list
      elements: str
    size:
      description: Bytes of all layers.
      type: int
    manifest:
      description:
        - The manifest as the registry has sent it, V("") when it could not be read.
        - Give it to O(etrid.gizzi.ollama_model#module:manifest), so that a pull from a mirror can bring only this
          model.
      type: str
    error:
      description: Why the manifest could not be read, V("") when it was.
      type: str
    header:
      description: What the header of the weights says, V(null) when it could not be read. Only with O(headers).
      type: dict
      contains:
        token_bytes:
          description: Bytes of memory that one token of context takes.
          type: int
        context:
          description: Tokens that the model was trained for, V(null) when the header does not say.
          type: int
    header_error:
      description: Why the header could not be read, V("") when it was. Only with O(headers).
      type: str
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._demand import header_at_registry
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._offered import (
    described,
    entry_of,
    entry_without,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import DEFAULT_REGISTRY, registry_at

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._registry import Manifest, Registry


def held(registry: Registry, name: ModelName, timeout: float, headers: bool) -> dict[str, Any]:
    try:
        manifest = registry.of(name).manifest(name, timeout)
    except GizziError as error:
        lacks_header = {"header": None, "header_error": str(error)} if headers else {}
        return {**entry_without(str(error)), **lacks_header}
    return {**entry_of(manifest), **(header_of(registry, name, manifest, timeout) if headers else {})}


def header_of(registry: Registry, name: ModelName, manifest: Manifest, timeout: float) -> dict[str, Any]:
    try:
        header = header_at_registry(name, manifest, registry, timeout)
    except GizziError as error:
        return {"header": None, "header_error": str(error)}
    return {"header": described(header), "header_error": ""}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "models": {"type": "list", "elements": "str", "required": True},
            "registry": {"type": "str", "default": DEFAULT_REGISTRY},
            "headers": {"type": "bool", "default": False},
            "request_timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        registry = registry_at(params["registry"])
        names = {text: parse_model_name(text) for text in params["models"]}
    except GizziError as error:
        module.fail_json(msg=str(error))
    timeout, headers = params["request_timeout"], params["headers"]
    models = {text: held(registry, name, timeout, headers) for text, name in names.items()}
    module.exit_json(changed=False, models=models)


if __name__ == "__main__":
    main()
