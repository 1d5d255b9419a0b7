# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_health
short_description: Prove layer by layer that an Ollama server answers
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Checks a server in layers, each of which needs the one before. V(reachable), something speaks HTTP at O(url).
    V(version), it is Ollama, and at least O(min_version). V(present), O(model) is in its store, with O(digest).
    V(loads), the model comes into memory. V(answers), it answers O(prompt). V(speed), at no less than
    O(min_tokens_per_second).
  - Names the first layer that fails, with a message to act on. A layer that cannot be judged is not healthy.
  - Loads the model when it is not in memory, as any question would.
  - A model that thinks is asked with C(think) V(false). What one thinks all the same is no answer.
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
    description: Seconds of silence after which a loaded model that should answer counts as stalled.
    type: float
    default: 60
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
    url: http://10.0.0.5:11434
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
  description: The first layer that failed, V(null) when none did.
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
      description: V(pass), V(fail) or V(skip).
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

import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._answer import BROKEN_OFF, Streamed
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError, BrokenOffError, TimedOutError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import (
    HostRefusedError,
    NotOllamaError,
    Ollama,
    StalledError,
    StallWatch,
    find_model,
    parse_version,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import parse_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

PROBE_TOKENS = 16


class UnhealthyError(GizziError):
    pass


@dataclass(frozen=True)
class Wanted:
    model: ModelName | None
    digest: str | None
    min_version: str | None
    prompt: str
    timeout: float
    stall_timeout: float
    min_tokens_per_second: float


@dataclass(frozen=True)
class Layer:
    layer: str
    status: str
    message: str
    seconds: float


@dataclass
class Report:
    layers: list[Layer] = field(default_factory=list)
    version: str | None = None
    digest: str | None = None
    answer: str | None = None
    tokens_per_second: float | None = None

    @property
    def failed(self) -> Layer | None:
        return next((layer for layer in self.layers if layer.status == "fail"), None)


class Probe:
    """Each layer is a method that returns what it saw, or raises a GizziError that says what is wrong."""

    def __init__(self, server: Ollama, wanted: Wanted) -> None:
        self._server = server
        self._wanted = wanted
        self._deadline = time.monotonic() + wanted.timeout
        self._not_ollama: GizziError | None = None
        self._rate_source = ""
        self.report = Report()

    def run(self) -> Report:
        for layer, look in self._checks():
            started = time.monotonic()
            if self.report.failed:
                status, message = "skip", f"The layer {self.report.failed.layer!r} failed."
            elif look is None:
                status, message = "skip", "No model was named."
            elif layer == "speed" and not self._wanted.min_tokens_per_second:
                status, message = "skip", f"{self._speed_seen()}; no minimum was asked for."
            else:
                status, message = self._judge(look)
            self.report.layers.append(Layer(layer, status, message, round(time.monotonic() - started, 3)))
        return self.report

    def _checks(self) -> list[tuple[str, Callable[[], str] | None]]:
        name = self._wanted.model
        return [
            ("reachable", self.reachable),
            ("version", self.version),
            ("present", partial(self.present, name) if name else None),
            ("loads", partial(self.loads, name) if name else None),
            ("answers", partial(self.answers, name) if name else None),
            ("speed", self.speed if name else None),
        ]

    @staticmethod
    def _judge(layer: Callable[[], str]) -> tuple[str, str]:
        try:
            return "pass", layer()
        except GizziError as error:
            return "fail", str(error)

    def reachable(self) -> str:
        try:
            self.report.version = self._server.version()
        except TimedOutError as error:
            raise UnhealthyError(
                f"{self._server.url} does not answer ({error}): a firewall drops the packets, the host is down, "
                "or the server hangs."
            ) from None
        except (NotOllamaError, HostRefusedError, BadStatusError) as error:
            self._not_ollama = error
        return f"{self._server.url} answers HTTP."

    def version(self) -> str:
        if isinstance(self._not_ollama, BadStatusError):
            server = self._not_ollama.response.headers.get("server", "it does not say what it is")
            raise UnhealthyError(f"{self._not_ollama}. This is not a working Ollama (Server: {server}).")
        if self._not_ollama:
            raise self._not_ollama
        version = self.report.version or ""
        oldest = self._wanted.min_version
        if oldest and parse_version(version) < parse_version(oldest):
            raise UnhealthyError(f"Ollama {version} is older than {oldest}: upgrade it.")
        return f"Ollama {version}."

    def present(self, name: ModelName) -> str:
        models = self._server.models()
        model = find_model(models, name)
        if model is None:
            there = ", ".join(sorted(model.name for model in models)) or "no model at all"
            raise UnhealthyError(f"The server has no model {name}; it has {there}. Pull it with 'ollama pull {name}'.")
        self.report.digest = model.digest
        if self._wanted.digest and model.digest != self._wanted.digest:
            raise UnhealthyError(
                f"{name} has the digest {model.digest}, not {self._wanted.digest} as wanted: update the model."
            )
        return f"{name} is in the store, digest {model.digest[:12]}."

    def loads(self, name: ModelName) -> str:
        budget = self._remaining()
        try:
            self._server.load(name, budget)
        except TimedOutError:
            raise UnhealthyError(
                f"{name} did not load within {budget:.0f} s: look at 'journalctl --namespace=+ollama -u ollama', and "
                "whether the host swaps."
            ) from None
        except BadStatusError as error:
            raise UnhealthyError(f"{name} does not load: {error}.") from None
        return f"{name} is in memory."

    def answers(self, name: ModelName) -> str:
        budget = self._remaining()
        silence = min(self._wanted.stall_timeout, budget)
        watch = StallWatch(silence, budget, f"{name} is loaded, but its answer")
        answer = Streamed()
        try:
            with closing(self._server.generate(name, self._wanted.prompt, PROBE_TOKENS, silence)) as lines:
                answer.read(lines, watch)
        except TimedOutError:
            raise UnhealthyError(stalled(name, silence, len(answer.pieces))) from None
        except StalledError as error:
            raise UnhealthyError(f"{error}: the model loads but stalls.") from None
        except BrokenOffError:
            raise UnhealthyError(f"{name}: {BROKEN_OFF}.") from None
        except BadStatusError as error:
            # Whose fault it is, the status does not say: the server's own text does.
            raise UnhealthyError(f"{name} is loaded, but does not answer: {error}.") from None
        fault = answer.fault(PROBE_TOKENS)
        if fault:
            raise UnhealthyError(f"{name}: {fault}.")
        self.report.answer = answer.said.strip()
        self._measure(answer.final, answer.arrivals)
        return f"{name} answered: {self.report.answer}"

    def speed(self) -> str:
        rate, least = self.report.tokens_per_second, self._wanted.min_tokens_per_second
        if rate is None:
            raise UnhealthyError(
                f"{self._speed_seen()}: the server gave no durations, and the answer was too short to time it here."
            )
        if rate < least:
            raise UnhealthyError(
                f"Too slow: {self._speed_seen()}, at least {least:g} are wanted. Is the CPU taken, or limited by a "
                "quota without a matching thread count?"
            )
        return f"{self._speed_seen()}."

    def _speed_seen(self) -> str:
        rate = self.report.tokens_per_second
        return "The speed could not be measured" if rate is None else f"{rate:.2f} tokens/s {self._rate_source}"

    def _remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise UnhealthyError(f"The time for the whole check, {self._wanted.timeout:g} s, is over.")
        return left

    def _measure(self, final: Mapping[str, Any], arrivals: Sequence[float]) -> None:
        count, nanoseconds = final.get("eval_count"), final.get("eval_duration")
        if isinstance(count, int) and isinstance(nanoseconds, int) and count > 0 and nanoseconds > 0:
            self.report.tokens_per_second = round(count / (nanoseconds / 1e9), 3)
            self._rate_source = "by the server's own clock"
        elif len(arrivals) > 1 and arrivals[-1] > arrivals[0]:
            # The first token has waited for the prompt to be read, so only the gaps after it tell the rate.
            tokens = count if isinstance(count, int) and count > 1 else len(arrivals)
            self.report.tokens_per_second = round((tokens - 1) / (arrivals[-1] - arrivals[0]), 3)
            self._rate_source = "timed here, since the server gave no durations"


def stalled(name: ModelName, silence: float, pieces: int) -> str:
    """Say what a silence of so many seconds means: before the first token the server may be busy, and sends nothing."""
    so_far = f"after token number {pieces}" if pieces else "before its first token"
    busy = "" if pieces else "The server may be busy with somebody else's answer: then ask again. If it stays so: "
    return (
        f"{name} loads but stalls: silence for {silence:g} s {so_far}. {busy}Look for a starved or stopped runner "
        "('ps aux | grep -e llama-server -e ollama', 'systemctl status ollama') and restart the service."
    )


def wanted_health(module: AnsibleModule) -> Wanted:
    params = module.params
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
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "model": {"type": "str"},
            "digest": {"type": "str"},
            "min_version": {"type": "str"},
            "prompt": {"type": "str", "default": "Answer with one word. What is the capital of France?"},
            "timeout": {"type": "float", "default": 300},
            "stall_timeout": {"type": "float", "default": 60},
            "min_tokens_per_second": {"type": "float", "default": 0, "no_log": False},
            "fail_on": {"type": "str", "choices": ["unhealthy", "never"], "default": "unhealthy"},
        },
        required_by={"digest": ("model",)},
        supports_check_mode=True,
    )
    try:
        wanted = wanted_health(module)
        server = Ollama(module.params["url"], module.params["request_timeout"])
    except GizziError as error:
        module.fail_json(msg=str(error))
    report = Probe(server, wanted).run()
    failed = report.failed
    result = {
        "changed": False,
        "healthy": failed is None,
        "failed_layer": failed.layer if failed else None,
        **asdict(report),
    }
    if failed and module.params["fail_on"] == "unhealthy":
        module.fail_json(msg=f"Unhealthy at layer {failed.layer!r}: {failed.message}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
