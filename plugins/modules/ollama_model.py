# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Pull, update or remove a model of an Ollama server
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Pulls, updates and removes models of an Ollama server, over its HTTP API.
  - Whether a model is current is decided by digests. One small request to the registry answers it; nothing is
    pulled to find out.
  - A pull fails when the server reports an error in mid-stream, when the stream ends before V(success), and when
    neither the bytes nor the status advance for O(stall_timeout). The message then says what the server has by now, as
    it may have gone on. Another run resumes the download.
  - Two models of the same config and layers are the same, however their manifests are written.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details:
      - Never pulls. It still asks the registry whether it has the model, and checks the disk. It does not ask
        O(mirror), which may get the model in the same run.
      - Servers before 0.19 store manifests re-serialised. When the change cannot be predicted because of that, as
        without O(models_dir), there is a warning.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The model, as C([[host/]namespace/]model[:tag]). Without a tag it is V(latest).
      - Ollama stores models with the tags C(local), C(cloud) and C(…-cloud) and never answers with them, so those are
        refused, except to remove them.
      - A name with a host is pulled from that host, whatever O(registry) says.
    type: str
    required: true
  state:
    description:
      - V(present) pulls the model when it is missing, and does nothing otherwise.
      - V(latest) also pulls when the registry holds another one under the same tag.
      - V(absent) deletes it.
    type: str
    choices:
      - present
      - latest
      - absent
    default: present
  digest:
    description:
      - SHA-256 that the model's manifest must have, in hex, with or without C(sha256:).
      - A model with this digest is not pulled again. Otherwise the registry must offer exactly this digest, or the task
        fails before anything is pulled.
    type: str
  registry:
    description:
      - Base URL of the registry from which the server pulls, as the server and the managed host reach it.
      - A model from another registry than the default is stored under its usual name.
    type: str
    default: https://registry.ollama.ai
  mirror:
    description:
      - Base URL of a mirror of the registry within the fleet, such as C(http://192.0.2.1:11444), from which the server
        pulls. It need not be trusted. A model from it must have the manifest O(manifest), and its blobs are hashed
        before the model gets its name. So it needs O(models_dir), and O(manifest) where something has to be pulled.
      - The registry is not asked then, except with O(mirror_fallback). When a mirror is full (status 429), the task
        waits for it, at most O(timeout).
      - Until it is hashed, the model has the mirror in its name. That name is removed also when the task fails. The
        next run removes one that an interrupted run has left.
    type: str
  manifest:
    description:
      - The whole manifest that the registry has for the model, as M(etrid.gizzi.ollama_registry_info) returns it.
      - From it follow the digests under which each version of Ollama stores the model, because those before 0.19 write
        the manifest in another form.
      - O(digest) can be given instead, if the mirror has the manifest byte for byte, as an Ollama since 0.19 has it.
      - With O(state=present) a model that is there is not changed, whatever its manifest is. V(latest) means this
        manifest.
    type: str
  mirror_fallback:
    description:
      - Whether to pull from O(registry) where the mirror does not give the model. The registry must still name
        O(manifest).
      - Off by default, because a mirror should prevent that every host pulls from the internet, and because some fleets
        cannot reach the internet.
    type: bool
    default: false
  models_dir:
    description:
      - The server's model store. When given, a pull is refused before its first byte unless the missing layers
        fit on the disk and O(reserved_disk) stays free.
      - Ollama never checks a blob again that is there. So the blobs of an interrupted or failed pull are hashed before
        they count, and damaged ones are removed and pulled again. These pulls are noted in
        C(/var/lib/gizzi-ollama-pulls), so the task must run as root.
      - A model of which the store lacks a blob is pulled again.
    type: path
  reserved_disk:
    description: Bytes that must stay free on the disk of O(models_dir) after a pull.
    type: int
    default: 1000000000
  verify_blobs:
    description:
      - Whether to hash all blobs of the model that is there, at idle priority, with O(state=present) and
        O(state=latest). Damaged ones are removed, and the model is pulled again. If its tag stands for a newer model at
        the registry now, the newer one is pulled, because Ollama cannot pull by digest.
      - Needs O(models_dir), on the host of the module.
    type: bool
    default: false
  stall_timeout:
    description:
      - Seconds without a new byte or a new status after which a pull fails. While the server verifies what it has
        pulled it reports nothing. During that time only O(timeout) counts.
      - Ollama itself tries a broken part for about 64 seconds before it names the reason. With less than that, the
        reason is lost.
    type: float
    default: 90
  timeout:
    description: Seconds after which a pull fails, even if it still moves bytes.
    type: float
    default: 7200
seealso:
  - module: etrid.gizzi.ollama_derived_model
  - module: etrid.gizzi.ollama_info
  - module: etrid.gizzi.ollama_health
"""

EXAMPLES = r"""
- name: Have a model
  etrid.gizzi.ollama_model:
    name: llama3.1:8b

- name: Update it
  etrid.gizzi.ollama_model:
    name: llama3.1:8b
    state: latest
    models_dir: /var/lib/ollama/models

- name: Accept nothing but this very model
  etrid.gizzi.ollama_model:
    name: mistral
    digest: 6577803aa9a036369e481d648a2baebb381ebc6e897f2bb9a766a2aa7bfbc1cf

- name: What does the registry name?
  etrid.gizzi.ollama_registry_info:
    models: [mistral]
  delegate_to: localhost
  run_once: true
  register: registry

- name: Pull just that from a mirror
  etrid.gizzi.ollama_model:
    name: mistral
    mirror: http://192.0.2.1:11444
    manifest: "{{ registry.models.mistral.manifest }}"
    models_dir: /var/lib/ollama/models

- name: Hash it, and pull again what is damaged
  etrid.gizzi.ollama_model:
    name: llama3.1:8b
    state: latest
    models_dir: /var/lib/ollama/models
    verify_blobs: true

- name: Remove a model
  etrid.gizzi.ollama_model:
    name: phi3:mini
    state: absent
"""

RETURN = r"""
model:
  description: The model's name as Ollama shows it, with its tag.
  returned: success
  type: str
  sample: llama3.1:8b
digest_before:
  description: SHA-256 of the manifest before the run, V(null) when the model was absent.
  returned: success
  type: str
digest_after:
  description: SHA-256 of the manifest after the run, V(null) when the model is absent. Predicted in check mode.
  returned: success
  type: str
pulled:
  description: Whether a pull ran. In check mode it never does.
  returned: success
  type: bool
bytes_pulled:
  description:
    - Bytes that moved, by the server's progress lines. What an earlier run had downloaded is not counted.
    - The server's first line about a layer comes some 60 ms into its download, and what moved before it is missing
      here.
  returned: success
  type: int
bytes_missing:
  description:
    - Bytes that a pull would still have to move, in check mode and with O(models_dir). V(null) otherwise.
  returned: success
  type: int
blobs:
  description:
    - What was found with O(verify_blobs), V(ok), V(damaged), or V(not checked) where the store is not on the host of
      the module, or a blob in it cannot be read. V(null) without O(verify_blobs).
  returned: success
  type: str
  sample: ok
damaged_blobs:
  description:
    - The blobs that were damaged or missing, of the model that was there or of an interrupted pull of it. They were, or
      in check mode would be, removed and, if the model needs them, pulled again.
  returned: success
  type: list
  elements: str
  sample: []
seconds:
  description: Duration of the run.
  returned: success
  type: float
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._fetch import read_mirror
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import (
    parse_model_name,
    parse_servable_name,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._model_state import Desired, Outcome, sync
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, server_of
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import (
    DEFAULT_REGISTRY,
    parse_digest,
    registry_at,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store


def desired_state(params: dict[str, Any]) -> Desired:
    """Read the options; raise GizziError with the value that is wrong, and what to write instead."""
    # What is to go may have a name under which it could never answer.
    name = (parse_model_name if params["state"] == "absent" else parse_servable_name)(params["name"])
    registry = registry_at(params["registry"])
    return Desired(
        name=name,
        state=params["state"],
        registry=registry.of(name),
        digest=parse_digest(params["digest"]) if params["digest"] else None,
        store=Store(Path(params["models_dir"])) if params["models_dir"] else None,
        reserved_disk=params["reserved_disk"],
        stall_timeout=params["stall_timeout"],
        timeout=params["timeout"],
        request_timeout=params["request_timeout"],
        verify_blobs=params["verify_blobs"],
        mirror=read_mirror(params, pulls=params["state"] != "absent"),
    )


def result_of(name: str, outcome: Outcome) -> dict[str, Any]:
    """Return what the module tells."""
    result = asdict(outcome)
    for key in ("warnings", "repaired", "swept"):
        del result[key]
    before: dict[str, Any] = {"name": name, "digest": outcome.digest_before}
    after = {"name": name, "digest": outcome.digest_after}
    if outcome.damaged_blobs:
        before["damaged_blobs"] = outcome.damaged_blobs
    return {**result, "changed": outcome.changed, "model": name, "diff": {"before": before, "after": after}}


OPTIONS = {
    **SERVER_OPTIONS,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "latest", "absent"], "default": "present"},
    "digest": {"type": "str"},
    "registry": {"type": "str", "default": DEFAULT_REGISTRY},
    "mirror": {"type": "str"},
    "manifest": {"type": "str"},
    "mirror_fallback": {"type": "bool", "default": False},
    "models_dir": {"type": "path"},
    "reserved_disk": {"type": "int", "default": 1_000_000_000},
    "verify_blobs": {"type": "bool", "default": False},
    "stall_timeout": {"type": "float", "default": 90},
    "timeout": {"type": "float", "default": 7200},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    started = time.monotonic()
    try:
        desired = desired_state(module.params)
        outcome = sync(desired, server_of(module.params), module.check_mode)
    except GizziError as error:
        module.fail_json(msg=str(error))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(seconds=round(time.monotonic() - started, 3), **result_of(str(desired.name), outcome))


if __name__ == "__main__":
    main()
