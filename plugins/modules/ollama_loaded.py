# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_loaded
short_description: Have a model in an Ollama server's memory as it is in the store
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - A pull does not exchange the weights that are in memory. This module unloads what O(name) and O(unload) name, each
    when its last answer is done, loads O(name) as it is in the store, and waits until its weights are in memory.
    Somebody who asks one of them meanwhile may bring old weights back, so that it does so again where it must, until
    O(timeout).
  - Weights are in memory when the server lists them, under whatever name, and a process of the unit C(ollama.service)
    holds them (C(llama-server), before Ollama 0.30 C(ollama runner)). Models that are made from one another share them,
    and the server lists the one that loaded them. It also lists one whose process was killed. Where O(url) leads to
    another host, or that unit's processes cannot be seen, its list alone decides, and RV(alive) is V(null).
  - A model whose present weights are in memory is left alone, unless the server lists them under this name with an
    earlier manifest, or under one of O(unload). They are loaded anew then, so that its list names what stays in the
    store.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details:
      - Loads and unloads nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: The model, as C([[host/]namespace/]model[:tag]). Without a tag it is V(latest).
    type: str
    required: true
  unload:
    description:
      - Other names to unload first. The weights that were loaded before a pull can be named by a copy of the model
        from before it, and no longer by O(name).
      - A model that shares its weights and stays in the store need not be named.
      - Names that the server does not have are passed over.
    type: list
    elements: str
    default: []
  anew:
    description:
      - Load the model anew also where its weights are in memory. What was loaded from a damaged file stays in memory as
        it was after the file was replaced.
    type: bool
    default: false
  timeout:
    description: Seconds that unloading and loading may take.
    type: float
    default: 300
seealso:
  - module: etrid.gizzi.ollama_backup
  - module: etrid.gizzi.ollama_info
"""

EXAMPLES = r"""
- name: Serve the model that was pulled
  etrid.gizzi.ollama_loaded:
    name: llama3.1:8b
    unload:
      - llama3.1:8b.gizzi-pending
"""

RETURN = r"""
model:
  description: The model's name as Ollama shows it, with its tag.
  returned: success
  type: str
  sample: llama3.1:8b
digest:
  description: SHA-256 of the manifest that is in the store, and whose weights are loaded.
  returned: success
  type: str
digests_before:
  description:
    - SHA-256 of the manifests that the server listed before under this name, or with its weights under another one;
      V([]) when there was none.
  returned: success
  type: list
  elements: str
alive:
  description:
    - Whether a process that holds the weights was seen at the end; V(null) where the processes of the server cannot be
      seen, and its list alone was believed.
  returned: success
  type: bool
seconds:
  description: Duration of the run.
  returned: success
  type: float
"""

import time
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import BadStatusError, TimedOutError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama, find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._weights import Memory, named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model

PAUSE = 0.2
PATIENCE = 30.0


class Loader:
    def __init__(self, server: Ollama, name: ModelName, others: Sequence[ModelName], timeout: float) -> None:
        self._server = server
        self._name = name
        self._others = others
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._memory = Memory(server)
        self._memory.look()
        self.model = self._stored()

    def _stored(self) -> Model:
        model = find_model(self._memory.models, self._name)
        if model is None:
            raise GizziError(f"The server has no model {self._name} in its store.")
        return model

    def listed(self) -> list[str]:
        """The digests that are listed under this name or with its weights: two for a moment, while one goes."""
        entries = [*self._memory.holders(self.model), *named(self._memory.entries, self._name)]
        return sorted({entry.digest for entry in entries})

    def holds(self) -> bool:
        """Whether the weights are in memory, by the server's list alone where nothing else can be seen.

        The list must name something that stays: whose manifest is gone from the store has unknown weights.
        """
        return self._memory.is_loaded(self.model) is not False and not self._passing()

    def _passing(self) -> bool:
        """Whether the weights are listed under a name or a manifest that does not stay."""
        holders = self._memory.holders(self.model)
        earlier = [entry for entry in named(holders, self._name) if entry.digest != self.model.digest]
        return bool(earlier) or any(named(holders, other) for other in self._others)

    def alive(self) -> bool | None:
        return self._memory.is_loaded(self.model)

    def exchange(self, anew: bool) -> None:
        """Unload what can be named, load what is in the store, and do both again until it is in memory."""
        found = [(name, find_model(self._memory.models, name)) for name in [*self._others, self._name]]
        names = [name for name, model in found if model]
        wanted = self._memory.weights(self.model.digest)
        old = {
            model.digest
            for _name, model in found
            if model
            and model.digest != self.model.digest
            and not (wanted and self._memory.weights(model.digest) == wanted)
        }
        while True:
            # Another name may be the one under which the weights are listed.
            for name in [*names, *(parse_model_name(entry.name) for entry in self._memory.holders(self.model))]:
                self._server.unload(name)
            # What is loaded at once after this would still find the old weights on their way out.
            self._wait(lambda: not old & {entry.digest for entry in self._memory.entries} and not self._leftover(anew))
            self._load()
            if self._wait(self.holds):
                return
            if time.monotonic() > self._deadline:
                raise GizziError(self._stays_out())

    def _leftover(self, anew: bool) -> bool:
        """Whether what has to be loaded anew is still listed: damaged, its process dead, or under a passing name."""
        return bool(self._memory.holders(self.model)) and (anew or not self.holds())

    def _stays_out(self) -> str:
        instead = ", ".join(digest[:12] for digest in self.listed()) or "nothing of it"
        if self._memory.holders(self.model):
            return (
                f"{self._name} was loaded, and the server lists it, but no process holds it: one was killed. "
                "Look at the memory limit and at the end of 'journalctl --namespace=+ollama -u ollama'."
            )
        return (
            f"{self._name} was loaded, but the server names {instead} in memory, not {self.model.digest[:12]}. "
            "Restarting the service loads the weights anew."
        )

    def _load(self) -> None:
        try:
            self._server.load(self._name, self._remaining())
        except TimedOutError:
            raise GizziError(
                f"{self._name} did not load within {self._timeout:g} s: look at "
                "'journalctl --namespace=+ollama -u ollama', and whether the host swaps."
            ) from None
        except BadStatusError as error:
            raise GizziError(f"{self._name} does not load: {error}.") from None

    def _wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until it holds. Not for ever: who asks a model all the while has it back in memory at once."""
        until = min(time.monotonic() + PATIENCE, self._deadline)
        while True:
            self._memory.look()
            if condition():
                return True
            if time.monotonic() > until:
                return False
            time.sleep(PAUSE)

    def _remaining(self) -> float:
        return max(1.0, self._deadline - time.monotonic())


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "name": {"type": "str", "required": True},
            "unload": {"type": "list", "elements": "str", "default": []},
            "anew": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    try:
        name = parse_model_name(params["name"])
        others = [parse_model_name(other) for other in params["unload"]]
        loader = Loader(Ollama(params["url"], params["request_timeout"]), name, others, params["timeout"])
        before = loader.listed()
        changed = params["anew"] or not loader.holds()
        if changed and not module.check_mode:
            loader.exchange(params["anew"])
    except GizziError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        model=str(name),
        digest=loader.model.digest,
        digests_before=before,
        alive=loader.alive(),
        seconds=round(time.monotonic() - started, 3),
    )


if __name__ == "__main__":
    main()
