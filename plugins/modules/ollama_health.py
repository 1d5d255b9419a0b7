# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_health
short_description: Check layer by layer that an Ollama server works
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Checks a server in layers, each of which needs the one before. V(reachable), something speaks HTTP at O(url).
    V(version), it is Ollama, and at least O(min_version). V(present), O(model) is in its store, with O(digest).
    V(loads), the model comes into memory. V(answers), it answers O(prompt). V(speed), at no less than
    O(min_tokens_per_second).
  - Names the first layer that fails, and what to do about it. A layer that cannot be checked is not healthy.
  - Loads the model when it is not in memory, as any question would.
  - A model that thinks is asked with C(think) V(false). If it thinks anyway, that is no answer.
  - A busy server sends nothing before the first token. If none comes for O(stall_timeout), and the process that
    computes (C(llama-server), or C(ollama runner) before 0.30) uses processor time, the layer V(answers) is V(busy),
    and the question is asked again until O(timeout) is over. From another host the process cannot be seen, and the
    layer is V(unknown). Neither is healthy, and neither says anything about the model.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
  - etrid.gizzi.attributes.actiongroup_ollama
options:
  model:
    description:
      - The model that must answer, as C([[host/]namespace/]model[:tag]).
      - Without it only V(reachable) and V(version) are checked.
    type: str
  digest:
    description: SHA-256 of the manifest that O(model) must have in the server's store, in hex.
    type: str
  min_version:
    description: The oldest version to accept.
    type: str
  prompt:
    description: What to ask.
    type: str
    default: Answer with one word. What is the capital of France?
  timeout:
    description: Seconds that the whole check may take, with the loading of the model.
    type: float
    default: 300
  stall_timeout:
    description: Seconds of silence after which a loaded model counts as stalled, busy or unknown.
    type: float
    default: 60
  tokens:
    description: Tokens that the answer may have, thoughts included.
    type: int
    default: 16
  min_tokens_per_second:
    description: The speed below which an answer counts as too slow. With V(0) speed is measured and not judged.
    type: float
    default: 0
  fail_on:
    description: With V(never) an unhealthy server is reported and the task succeeds.
    type: str
    choices:
      - unhealthy
      - never
    default: unhealthy
seealso:
  - module: etrid.gizzi.ollama_info
"""

EXAMPLES = r"""
- name: Is the server up?
  etrid.gizzi.ollama_health:

- name: Does the model answer, from here and fast enough?
  etrid.gizzi.ollama_health:
    url: https://192.0.2.5:11443
    token: "{{ gateway_token }}"
    ca: "{{ lookup('ansible.builtin.file', 'gateway/authority.pem') }}"
    model: llama3.1:8b
    min_tokens_per_second: 2

- name: Report, and decide elsewhere
  etrid.gizzi.ollama_health:
    model: llama3.1:8b
    fail_on: never
  register: health
"""

RETURN = r"""
healthy:
  description: Whether all layers that were asked for passed.
  returned: always
  type: bool
failed_layer:
  description: The first layer that did not pass, also where that is V(busy) or V(unknown); V(null) when all did.
  returned: always
  type: str
  sample: present
layers:
  description: Every layer in order.
  returned: always
  type: list
  elements: dict
  contains:
    layer:
      description: V(reachable), V(version), V(present), V(loads), V(answers) or V(speed).
      type: str
    status:
      description: V(pass), V(fail), V(busy), V(unknown) or V(skip).
      type: str
    message:
      description: What was seen, and what to do about it.
      type: str
    seconds:
      description: How long the layer took.
      type: float
version:
  description: The server's version, V(null) when it is not known.
  returned: always
  type: str
  sample: 0.34.2
digest:
  description: SHA-256 of the model's manifest in the server's store, V(null) when it is not known.
  returned: always
  type: str
answer:
  description: The beginning of the model's answer, V(null) when there was none.
  returned: always
  type: str
  sample: Paris.
tokens_per_second:
  description: The measured speed, V(null) when there is none.
  returned: always
  type: float
  sample: 14.2
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._health import Probe, Wanted
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, server_of
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_digest
from ansible_collections.etrid.gizzi.plugins.module_utils._version import parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._health import Report


OPTIONS = {
    **SERVER_OPTIONS,
    "model": {"type": "str"},
    "digest": {"type": "str"},
    "min_version": {"type": "str"},
    "prompt": {"type": "str", "default": "Answer with one word. What is the capital of France?"},
    "timeout": {"type": "float", "default": 300},
    "stall_timeout": {"type": "float", "default": 60},
    "tokens": {"type": "int", "default": 16, "no_log": False},
    "min_tokens_per_second": {"type": "float", "default": 0, "no_log": False},
    "fail_on": {"type": "str", "choices": ["unhealthy", "never"], "default": "unhealthy"},
}


def wanted_health(params: Mapping[str, Any]) -> Wanted:
    """Read the options; raise GizziError for a value that is none."""
    if params["min_version"]:
        parse_version(params["min_version"])
    return Wanted(
        model=parse_model_name(params["model"]) if params["model"] else None,
        digest=parse_digest(params["digest"]) if params["digest"] else None,
        min_version=params["min_version"],
        prompt=params["prompt"],
        timeout=params["timeout"],
        stall_timeout=params["stall_timeout"],
        min_tokens_per_second=params["min_tokens_per_second"],
        tokens=params["tokens"],
    )


def told(report: Report) -> dict[str, Any]:
    """Return what the module tells."""
    failed = report.failed
    layer = failed.layer if failed else None
    return {"changed": False, "healthy": failed is None, "failed_layer": layer, **asdict(report)}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, required_by={"digest": ("model",)}, supports_check_mode=True)
    try:
        wanted = wanted_health(module.params)
        server = server_of(module.params)
    except GizziError as error:
        module.fail_json(msg=str(error))
    report = Probe(server, wanted).run()
    failed = report.failed
    if failed and module.params["fail_on"] == "unhealthy":
        module.fail_json(msg=f"Unhealthy at layer {failed.layer!r}: {failed.message}", **told(report))
    module.exit_json(**told(report))


if __name__ == "__main__":
    main()
