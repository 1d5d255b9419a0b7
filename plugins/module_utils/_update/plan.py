# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The next action for one model of one server, from its store, its memory and the wanted manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Mapping, Sequence

    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import Kept


@dataclass(frozen=True)
class Sight:
    """One pulled model on one server, and the wanted manifest.

    Attributes:
        kept: the model and its other tags in the store.
        digests: the wanted manifests: the same model in several forms of JSON.
        layers: the content of the wanted model, None where the registry was not asked.
        contents: the content of each of the server's models, by name; None where its store could not be read.
        listed: the manifests that are listed as loaded under its name.
        in_memory: whether its weights are in memory, None where this is unknown.
    """

    kept: Kept
    digests: Container[str]
    layers: Sequence[str] | None
    contents: Mapping[str, Sequence[str] | None]
    listed: Collection[str]
    in_memory: bool | None

    def is_wanted(self, model: Model | None) -> bool:
        """Whether it is the wanted one: compared by content where both are known, because a manifest has many forms."""
        if model is None:
            return False
        there = self.contents.get(model.name)
        if there is not None and self.layers is not None:
            return list(there) == list(self.layers)
        return model.digest in self.digests

    def action(self, keep: int) -> tuple[str, str]:
        """Return the next action and its reason; ``keep`` is the number of previous models to keep.

        The action is "none", "update" (pull where necessary, and judge), "finish" (the judged model is in use, and the
        rest of the update is missing), "load" (older weights are in memory), "sweep" (remove what is not needed) or
        "blocked" (no update is possible).
        """
        model, unjudged = self.kept.model, self.kept.next
        if model is None:
            return "blocked", "the server does not have it: run the playbook etrid.gizzi.site"
        if not self.is_wanted(model):
            if unjudged is None:
                return "update", "the tag has moved"
            if self.is_wanted(unjudged):
                return "update", "an update was interrupted before its verdict"
            return "update", "an update was interrupted, and the tag has moved again"
        if unjudged and unjudged.digest == model.digest:
            return "finish", "an update was interrupted before its end"
        if self.listed and model.digest not in self.listed and self.in_memory is False:
            return "load", "older weights are in memory"
        if unjudged or self.kept.superfluous(keep):
            return "sweep", "it is current; something is beside it that is not needed any more"
        return "none", "it is current"
