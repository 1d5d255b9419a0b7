# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_golden
short_description: Measure how many questions with known answers a model answers well
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Asks a model each of O(prompts) with temperature 0 and a fixed seed, and compares the answers with what is known
    about them. It measures and does not judge. A model that fails to answer has failed the prompt, and not the task.
  - Models that think are asked with C(think) V(false). What one thinks all the same is no answer.
  - Loads the model when it is not in memory, as any question would.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
  - etrid.gizzi.attributes.actiongroup_ollama
options:
  model:
    description: The model that is asked, as C([[host/]namespace/]model[:tag]).
    type: str
    required: true
  prompts:
    description: What to ask. Each has O(prompts[].pattern) or O(prompts[].schema), by which its answer is judged.
    type: list
    elements: dict
    required: true
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
          - A JSON schema that a good answer keeps. The server gets it as C(format) and holds the model to it as far as
            it can.
          - Of JSON Schema C(type), C(enum), C(properties), C(required), C(additionalProperties), C(items), C(pattern),
            C(minimum) and C(maximum) are understood; anything else is refused.
        type: dict
      tokens:
        description: The longest answer, in tokens.
        type: int
        default: 64
  seed:
    description: The seed of every answer.
    type: int
    default: 1
  again_below:
    description:
      - Tokens per second. Where the speed is below, all prompts are asked once more, and the faster time counts, since
        the host may have been busy with something else.
    type: float
    default: 0
  timeout:
    description: Seconds that one answer may take, the first one with the loading of the model.
    type: float
    default: 300
seealso:
  - module: etrid.gizzi.ollama_health
"""

EXAMPLES = r"""
- name: Does the model know what it is asked every day?
  etrid.gizzi.ollama_golden:
    model: llama3.1:8b
    prompts:
      - prompt: "A validator has 0 peers and its height does not rise. Is it healthy? Answer yes or no."
        pattern: (?i)^\W*no\b
      - prompt: "Judge this validator: peers 0, height stalled."
        schema:
          type: object
          properties:
            status: {type: string, enum: [HEALTHY, ISSUE_DETECTED]}
          required: [status]
  register: golden
"""

RETURN = r"""
pass_rate:
  description: The share of prompts with a good answer, from 0 to 1.
  returned: always
  type: float
  sample: 0.75
passed:
  description: How many prompts had a good answer.
  returned: always
  type: int
failures:
  description: The prompts that had none, in order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name of the prompt.
      type: str
    answer:
      description: The beginning of the answer, V("") when there was none.
      type: str
    reason:
      description: What is wrong with it.
      type: str
tokens_per_second:
  description: The speed over all answers by the server's clock, V(null) when it gave no durations.
  returned: always
  type: float
  sample: 14.2
seconds:
  description: Duration of the run.
  returned: always
  type: float
"""

import json
import re
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._answer import REPEATED, thought_only
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._schema import check_pattern, check_schema, mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

SHOWN = 200


@dataclass(frozen=True)
class Failure:
    name: str
    answer: str
    reason: str


@dataclass
class Result:
    asked: int = 0
    failures: list[Failure] = field(default_factory=list)
    tokens: int = 0
    nanoseconds: int = 0

    @property
    def passed(self) -> int:
        return self.asked - len(self.failures)

    @property
    def pass_rate(self) -> float:
        return round(self.passed / self.asked, 4)

    @property
    def speed(self) -> float:
        """Tokens per second, 0 when the server gave no durations."""
        return round(self.tokens / (self.nanoseconds / 1e9), 3) if self.nanoseconds else 0

    def measure(self, answer: Mapping[str, Any]) -> None:
        count, nanoseconds = answer.get("eval_count"), answer.get("eval_duration")
        if isinstance(count, int) and isinstance(nanoseconds, int) and count > 0 and nanoseconds > 0:
            self.tokens += count
            self.nanoseconds += nanoseconds


def check_prompts(prompts: list[dict[str, Any]]) -> None:
    if not prompts:
        raise GizziError("prompts: there is none, and so nothing to measure.")
    for prompt in prompts:
        where = f"prompts: {name_of(prompt)!r}"
        if (prompt["pattern"] is None) == (prompt["schema"] is None):
            raise GizziError(f"{where} must have either a pattern or a schema.")
        if prompt["pattern"] is None:
            check_schema(prompt["schema"], where)
        else:
            check_pattern(prompt["pattern"], where)


def name_of(prompt: Mapping[str, Any]) -> str:
    return str(prompt["name"] or prompt["prompt"])


def payload_of(model: ModelName, prompt: Mapping[str, Any], seed: int) -> dict[str, Any]:
    payload = {
        "model": str(model),
        "prompt": prompt["prompt"],
        "options": {"temperature": 0, "seed": seed, "num_predict": prompt["tokens"]},
    }
    if prompt["system"] is not None:
        payload["system"] = prompt["system"]
    if prompt["schema"] is not None:
        payload["format"] = prompt["schema"]
    return payload


def fault_of(answer: Mapping[str, Any], prompt: Mapping[str, Any]) -> str:
    """What is wrong with an answer; empty when nothing is."""
    text = text_of(answer)
    # Without a stream that is how one ends that Ollama stops.
    if answer.get("done") is False:
        return REPEATED
    if not text.strip():
        return thought_only(prompt["tokens"]) if answer.get("thinking") else "the answer is empty"
    if prompt["pattern"] is not None:
        return "" if re.search(prompt["pattern"], text) else f"it does not match {prompt['pattern']!r}"
    try:
        value = json.loads(text)
    except ValueError:
        return "it is not JSON"
    return mistake(value, prompt["schema"])


def text_of(answer: Mapping[str, Any]) -> str:
    """What was answered. What was thought is no answer."""
    return str(answer.get("response") or "")


def measure(server: Ollama, model: ModelName, prompts: list[dict[str, Any]], seed: int, timeout: float) -> Result:
    result = Result()
    for prompt in prompts:
        text = ""
        try:
            answer = server.answer(payload_of(model, prompt, seed), timeout)
        except GizziError as error:
            fault = f"no answer: {error}"
        else:
            text, fault = text_of(answer), fault_of(answer, prompt)
            result.measure(answer)
        result.asked += 1
        if fault:
            result.failures.append(Failure(name_of(prompt), text.strip()[:SHOWN], fault))
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "model": {"type": "str", "required": True},
            "prompts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str"},
                    "prompt": {"type": "str", "required": True},
                    "system": {"type": "str"},
                    "pattern": {"type": "str"},
                    "schema": {"type": "dict"},
                    "tokens": {"type": "int", "default": 64, "no_log": False},
                },
            },
            "seed": {"type": "int", "default": 1},
            "again_below": {"type": "float", "default": 0},
            "timeout": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    try:
        check_prompts(params["prompts"])
        server = Ollama(params["url"], params["request_timeout"])
        model = parse_model_name(params["model"])
    except GizziError as error:
        module.fail_json(msg=str(error))
    result = measure(server, model, params["prompts"], params["seed"], params["timeout"])
    if 0 < result.speed < params["again_below"]:
        again = measure(server, model, params["prompts"], params["seed"], params["timeout"])
        result = max(result, again, key=lambda measured: measured.speed)
    module.exit_json(
        changed=False,
        pass_rate=result.pass_rate,
        passed=result.passed,
        failures=[asdict(failure) for failure in result.failures],
        tokens_per_second=result.speed or None,
        seconds=round(time.monotonic() - started, 3),
    )


if __name__ == "__main__":
    main()
