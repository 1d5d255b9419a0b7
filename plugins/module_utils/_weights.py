# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of a server's models are in memory, by their weights.

Models that were made from one another share their weights, and /api/ps names only the one that loaded them. It goes on
naming it when the process that held them was killed. So loaded means: listed, by weights, and a process alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._derived import content_of
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._runner import runners_behind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import LoadedModel, Model, Ollama
    from ansible_collections.etrid.gizzi.plugins.module_utils._runner import Runner


@dataclass(frozen=True)
class Weights:
    """The digests (hex) of what a process reads to answer for a model: weights, projectors and draft; adapters."""

    files: tuple[str, ...]
    adapters: tuple[str, ...]


class Memory:
    """What a server has in memory, at the last look().

    Attributes:
        models: the models in its store.
        entries: what it lists as loaded.
        runners: the processes that hold weights, None where they cannot be seen from here.
    """

    def __init__(self, server: Ollama) -> None:
        self._server = server
        # By digest: what a digest stands for never changes.
        self._known: dict[str, Weights] = {}
        self.models: list[Model] = []
        self.entries: list[LoadedModel] = []
        self.runners: list[Runner] | None = None

    def look(self) -> None:
        """Ask the server anew; GizziError where it does not answer."""
        self.models = self._server.models()
        self.entries = self._server.loaded()
        self.runners = runners_behind(self._server.url) if self.entries else None

    def holders(self, model: Model) -> list[LoadedModel]:
        """Return the entries of the list that hold a model's weights, under whatever name.

        Asks for the model's parts only where no entry has its digest. The weights of an entry whose digest no model of
        the store has any more are unknown, and so nobody's.
        """
        same = [entry for entry in self.entries if entry.digest == model.digest]
        if same or not self.entries:
            return same
        wanted = self.weights(model.digest)
        return [entry for entry in self.entries if wanted is not None and self.weights(entry.digest) == wanted]

    def is_alive(self, model: Model) -> bool | None:
        """Tell whether a process holds a model's weights; None where the processes cannot be seen.

        Whose weights a process holds matters only where several are listed.
        """
        if self.runners is None:
            return None
        weights = self.weights(model.digest) if len(self.entries) > 1 else None
        if weights is None:
            return bool(self.runners)
        return any(not runner.blobs or not runner.blobs.isdisjoint(weights.files) for runner in self.runners)

    def is_loaded(self, model: Model) -> bool | None:
        """Tell whether a model is in memory; None where it is listed and its process cannot be seen."""
        return self.is_alive(model) if self.holders(model) else False

    def weights(self, digest: str) -> Weights | None:
        """Return the weights that a manifest's digest stands for, None where the server cannot tell."""
        name = next((model.name for model in self.models if model.digest == digest), None)
        if digest not in self._known and name is not None:
            shown = self._shown(name)
            if shown is None:
                return None
            self._known[digest] = shown
        return self._known.get(digest)

    def _shown(self, name: str) -> Weights | None:
        try:
            shown = self._server.show(parse_model_name(name))
        except GizziError:
            return None
        content = content_of(shown) if shown else None
        return Weights(content.weights, content.adapter) if content and content.weights else None


def named(entries: Sequence[LoadedModel], name: ModelName) -> list[LoadedModel]:
    """Return the entries that go by a name."""
    return [entry for entry in entries if _is_named(entry.name, name)]


def _is_named(text: str, name: ModelName) -> bool:
    try:
        return parse_model_name(text).same_as(name)
    except GizziError:
        return False
