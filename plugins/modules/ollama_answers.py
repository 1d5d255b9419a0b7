# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_answers
short_description: Tell which models of an Ollama server answer
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Asks each model of a server for one token. A release of Ollama can have dropped an architecture, or crash on some
    processor at the first token, while its version, its list of models and the loading of a model are as they should
    be.
  - Loads each model, one after the other, as any question would.
  - With O(version) it first waits until the server answers with that version, which after a start takes a moment.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.info_module
  - etrid.gizzi.attributes.actiongroup_ollama
options:
  models:
    description:
      - The models to ask, as C([[host/]namespace/]model[:tag]). One that the server does not have is silent.
      - Without it all of the server's are asked.
    type: list
    elements: str
  version:
    description: The release that must answer. Empty waits for none.
    type: str
    default: ""
  start_timeout:
    description: Seconds within which O(version) must answer.
    type: float
    default: 60
  timeout:
    description: Seconds in which a model must have answered, with its loading.
    type: float
    default: 300
  fail_on:
    description: With V(never) models that are silent are reported, and so is a server that is, and the task succeeds.
    type: str
    choices:
      - silent
      - never
    default: silent
seealso:
  - module: etrid.gizzi.ollama_health
  - module: etrid.gizzi.ollama_release
"""

EXAMPLES = r"""
- name: Which models answer now?
  etrid.gizzi.ollama_answers:
    fail_on: never
  register: before

- name: Do they still answer after the upgrade?
  etrid.gizzi.ollama_answers:
    version: 0.34.2
    models: "{{ before.answered }}"
"""

RETURN = r"""
answered:
  description: The models that answered.
  returned: always
  type: list
  elements: str
  sample:
    - llama3.1:8b
silent:
  description: The models that did not answer.
  returned: always
  type: list
  elements: dict
  contains:
    model:
      description: The model.
      type: str
    reason:
      description: What came instead.
      type: str
skipped:
  description: The models that were not asked, since they do not generate text, such as those that only embed.
  returned: always
  type: list
  elements: dict
  contains:
    model:
      description: The model.
      type: str
    reason:
      description: Why it was not asked.
      type: str
unreachable:
  description: Why the server could not be asked at all, or did not come up with the wanted version. Empty otherwise.
  returned: always
  type: str
"""

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import TimedOutError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, server_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama

COMPLETION = "completion"
# Between two looks at a server that starts, in seconds.
PAUSE = 0.25


@dataclass
class Answers:
    """What the models did: RETURN has the fields."""

    answered: list[str] = field(default_factory=list)
    silent: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    unreachable: str = ""

    @property
    def failure(self) -> str:
        """What is wrong, "" when nothing is."""
        return self.unreachable or " ".join(f"{one['model']} does not answer: {one['reason']}" for one in self.silent)


def wait_for(server: Ollama, version: str, timeout: float) -> str:
    """Wait until the server answers with a version. Returns why it did not within timeout seconds, "" when it did."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = server.version()
            reason = f"{server.url} answers with version {found}, not with {version}."
        except GizziError as error:
            found, reason = "", str(error)
        if found == version:
            return ""
        if time.monotonic() >= deadline:
            return f"Ollama {version} does not answer within {timeout:g} s: {reason}"
        time.sleep(PAUSE)


def ask(server: Ollama, name: ModelName, timeout: float) -> str:
    """Ask a model for one token, within timeout seconds. Returns why there was none, "" when there was.

    That one token may be the end of the answer, so that an empty text under ``done`` is an answer too.
    """
    payload = {"model": str(name), "prompt": "Hello", "options": {"num_predict": 1}}
    try:
        answer = server.answer(payload, timeout)
    except TimedOutError:
        return f"no token came within {timeout:g} s."
    except GizziError as error:
        return f"{str(error).rstrip('.')}."
    if answer.get("error"):
        return f"{answer['error']}."
    return "" if answer.get("done") is True else "the server ended its answer before it was done."


def cannot_complete(server: Ollama, name: ModelName) -> str:
    """Return why a model is not asked, "" when it is to be; releases that tell no capabilities are asked."""
    try:
        shown = server.show(name) or {}
    except GizziError:
        return ""
    capabilities = shown.get("capabilities")
    if not isinstance(capabilities, list) or not capabilities or COMPLETION in capabilities:
        return ""
    return f"it does not generate text ({', '.join(str(one) for one in capabilities)})"


def ask_all(server: Ollama, models: list[str] | None, timeout: float) -> Answers:
    """Ask the named models, or all of the server's, one after the other, for timeout seconds each."""
    answers = Answers()
    try:
        names = [parse_model_name(name) for name in (models if models is not None else _stored(server))]
    except GizziError as error:
        answers.unreachable = str(error)
        return answers
    for name in names:
        reason = cannot_complete(server, name)
        if reason:
            answers.skipped.append({"model": str(name), "reason": reason})
            continue
        reason = ask(server, name, timeout)
        if reason:
            answers.silent.append({"model": str(name), "reason": reason})
        else:
            answers.answered.append(str(name))
    return answers


def _stored(server: Ollama) -> list[str]:
    return [model.name for model in server.models()]


def judge(params: Mapping[str, Any]) -> Answers:
    """Do what the module does; raise GizziError for a url that is none."""
    server = server_of(params)
    reason = wait_for(server, params["version"], params["start_timeout"]) if params["version"] else ""
    return Answers(unreachable=reason) if reason else ask_all(server, params["models"], params["timeout"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SERVER_OPTIONS,
            "models": {"type": "list", "elements": "str"},
            "version": {"type": "str", "default": ""},
            "start_timeout": {"type": "float", "default": 60},
            "timeout": {"type": "float", "default": 300},
            "fail_on": {"type": "str", "choices": ["silent", "never"], "default": "silent"},
        },
        supports_check_mode=True,
    )
    try:
        answers = judge(module.params)
    except GizziError as error:
        module.fail_json(msg=str(error))
    if answers.failure and module.params["fail_on"] == "silent":
        module.fail_json(msg=answers.failure, **asdict(answers))
    module.exit_json(changed=False, **asdict(answers))


if __name__ == "__main__":
    main()
