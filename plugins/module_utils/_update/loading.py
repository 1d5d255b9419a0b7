# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load a model in the version that is in the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

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
    """Loads a model in the version that is in the store, and unloads older versions.

    A pull does not change the weights in memory. A client that asks one of the other names at this time may load old
    weights again. So the loader retries for timeout seconds. Methods raise GizziError.
    """

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
        """The digests that are listed under this name or with its weights: for a moment two, while one is unloaded."""
        entries = [*self._memory.holders(self.model), *named(self._memory.entries, self._name)]
        return sorted({entry.digest for entry in entries})

    def holds(self) -> bool:
        """Whether the weights are in memory. If the processes cannot be read, only the server's list counts.

        The list must have a name and a manifest that stay: without the manifest in the store, the weights are unknown.
        """
        return self._memory.is_loaded(self.model) is not False and not self._passing()

    def _passing(self) -> bool:
        """Whether the weights are listed under a temporary name or an older manifest."""
        holders = self._memory.holders(self.model)
        earlier = [entry for entry in named(holders, self._name) if entry.digest != self.model.digest]
        return bool(earlier) or any(named(holders, other) for other in self._others)

    def exchange(self, anew: bool) -> None:
        """Unload all old names, load the model from the store, and repeat both until it is in memory."""
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
            # The server may list the weights under another name.
            for name in [*names, *(parse_model_name(entry.name) for entry in self._memory.holders(self.model))]:
                self._server.unload(name)
            # Wait until the old weights are unloaded: else the server uses them again.
            self._wait(lambda: not old & {entry.digest for entry in self._memory.entries} and not self._leftover(anew))
            self._load()
            if self._wait(self.holds):
                return
            if time.monotonic() > self._deadline:
                raise GizziError(self._stays_out())

    def _leftover(self, anew: bool) -> bool:
        """Whether weights to load again are still listed: damaged, without a process, or under a temporary name."""
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
            "Restarting the service loads the weights again."
        )

    def _load(self) -> None:
        try:
            self._server.load(self._name, self._remaining(), self._server.abilities(self._name))
        except TimedOutError:
            raise GizziError(
                f"{self._name} did not load within {self._timeout:g} s: look at "
                "'journalctl --namespace=+ollama -u ollama', and whether the host swaps."
            ) from None
        except BadStatusError as error:
            raise GizziError(f"{self._name} does not load: {error}.") from None

    def _wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition is true, with a limit: a client that asks all the time loads the old model again."""
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
