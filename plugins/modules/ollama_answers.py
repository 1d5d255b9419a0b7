# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_answers
short_description: Check which models of an Ollama server answer
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Asks each model of a server for one token. A release of Ollama may not support an architecture any more, or may
    crash on some processors at the first token, although its version, its list of models and the loading of a model are
    as they should be.
  - Loads each model, one after the other, as any question would.
  - A model that gives no token while the process that computes (C(llama-server), or C(ollama runner) before 0.30) uses
    processor time is not silent; its server is busy. It is asked again until O(timeout) is over. After that it is
    RV(undecided), with the status V(busy). From another host the process cannot be seen, and the status is V(unknown).
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
    description: With V(never) models that are silent or undecided are reported, and so is a server that is silent, and
      the task succeeds.
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
    models: "{{ before.answered + before.undecided | map(attribute='model') }}"
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
undecided:
  description: The models of which nothing is known, since the server was busy until O(timeout) was over.
  returned: always
  type: list
  elements: dict
  contains:
    model:
      description: The model.
      type: str
    status:
      description: V(busy) where the server was seen to work for others, V(unknown) where that cannot be seen from here.
      type: str
    reason:
      description: What was seen, and what to do about it.
      type: str
not_asked:
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
not_ready:
  description: Why the server could not be asked at all, or did not come up with the wanted version. Empty otherwise.
  returned: always
  type: str
"""

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError, TimedOutError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import SERVER_OPTIONS, can_complete, server_of
from ansible_collections.etrid.gizzi.plugins.module_utils._silence import (
    BusyError,
    Silence,
    UnseenError,
    ask_until,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama

# Seconds without a token after which it is looked whether the server is busy.
PATIENCE = 60.0
# Between two looks at a server that starts, in seconds.
PAUSE = 0.25


@dataclass
class Answers:
    """What the models did: RETURN has the fields."""

    answered: list[str] = field(default_factory=list)
    silent: list[dict[str, str]] = field(default_factory=list)
    undecided: list[dict[str, str]] = field(default_factory=list)
    not_asked: list[dict[str, str]] = field(default_factory=list)
    not_ready: str = ""

    @property
    def failure(self) -> str:
        """What is wrong, "" when nothing is."""
        told = [f"{one['model']} does not answer: {one['reason']}" for one in self.silent]
        return self.not_ready or " ".join(
            [*told, *(f"{one['model']} may answer: {one['reason']}" for one in self.undecided)]
        )


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


def ask(server: Ollama, name: ModelName, timeout: float, abilities: frozenset[str]) -> None:
    """Load a model and ask it for one token, within timeout seconds.

    Raise BusyError or UnseenError where the server was at work for others, or could be, until then; another GizziError
    says why there was no token.
    """
    deadline = time.monotonic() + timeout
    try:
        server.load(name, timeout, abilities)
    except TimedOutError:
        raise GizziError(f"it did not load within {timeout:g} s.") from None
    except BadStatusError as error:
        raise refused(error, "it does not load") from None
    ask_until(partial(_ask_once, server, name, timeout), min(PATIENCE, timeout), deadline)


def _ask_once(server: Ollama, name: ModelName, timeout: float, patience: float) -> None:
    """Ask for a token within ``patience`` seconds; it may be the end, so that an empty text under ``done`` is one."""
    payload = {"model": str(name), "prompt": "Hello", "options": {"num_predict": 1}}
    silence = Silence(server.url)
    # What is left after the loading can be nothing.
    wait = max(patience, 0.001)
    try:
        answer = server.answer(payload, wait)
    except TimedOutError:
        raise silence.error(name, wait, timeout) from None
    except BadStatusError as error:
        raise refused(error, "it is loaded, but does not answer") from None
    if answer.get("error"):
        raise GizziError(f"{answer['error']}.")
    if answer.get("done") is not True:
        raise GizziError("the server ended its answer before it was done.")


def abilities_of(server: Ollama, name: ModelName) -> frozenset[str]:
    """Return what a model can do, nothing where the server does not tell: then it is asked."""
    try:
        return server.abilities(name)
    except GizziError:
        return frozenset()


def ask_all(server: Ollama, models: list[str] | None, timeout: float) -> Answers:
    """Ask the named models, or all of the server's, one after the other, for timeout seconds each."""
    answers = Answers()
    try:
        names = [parse_model_name(name) for name in (models if models is not None else _stored(server))]
    except GizziError as error:
        answers.not_ready = str(error)
        return answers
    for name in names:
        model, abilities = str(name), abilities_of(server, name)
        if not can_complete(abilities):
            reason = f"it does not generate text ({', '.join(sorted(abilities))})"
            answers.not_asked.append({"model": model, "reason": reason})
            continue
        try:
            ask(server, name, timeout, abilities)
        except (BusyError, UnseenError) as error:
            answers.undecided.append({"model": model, "status": error.status, "reason": str(error)})
        except GizziError as error:
            answers.silent.append({"model": model, "reason": f"{str(error).rstrip('.')}."})
        else:
            answers.answered.append(model)
    return answers


def _stored(server: Ollama) -> list[str]:
    return [model.name for model in server.models()]


def judge(params: Mapping[str, Any]) -> Answers:
    """Do what the module does; raise GizziError for a url that is none."""
    server = server_of(params)
    reason = wait_for(server, params["version"], params["start_timeout"]) if params["version"] else ""
    return Answers(not_ready=reason) if reason else ask_all(server, params["models"], params["timeout"])


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
