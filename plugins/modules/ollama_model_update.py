# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model_update
short_description: Update one model of an Ollama server, test it, and go back if it is worse
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Pulls the registry's model under a second name, loads it, tests it, and only then puts it into use. The old model
    stays in use if the new one does not answer, answers fewer prompts correctly or is too slow, or if the validator on
    the same host has problems.
  - The name that others use always stands for a tested model. A model that is not tested yet has the tag
    C(<tag>.gizzi-next), the model before an update that went well C(<tag>.gizzi-<UTC time>), and a model that was
    replaced by the previous one C(<tag>.gizzi-failed). For a long tag these names are shorter. A copy costs no disk
    while the model has the same layers.
  - All that is known about an unfinished update is in these tags. The next run finishes an
    interrupted run, at any point.
  - A model that generates no text, by its capabilities, is loaded and not asked.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details:
      - Says what would be done, with RV(bytes_missing). Loads and changes nothing.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The model, as C([[host/]namespace/]model[:tag]). Without a tag it is V(latest).
      - It is pulled under another name of the same host, so a model that the registry shows only to signed-in users
        cannot be updated.
    type: str
    required: true
  state:
    description:
      - V(latest), the model that the registry has for the tag, or O(digest).
      - V(previous), the newest previous model that differs from the one in use. It must load and answer. What it
        replaces is removed.
    type: str
    choices:
      - latest
      - previous
    default: latest
  until:
    description:
      - How far to go. V(checked) says what is to be done and whether the server is fit for it, and changes nothing.
        V(pulled) pulls the new model into the store, while the old one stays in use. V(settled) does the whole update.
      - Use V(pulled) for a batch of servers at once, and then V(settled) for one server after the other. Then the slow
        part runs on all of them at the same time, and only one server at a time is busy with a new model.
    type: str
    choices:
      - checked
      - pulled
      - settled
    default: settled
  digest:
    description: SHA-256 of the manifest that is wanted, in hex. Without it, the manifest for which the tag stands now.
    type: str
  derived:
    description: The models derived from it. They are made again from the new model, and must answer too.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The model's name.
        type: str
        required: true
      system:
        description: As for M(etrid.gizzi.ollama_derived_model).
        type: str
      template:
        description: As for M(etrid.gizzi.ollama_derived_model).
        type: str
      parameters:
        description: As for M(etrid.gizzi.ollama_derived_model).
        type: dict
      adapter:
        description: As for M(etrid.gizzi.ollama_derived_model).
        type: path
  registry:
    description: Base URL of the registry from which the model is pulled, as for M(etrid.gizzi.ollama_model).
    type: str
    default: https://registry.ollama.ai
  mirror:
    description:
      - Base URL of a mirror to pull from, as for M(etrid.gizzi.ollama_model). Needs O(models_dir), and O(manifest)
        or O(digest).
      - The registry is not asked then. What the tag stands for is O(manifest).
    type: str
  manifest:
    description:
      - The manifest that the registry names, of the return value C(manifest) of M(etrid.gizzi.ollama_registry_info).
    type: str
  mirror_fallback:
    description: Whether to pull from O(registry) where the mirror does not give the model.
    type: bool
    default: false
  models_dir:
    description:
      - The server's model store. With it the disk is checked before a pull, and at the end the layers are removed that
        no model of the server has, such as those of a pull that was given up. No other pull may run at the same time.
    type: path
  reserved_disk:
    description: Bytes of disk that must stay free.
    type: int
    default: 1000000000
  verify_blobs:
    description: Hash the model's blobs first, and pull damaged ones again. The weights are then loaded again too.
    type: bool
    default: false
  keep:
    description: How many previous models stay.
    type: int
    default: 1
  prompts:
    description:
      - The prompts that the old and the new model are asked, with temperature 0 and a fixed seed. The new one must
        answer at least as many of them well. Needed with O(state=latest).
      - Each has either O(prompts[].pattern) or O(prompts[].schema).
      - The results of a model are kept in C(/var/lib/gizzi-update), and used again as long as its manifest, the release
        of Ollama and the prompts are the same.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the prompt is called in results. Without it, the prompt itself.
        type: str
      prompt:
        description: The question.
        type: str
        required: true
      system:
        description: The system prompt, in place of the model's own.
        type: str
      pattern:
        description: A regular expression (Python's) that is found somewhere in a good answer.
        type: str
      schema:
        description:
          - A JSON schema that a good answer follows. The server gets it as C(format) and makes the model follow it as
            far as it can. JSON in a code block or with words around it is accepted if it is one object.
          - Of JSON Schema C(type), C(enum), C(properties), C(required), C(additionalProperties), C(items), C(pattern),
            C(minimum) and C(maximum) are understood; anything else is refused.
        type: dict
      tokens:
        description: The longest answer, in tokens.
        type: int
        default: 64
  prompt_timeout:
    description:
      - Seconds that one answer may take.
      - A server that gives no token in this time, while the process that computes uses processor time, is busy with
        other questions. That is not a bad answer. The prompt is asked again until the time for all prompts is over.
        Then the evaluation has failed, and none of its results is kept. The same happens when the processes cannot be
        seen.
    type: float
    default: 300
  minimum_speed:
    description: The part of the old model's speed that the new model must reach, from 0 (no speed is judged) to 1.
    type: float
    default: 0.7
  answer_timeout:
    description: Seconds in which a model must load and answer.
    type: float
    default: 300
  pull_timeout:
    description: Seconds that the pull may take, together with all retries.
    type: float
    default: 7200
  stall_timeout:
    description: Seconds without a new byte after which the pull is given up.
    type: float
    default: 90
  validator_metrics:
    description:
      - The metrics page of the validator beside the server, whose height must rise and which must keep half of its
        peers while the new model is loaded and tested. Empty means that no validator is watched.
    type: str
    default: ""
  validator_timeout:
    description: Seconds in which the validator's height must rise.
    type: float
    default: 60
  fail_on:
    description: With V(never) an update that failed is reported and the task succeeds.
    type: str
    choices:
      - bad
      - never
    default: bad
seealso:
  - module: etrid.gizzi.ollama_model
  - module: etrid.gizzi.ollama_health
"""

EXAMPLES = r"""
- name: Update the model from the registry, unless the new one is worse
  etrid.gizzi.ollama_model_update:
    name: llama3.1:8b
    models_dir: /var/lib/ollama/models
    prompts:
      - prompt: "A validator has 0 peers and its height does not rise. Is it healthy? Answer yes or no."
        pattern: (?i)^\W*no\b

- name: Pull it into the store, while the old one answers
  etrid.gizzi.ollama_model_update:
    name: llama3.1:8b
    until: pulled
    prompts: "{{ prompts }}"

- name: Go back
  etrid.gizzi.ollama_model_update:
    name: llama3.1:8b
    state: previous
"""

RETURN = r"""
model:
  description: The model's name as Ollama shows it, with its tag.
  returned: success
  type: str
  sample: llama3.1:8b
verdict:
  description:
    - V(current), there was nothing to do. V(planned), with O(until=checked) or in check mode, what would be done.
    - V(pulled), with O(until=pulled), it is in the store. V(updated), the newer model is in use. V(reloaded), the
      weights in memory were others than the store's. V(swept), only something that is not needed any more was removed.
    - V(rolled_back), with O(state=previous), the previous model is in use.
    - V(restored), the new model was not good, and the one before is in use. V(failed), and it could not go back, or the
      registry did not tell what it has. V(unhealthy), the server is not fit, and was not touched. V(refused), there is
      no previous model.
  returned: success
  type: str
  sample: updated
reason:
  description: Why.
  returned: success
  type: str
digest_before:
  description: SHA-256 of the model's manifest before the update, V(null) when there was no model.
  returned: success
  type: str
digest_after:
  description: SHA-256 of the manifest of the model in use after the run.
  returned: success
  type: str
digest_wanted:
  description: SHA-256 of the manifest that is wanted, V(null) when it is not known.
  returned: success
  type: str
bytes_pulled:
  description: Bytes that moved, by the server's progress lines.
  returned: success
  type: int
bytes_missing:
  description: Bytes that had to be pulled, with O(models_dir). V(null) where that was not looked at.
  returned: success
  type: int
speed_before:
  description: Tokens per second of the model before, V(null) where they are not known.
  returned: success
  type: float
speed_after:
  description: Tokens per second of the new model, V(null) where they are not known.
  returned: success
  type: float
pass_rate_before:
  description: The share of prompts that the model before answers well, from 0 to 1; V(null) where it was not measured.
  returned: success
  type: float
pass_rate_after:
  description: The share of prompts that the new model answers well, from 0 to 1; V(null) where it was not measured.
  returned: success
  type: float
derived:
  description: The result for each model derived from it.
  returned: success
  type: list
  elements: dict
  contains:
    model:
      description: Its name.
      type: str
    verdict:
      description: V(rebuilt) or V(current).
      type: str
    reason:
      description: What it is derived from.
      type: str
    digest_before:
      description: SHA-256 of its manifest before.
      type: str
    digest_after:
      description: SHA-256 of its manifest after.
      type: str
    speed_after:
      description: Tokens per second, V(null) where they are not known.
      type: float
kept:
  description: The previous models that are there after the run, newest first.
  returned: success
  type: list
  elements: str
removed:
  description: The names that were removed.
  returned: success
  type: list
  elements: str
freed:
  description: Bytes of disk that became free, of layers that no model has.
  returned: success
  type: int
seconds:
  description: Duration of the run.
  returned: success
  type: float
"""

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, server_of
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import DEFAULT_REGISTRY
from ansible_collections.etrid.gizzi.plugins.module_utils._update.alone import alone
from ansible_collections.etrid.gizzi.plugins.module_utils._update.machine import Update
from ansible_collections.etrid.gizzi.plugins.module_utils._update.wanted import BAD, wanted_update

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.wanted import Result

DERIVED = {
    "name": {"type": "str", "required": True},
    "system": {"type": "str"},
    "template": {"type": "str"},
    "parameters": {"type": "dict"},
    "adapter": {"type": "path"},
}
PROMPT = {
    "name": {"type": "str"},
    "prompt": {"type": "str", "required": True},
    "system": {"type": "str"},
    "pattern": {"type": "str"},
    "schema": {"type": "dict"},
    "tokens": {"type": "int", "default": 64, "no_log": False},
}
OPTIONS: dict[str, dict[str, Any]] = {
    **SERVER_OPTIONS,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["latest", "previous"], "default": "latest"},
    "until": {"type": "str", "choices": ["checked", "pulled", "settled"], "default": "settled"},
    "digest": {"type": "str"},
    "derived": {"type": "list", "elements": "dict", "default": [], "options": DERIVED},
    "registry": {"type": "str", "default": DEFAULT_REGISTRY},
    "mirror": {"type": "str"},
    "manifest": {"type": "str"},
    "mirror_fallback": {"type": "bool", "default": False},
    "models_dir": {"type": "path"},
    "reserved_disk": {"type": "int", "default": 1_000_000_000},
    "verify_blobs": {"type": "bool", "default": False},
    "keep": {"type": "int", "default": 1},
    "prompts": {"type": "list", "elements": "dict", "default": [], "options": PROMPT},
    "prompt_timeout": {"type": "float", "default": 300},
    "minimum_speed": {"type": "float", "default": 0.7},
    "answer_timeout": {"type": "float", "default": 300},
    "pull_timeout": {"type": "float", "default": 7200},
    "stall_timeout": {"type": "float", "default": 90},
    "validator_metrics": {"type": "str", "default": ""},
    "validator_timeout": {"type": "float", "default": 60},
    "fail_on": {"type": "str", "choices": ["bad", "never"], "default": "bad"},
}


def told(result: Result) -> dict[str, Any]:
    """Return what the module tells."""
    found = asdict(result)
    del found["warnings"]
    before = {"name": result.model, "digest": result.digest_before}
    return {**found, "diff": {"before": before, "after": {**before, "digest": result.digest_after}}}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        wanted = wanted_update(module.params, module.check_mode)
        update = Update(wanted, server_of(module.params))
        with nullcontext() if module.check_mode else alone(wanted.answer_timeout):
            result = update.run()
    except GizziError as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    if result.verdict in BAD and module.params["fail_on"] == "bad":
        module.fail_json(msg=f"{result.model} is {result.verdict}: {result.reason}", **told(result))
    module.exit_json(**told(result))


if __name__ == "__main__":
    main()
