# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tags that an update adds to a model. They are its whole state: an interrupted run leaves nothing else."""

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

# Names a replaced model for a moment: when this tag is deleted, Ollama removes the layers that nothing else uses.
REPLACED_TAG = "gizzi-replaced"

_NEXT = "gizzi-next"
_FAILED = "gizzi-failed"
_TIME = re.compile(r"gizzi-\d{8}T\d{6}Z")

# A tag has at most 80 characters (Ollama's types/model/name.go), including the longest suffix of an update.
_MAX_TAG = 80
_MAX_STEM = _MAX_TAG - len(".gizzi-20261124T021500Z")
_HASH = 12

# Ollama uses another protocol for these hosts (server/images.go), and only under exactly these names.
_HUGGING_FACE = {"hf.co": "huggingface.co", "huggingface.co": "hf.co"}


@dataclass(frozen=True)
class Kept:
    """One model and its other tags in the store; each is None or empty where there is none."""

    model: Model | None
    # A pulled model, or the model of a rollback, that is not judged yet.
    next: Model | None
    # The model that a rollback has replaced.
    failed: Model | None
    # The previous models of successful updates, newest first.
    previous_models: tuple[Model, ...]
    # What an interrupted pull has left: the same model under other names.
    strays: tuple[Model, ...]

    @property
    def previous(self) -> Model | None:
        """The newest previous model that differs from the model in use."""
        digest = self.model.digest if self.model else None
        return next((one for one in self.previous_models if one.digest != digest), None)

    def superfluous(self, keep: int) -> list[Model]:
        """Models to remove after the update: all except the newest ``keep`` previous models that a rollback can use."""
        seen = {self.model.digest} if self.model else set()
        useful: list[Model] = []
        for one in self.previous_models:
            if one.digest not in seen:
                seen.add(one.digest)
                useful.append(one)
        surplus = [one for one in self.previous_models if one not in useful[:keep]]
        return [*([self.failed] if self.failed else []), *self.strays, *surplus]


def next_name(name: ModelName) -> ModelName:
    """Return the name of the model that is not judged yet."""
    return name.with_tag(f"{_stem(name.tag)}.{_NEXT}")


def failed_name(name: ModelName) -> ModelName:
    """Return the name of the model that a rollback has replaced."""
    return name.with_tag(f"{_stem(name.tag)}.{_FAILED}")


def previous_name(name: ModelName, time: str) -> ModelName:
    """Return the name of a previous model; time has the form 20261124T021500Z."""
    return name.with_tag(f"{_stem(name.tag)}.gizzi-{time}")


def pulled_name(name: ModelName, registry_host: str) -> ModelName:
    """Return the name for a pull: it differs from the model's own name, but means the same model at the same registry.

    This is the only way to pull a model with Ollama and not replace the present one. The default port, when added,
    makes another host name.
    """
    if registry_host.lower() != name.host.lower():
        return name.at_host(registry_host)
    host = name.host.lower()
    if host in _HUGGING_FACE:
        return name.at_host(_HUGGING_FACE[host])
    return name.at_host(host.replace(":", ":0") if ":" in host else f"{host}:443")


def kept_of(name: ModelName, models: Iterable[Model], hosts: Iterable[str]) -> Kept:
    """Return all tags of a model; hosts are the registry and the mirror that it is pulled from."""
    pulled = [pulled_name(name, host) for host in hosts]
    own: dict[str, Model] = {}
    strays = []
    for model in models:
        try:
            found = parse_model_name(model.name)
        except InvalidModelNameError:
            continue
        if any(map(found.same_as, pulled)):
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
    """Return the beginning of an update's tags: the model's own tag, or a shorter one that is unique."""
    if len(tag) <= _MAX_STEM:
        return tag
    mark = hashlib.sha256(tag.lower().encode()).hexdigest()[:_HASH]
    return f"{tag[: _MAX_STEM - _HASH - 1]}.{mark}"


def _suffix(tag: str, prefix: str) -> str:
    """Return what follows the model's own tag, with the time in upper case as written."""
    kind, _dash, time = tag[len(prefix) :].partition("-")
    return f"{kind}-{time.upper()}"
