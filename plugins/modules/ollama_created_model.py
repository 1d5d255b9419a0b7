# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_created_model
short_description: Make a model of an Ollama server from another one
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Lays a system prompt, parameters, a template or an adapter over a model that the server has, and keeps the result
    under a name of its own. The weights are shared, so it costs no disk.
  - Whether there is anything to do is decided by content. The server is asked what both models consist of, and the
    model is made anew when its definition has changed, or when the base has, for instance by an update. Nothing is
    marked or remembered, and nothing else makes it anew.
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
      - Makes and sends nothing. RV(digest_after) of a model that would be made anew is V(null), as the server alone
        knows it.
      - A base that is not there is no failure but a warning, since an earlier task may be going to pull it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The model to make, as C([namespace/]model[:tag]). Without a tag it is V(latest).
    type: str
    required: true
  from:
    description:
      - The model to make it from. The server must have it, since what is pulled is the business of
        M(etrid.gizzi.ollama_model).
      - It must be one of GGUF weights, as all models for CPUs are.
    type: str
    required: true
  system:
    description:
      - The system prompt. Empty leaves that of the base, which Ollama can replace but not take away.
    type: str
    default: ""
  template:
    description:
      - The prompt template, in Ollama's Go syntax. Empty leaves that of the base.
      - Its double braces are Ansible's too. Tag the text with C(!unsafe) in YAML.
      - Since 0.30 the server may prefer a template that the weights carry to this one.
    type: str
    default: ""
  parameters:
    description:
      - Parameters of the model such as C(temperature), C(num_ctx), C(num_thread) and C(stop). What is not named, or is
        V(null), stays as in the base.
      - C(stop) is a text or a list of texts; all others are numbers, V(true) or V(false).
      - C(num_thread) must not be above the CPU quota under which the server runs. It would be some 45 times slower.
    type: dict
    default: {}
  adapter:
    description:
      - Path, on the managed host, of a LoRA adapter in GGUF format.
      - Ollama since 0.34.1 makes no models with adapters any more, and refuses. Merge the adapter into the weights
        instead.
    type: path
  timeout:
    description: Seconds for which the server may be silent while it makes the model or takes the adapter in.
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
  etrid.gizzi.ollama_created_model:
    name: etrid-validator
    from: llama3.1:8b
    system: You help to operate a Substrate validator. Say when you do not know.
    parameters:
      temperature: 0
      num_ctx: 4096

- name: Make one with a template of its own
  etrid.gizzi.ollama_created_model:
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
    - SHA-256 of the manifest after the run. In check mode V(null) when the model would be made anew.
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
    - Why the model was, or in check mode would be, made anew. Empty when it is as wanted.
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

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._created import (
    Content,
    Definition,
    content_of,
    differing,
    wanted_parameters,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import DEFAULT_HOST, parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama, find_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

GGUF = b"GGUF"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Adapter:
    path: Path
    digest: str
    size: int


@dataclass(frozen=True)
class Desired:
    name: ModelName
    base: ModelName
    definition: Definition
    adapter: Adapter | None
    timeout: float


@dataclass(frozen=True)
class Outcome:
    changed: bool
    digest_before: str | None
    digest_after: str | None
    base_digest: str | None
    reasons: list[str]
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


def sync(desired: Desired, server: Ollama, check_mode: bool) -> Outcome:
    models = server.models()
    current, base = find_model(models, desired.name), find_model(models, desired.base)
    digest = current.digest if current else None
    if base is None:
        missing = f"{server.url} does not have {desired.base}, from which {desired.name} is to be made"
        if not check_mode:
            raise GizziError(f"{missing}. Pull it first, with etrid.gizzi.ollama_model.")
        warning = f"{missing}. A real run fails unless something pulls it first."
        return Outcome(True, digest, None, None, ["base"], warning=warning)

    wanted = desired.definition.over(base_content(server, desired.base))
    there = read_content(server, desired.name) if current else None
    parts = differing(wanted, there or Content())
    reasons = parts if there else ["missing"]
    before, after = shown(there, parts), shown(wanted, parts)
    if not reasons:
        return Outcome(False, digest, digest, base.digest, reasons, before, after)
    if check_mode:
        return Outcome(True, digest, None, base.digest, reasons, before, after)

    make(desired, server, digest)
    made = server.find(desired.name)
    made_digest = made.digest if made else None
    warning = verdict(desired.name, wanted, read_content(server, desired.name))
    return Outcome(made_digest != digest, digest, made_digest, base.digest, reasons, before, after, warning)


def base_content(server: Ollama, name: ModelName) -> Content:
    content = read_content(server, name)
    if content is None:
        raise GizziError(f"{server.url} lists {name} but cannot read it. Remove it, and pull it again.")
    if not content.weights:
        raise GizziError(f"{server.url} does not say which weights {name} has, as it does of models in GGUF format.")
    return content


def read_content(server: Ollama, name: ModelName) -> Content | None:
    answer = server.show(name)
    return None if answer is None else content_of(answer)


def make(desired: Desired, server: Ollama, before: str | None) -> None:
    adapter = desired.adapter
    try:
        if adapter and not server.has_blob(adapter.digest):
            with adapter.path.open("rb") as file:
                server.upload_blob(adapter.digest, file, adapter.size, desired.timeout)
        server.create(desired.name, {"from": str(desired.base), **desired.definition.payload()}, desired.timeout)
    except GizziError as error:
        kept = f"The model that was there before ({before[:12]}) is untouched" if before else "Nothing was made"
        raise GizziError(f"Making {desired.name} from {desired.base} failed: {error}. {kept}.") from error


def verdict(name: ModelName, wanted: Content, made: Content | None) -> str:
    """Some servers add to some models of their own accord, as a stop that their format needs."""
    parts = differing(wanted, made or Content())
    return f"{name} was made, but the server shows it with another {' and '.join(parts)} than asked." if parts else ""


def shown(content: Content | None, parts: Sequence[str]) -> dict[str, Any]:
    """The parts that differ, for a diff."""
    if content is None:
        return {}
    found = {part: getattr(content, part) for part in parts}
    if "parameters" in found:
        found["parameters"] = {
            key: value[0] if len(value) == 1 else list(value) for key, value in sorted(content.parameters.items())
        }
    return {part: list(value) if isinstance(value, tuple) else value for part, value in found.items()}


def read_adapter(path: Path) -> Adapter:
    try:
        with path.open("rb") as file:
            digest, size, start = hashlib.sha256(), 0, b""
            for chunk in iter(lambda: file.read(CHUNK), b""):
                start = start or chunk[: len(GGUF)]
                size += len(chunk)
                digest.update(chunk)
    except OSError as error:
        raise GizziError(f"adapter: {path} cannot be read: {error.strerror}.") from error
    if start != GGUF:
        raise GizziError(f"adapter: {path} is not in GGUF format.")
    return Adapter(path, digest.hexdigest(), size)


def desired_state(params: dict[str, Any]) -> Desired:
    name, base = parse_model_name(params["name"]), parse_model_name(params["from"])
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "name": {"type": "str", "required": True},
            "from": {"type": "str", "required": True},
            "system": {"type": "str", "default": ""},
            "template": {"type": "str", "default": ""},
            "parameters": {"type": "dict", "default": {}},
            "adapter": {"type": "path"},
            "timeout": {"type": "float", "default": 600},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    try:
        desired = desired_state(module.params)
        server = Ollama(module.params["url"], module.params["request_timeout"])
        outcome = sync(desired, server, module.check_mode)
    except GizziError as error:
        module.fail_json(msg=str(error))
    if outcome.warning:
        module.warn(outcome.warning)
    name = str(desired.name)
    module.exit_json(
        changed=outcome.changed,
        model=name,
        digest_before=outcome.digest_before,
        digest_after=outcome.digest_after,
        base=str(desired.base),
        base_digest=outcome.base_digest,
        reasons=outcome.reasons,
        seconds=round(time.monotonic() - started, 3),
        diff={
            "before": {"name": name, "digest": outcome.digest_before, **outcome.before},
            "after": {"name": name, "digest": outcome.digest_after, **outcome.after},
        },
    )


if __name__ == "__main__":
    main()
