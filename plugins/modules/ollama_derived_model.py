# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_derived_model
short_description: Make a derived model on an Ollama server
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - A derived model is made from another one, its base, with a system prompt, parameters, a template or an adapter. It
    has a name of its own and shares the weights of its base, so it costs no disk.
  - Whether there is anything to do is decided by content. The server is asked what both models consist of, and the
    model is made again only when its definition or the base has changed, for instance by an update.
  - It fails when the server reports an error in mid-stream, or when the stream ends before V(success). The model that
    was there before then stays.
  - A model that is not wanted any more is removed with M(etrid.gizzi.ollama_model), as any other.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details:
      - Makes and sends nothing. RV(digest_after) of a model that would be made again is V(null), because only the
        server knows it.
      - A base that is not there is only a warning, because an earlier task may pull it in a real run.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The derived model, as C([namespace/]model[:tag]). Without a tag it is V(latest).
      - With the tags C(local), C(cloud) and C(…-cloud) it would never answer, so those are refused.
    type: str
    required: true
  from:
    description:
      - The model to make it from. The server must have it. M(etrid.gizzi.ollama_model) pulls models.
      - It must be one of GGUF weights, as all models for CPUs are.
    type: str
    required: true
  system:
    description:
      - The system prompt. Empty keeps that of the base, which Ollama can replace but not remove.
    type: str
    default: ""
  template:
    description:
      - The prompt template, in Ollama's Go syntax. Empty leaves that of the base.
      - Ansible uses double braces too, so tag the text with C(!unsafe) in YAML.
      - Since 0.30 the server may use a template in the weights instead of this one.
    type: str
    default: ""
  parameters:
    description:
      - Parameters of the model such as C(temperature), C(num_ctx) and C(stop). What is not named, or is V(null), stays
        as in the base.
      - C(stop) is a text or a list of texts; all others are numbers, V(true) or V(false).
      - Ollama stores and ignores a name that it does not know, and cuts a C(num_ctx) to what the base was trained for,
        both in silence. So both are refused; where the server does not tell what the base was trained for, there is a
        warning.
      - C(num_thread) is refused since Ollama 0.30, because the server would load the weights again at each switch
        between this model and its base. There, the server's environment sets the threads. A C(num_thread) that an
        earlier run has put into the model is removed. Before 0.30 it must not be above the CPU quota of the server;
        that would be about 45 times slower.
    type: dict
    default: {}
  adapter:
    description:
      - Path, on the managed host, of a LoRA adapter in GGUF format.
      - Ollama since 0.34.1 makes no models with adapters any more, and refuses. Merge the adapter into the weights
        instead.
    type: path
  timeout:
    description: Seconds for which the server may be silent while it makes the model or receives the adapter.
    type: float
    default: 600
seealso:
  - module: etrid.gizzi.ollama_model
  - module: etrid.gizzi.ollama_info
"""

EXAMPLES = r"""
- name: Have the base
  etrid.gizzi.ollama_model:
    name: llama3.1:8b
    state: latest

- name: Make the fleet's own model from it
  etrid.gizzi.ollama_derived_model:
    name: etrid-validator
    from: llama3.1:8b
    system: You help to operate a Substrate validator. Say when you do not know.
    parameters:
      temperature: 0
      num_ctx: 4096

- name: Make one with a template of its own
  etrid.gizzi.ollama_derived_model:
    name: bare
    from: llama3.1:8b
    template: !unsafe "{{ .Prompt }}"

- name: Remove it again
  etrid.gizzi.ollama_model:
    name: etrid-validator
    state: absent
"""

RETURN = r"""
model:
  description: The model's name as Ollama shows it, with its tag.
  returned: success
  type: str
  sample: etrid-validator:latest
digest_before:
  description: SHA-256 of the manifest before the run, V(null) when the model was absent.
  returned: success
  type: str
digest_after:
  description:
    - SHA-256 of the manifest after the run. In check mode V(null) when the model would be made again.
  returned: success
  type: str
base:
  description: The base's name, with its tag.
  returned: success
  type: str
  sample: llama3.1:8b
base_digest:
  description: SHA-256 of the base's manifest, V(null) in check mode when the server does not have the base.
  returned: success
  type: str
reasons:
  description:
    - Why the model was, or in check mode would be, made again. Empty when it is as wanted.
    - V(missing) when there was none, V(base) when the base is not there yet to compare with, else in what it differed
      from its definition and its base, V(weights), V(adapter), V(template), V(system), V(parameters), V(messages),
      V(license), V(renderer) and V(parser).
  returned: success
  type: list
  elements: str
  sample: [weights]
seconds:
  description: Duration of the run.
  returned: success
  type: float
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._derived import Definition, wanted_parameters
from ansible_collections.etrid.gizzi.plugins.module_utils._derived_state import Desired, Outcome, read_adapter, sync
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import DEFAULT_HOST, parse_servable_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, server_of


def desired_state(params: dict[str, Any]) -> Desired:
    name, base = parse_servable_name(params["name"]), parse_servable_name(params["from"])
    if name.host.lower() != DEFAULT_HOST:
        raise GizziError(f"name: {params['name']!r} names a registry, but the model is made on the server itself.")
    if name.same_as(base):
        raise GizziError(f"from: {name} cannot be made from itself.")
    adapter = read_adapter(Path(params["adapter"])) if params["adapter"] else None
    definition = Definition(
        template=params["template"],
        system=params["system"],
        parameters=wanted_parameters(params["parameters"]),
        adapter=adapter.digest if adapter else "",
    )
    return Desired(name, base, definition, adapter, params["timeout"])


OPTIONS = {
    **SERVER_OPTIONS,
    "name": {"type": "str", "required": True},
    "from": {"type": "str", "required": True},
    "system": {"type": "str", "default": ""},
    "template": {"type": "str", "default": ""},
    "parameters": {"type": "dict", "default": {}},
    "adapter": {"type": "path"},
    "timeout": {"type": "float", "default": 600},
}


def told(desired: Desired, outcome: Outcome) -> dict[str, Any]:
    """Return what the module tells."""
    name = str(desired.name)
    return {
        "changed": outcome.changed,
        "model": name,
        "digest_before": outcome.digest_before,
        "digest_after": outcome.digest_after,
        "base": str(desired.base),
        "base_digest": outcome.base_digest,
        "reasons": outcome.reasons,
        "diff": {
            "before": {"name": name, "digest": outcome.digest_before, **outcome.before},
            "after": {"name": name, "digest": outcome.digest_after, **outcome.after},
        },
    }


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    started = time.monotonic()
    try:
        desired = desired_state(module.params)
        server = server_of(module.params)
        outcome = sync(desired, server, module.check_mode)
    except GizziError as error:
        module.fail_json(msg=str(error))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(seconds=round(time.monotonic() - started, 3), **told(desired, outcome))


if __name__ == "__main__":
    main()
