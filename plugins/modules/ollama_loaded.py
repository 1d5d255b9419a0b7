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
    when its last answer is done, loads O(name) as it is in the store, and waits until the server names it as loaded.
    Somebody who asks one of them meanwhile may bring old weights back, so that it does so again where it must, until
    O(timeout).
  - A model whose present weights are in memory is left alone.
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
      - Names that the server does not have are passed over.
    type: list
    elements: str
    default: []
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
  description: SHA-256 of the manifest that is in the store, and loaded.
  returned: success
  type: str
digests_before:
  description: SHA-256 of the manifests that were loaded under this name before, V([]) when there was none.
  returned: success
  type: list
  elements: str
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

PAUSE = 0.2
PATIENCE = 30.0


class Loader:
    def __init__(self, server: Ollama, name: ModelName, timeout: float) -> None:
        self._server = server
        self._name = name
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def stored(self) -> str:
        model = self._server.find(self._name)
        if model is None:
            raise GizziError(f"The server has no model {self._name} in its store.")
        return model.digest

    def loaded(self) -> list[str]:
        """The digests that are in memory under this name: two for a moment, while one goes and another comes."""
        return sorted({model.digest for model in self._server.loaded() if is_named(model.name, self._name)})

    def exchange(self, wanted: str, others: Sequence[ModelName]) -> None:
        """Unload what can be named, load what is in the store, and do both again until the server says so."""
        stored = self._server.models()
        found = [(name, find_model(stored, name)) for name in [*others, self._name]]
        names = [name for name, model in found if model]
        digests = {model.digest for _name, model in found if model} - {wanted}
        while True:
            for name in names:
                self._server.unload(name)
            # What is loaded at once after this would still find the old weights on their way out.
            self._wait(lambda: not digests & {model.digest for model in self._server.loaded()})
            self._load()
            if self._wait(lambda: wanted in self.loaded()):
                return
            if time.monotonic() > self._deadline:
                instead = ", ".join(digest[:12] for digest in self.loaded()) or "nothing of it"
                raise GizziError(
                    f"{self._name} was loaded, but the server names {instead} in memory, not {wanted[:12]}. Restarting "
                    "the service loads the weights anew."
                )

    def _load(self) -> None:
        try:
            self._server.load(self._name, self._remaining())
        except TimedOutError:
            raise GizziError(
                f"{self._name} did not load within {self._timeout:g} s: look at the server's journal, and whether the "
                "host swaps."
            ) from None
        except BadStatusError as error:
            raise GizziError(f"{self._name} does not load: {error}.") from None

    def _wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until it holds. Not for ever: who asks a model all the while has it back in memory at once."""
        until = min(time.monotonic() + PATIENCE, self._deadline)
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(PAUSE)
        return True

    def _remaining(self) -> float:
        return max(1.0, self._deadline - time.monotonic())


def is_named(text: str, name: ModelName) -> bool:
    try:
        return parse_model_name(text).same_as(name)
    except GizziError:
        return False


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "name": {"type": "str", "required": True},
            "unload": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    try:
        name = parse_model_name(params["name"])
        loader = Loader(Ollama(params["url"], params["request_timeout"]), name, params["timeout"])
        wanted, before = loader.stored(), loader.loaded()
        changed = wanted not in before
        if changed and not module.check_mode:
            loader.exchange(wanted, [parse_model_name(other) for other in params["unload"]])
    except GizziError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        model=str(name),
        digest=wanted,
        digests_before=before,
        seconds=round(time.monotonic() - started, 3),
    )


if __name__ == "__main__":
    main()
