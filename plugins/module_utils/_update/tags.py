# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tags that an update keeps beside a model. They are all its state: a run that is cut off leaves nothing else."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import InvalidModelNameError, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model

# Holds a replaced model for a moment, so that deleting it frees the layers that nothing else uses.
REPLACED_TAG = "gizzi-replaced"

_NEXT = "gizzi-next"
_FAILED = "gizzi-failed"
_TIME = re.compile(r"gizzi-\d{8}T\d{6}Z")

# A tag has 80 characters at most (types/model/name.go of Ollama), and the longest of ours is added to it.
_MAX_TAG = 80
_MAX_STEM = _MAX_TAG - len(".gizzi-20261124T021500Z")
_HASH = 12

# Ollama asks these hosts in their own way (server/images.go), and only under these very names.
_HUGGING_FACE = {"hf.co": "huggingface.co", "huggingface.co": "hf.co"}


@dataclass(frozen=True)
class Kept:
    """What a store holds of one model; each is None, or empty, where there is none."""

    model: Model | None
    # What was pulled, or is to come back, and is not judged yet.
    next: Model | None
    # What was taken back.
    failed: Model | None
    # The models before updates that went well, newest first.
    previous_models: tuple[Model, ...]
    # What a pull that was cut off has left: the same model under other names.
    strays: tuple[Model, ...]

    @property
    def previous(self) -> Model | None:
        """The newest previous model that differs from the one in use."""
        digest = self.model.digest if self.model else None
        return next((one for one in self.previous_models if one.digest != digest), None)

    def superfluous(self, keep: int) -> list[Model]:
        """What may go once nothing is unjudged: all but the newest ``keep`` previous models that are a way back."""
        seen = {self.model.digest} if self.model else set()
        useful: list[Model] = []
        for one in self.previous_models:
            if one.digest not in seen:
                seen.add(one.digest)
                useful.append(one)
        surplus = [one for one in self.previous_models if one not in useful[:keep]]
        return [*([self.failed] if self.failed else []), *self.strays, *surplus]


def next_name(name: ModelName) -> ModelName:
    """Return under which name the model lies that is not judged yet."""
    return name.with_tag(f"{_stem(name.tag)}.{_NEXT}")


def failed_name(name: ModelName) -> ModelName:
    """Return under which name the model lies that is taken back."""
    return name.with_tag(f"{_stem(name.tag)}.{_FAILED}")


def previous_name(name: ModelName, time: str) -> ModelName:
    """Return under which name a previous model lies; time is as 20261124T021500Z."""
    return name.with_tag(f"{_stem(name.tag)}.gizzi-{time}")


def pulled_name(name: ModelName, registry_host: str) -> ModelName:
    """Return under which name a model is pulled: another than its own, and the same model at the same registry.

    Ollama knows no other way to pull a model and leave alone what is there. A port that is meant anyway makes the name
    of the host another one.
    """
    if registry_host.lower() != name.host.lower():
        return name.at_host(registry_host)
    host = name.host.lower()
    if host in _HUGGING_FACE:
        return name.at_host(_HUGGING_FACE[host])
    return name.at_host(host.replace(":", ":0") if ":" in host else f"{host}:443")


def kept_of(name: ModelName, models: Iterable[Model], registry_host: str) -> Kept:
    """Sort out what belongs to a model; registry_host is where it is pulled from."""
    pulled = pulled_name(name, registry_host)
    own: dict[str, Model] = {}
    strays = []
    for model in models:
        try:
            found = parse_model_name(model.name)
        except InvalidModelNameError:
            continue
        if found.same_as(pulled):
            strays.append(model)
        elif found.same_as(name.with_tag(found.tag)):
            own[found.tag.lower()] = model
    prefix = f"{_stem(name.tag).lower()}."
    dated = {
        tag: model for tag, model in own.items() if tag.startswith(prefix) and _TIME.fullmatch(_suffix(tag, prefix))
    }
    if REPLACED_TAG in own:
        strays.append(own[REPLACED_TAG])
    return Kept(
        model=own.get(name.tag.lower()),
        next=own.get(f"{prefix}{_NEXT}"),
        failed=own.get(f"{prefix}{_FAILED}"),
        previous_models=tuple(dated[tag] for tag in sorted(dated, reverse=True)),
        strays=tuple(strays),
    )


def _stem(tag: str) -> str:
    """Return what our tags begin with: the model's own tag, or a shorter one that stands for it alone."""
    if len(tag) <= _MAX_STEM:
        return tag
    mark = hashlib.sha256(tag.lower().encode()).hexdigest()[:_HASH]
    return f"{tag[: _MAX_STEM - _HASH - 1]}.{mark}"


def _suffix(tag: str, prefix: str) -> str:
    """What follows the model's own tag, in the case in which it was written."""
    kind, _dash, time = tag[len(prefix) :].partition("-")
    return f"{kind}-{time.upper()}"
