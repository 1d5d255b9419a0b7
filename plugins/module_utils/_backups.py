# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tags that an update keeps beside a model. They are all its state: a run that is cut off leaves nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import InvalidModelNameError, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model

# Holds the replaced model for a moment, so that deleting it frees the layers that nothing else uses.
REPLACED_TAG = "gizzi-replaced"

_PENDING = "gizzi-pending"
_FAILED = "gizzi-failed"
_TIME = re.compile(r"gizzi-\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Kept:
    """What a store holds of one model; each is None, or empty, where there is none."""

    model: Model | None
    # The model before an update that nobody has judged yet.
    pending: Model | None
    # What was taken back.
    failed: Model | None
    # Newest first.
    backups: tuple[Model, ...]
    # What a pull that was cut off has left: the same model under other names.
    strays: tuple[Model, ...]

    def superfluous(self, keep: int) -> list[Model]:
        """What may go once nothing is pending. A backup that is the model itself, or was pending, is no way back."""
        taken = {model.digest for model in (self.model, self.pending) if model}
        useful = [backup for backup in self.backups if backup.digest not in taken]
        surplus = [backup for backup in self.backups if backup not in useful[:keep]]
        return [*([self.failed] if self.failed else []), *self.strays, *surplus]


def pending_name(name: ModelName) -> ModelName:
    return name.with_tag(f"{name.tag}.{_PENDING}")


def failed_name(name: ModelName) -> ModelName:
    return name.with_tag(f"{name.tag}.{_FAILED}")


def backup_name(name: ModelName, time: str) -> ModelName:
    return name.with_tag(f"{name.tag}.gizzi-{time}")


def kept_of(name: ModelName, models: Iterable[Model], registry_host: str) -> Kept:
    """Sort out what belongs to a model; registry_host is where it is pulled from."""
    own: dict[str, Model] = {}
    strays = []
    for model in models:
        try:
            found = parse_model_name(model.name)
        except InvalidModelNameError:
            continue
        if registry_host.lower() != name.host.lower() and found.same_as(name.at_host(registry_host)):
            strays.append(model)
        elif found.same_as(name.with_tag(found.tag)):
            own[found.tag.lower()] = model
    prefix = f"{name.tag.lower()}."
    dated = {
        tag: model for tag, model in own.items() if tag.startswith(prefix) and _TIME.fullmatch(_suffix(tag, prefix))
    }
    if REPLACED_TAG in own:
        strays.append(own[REPLACED_TAG])
    return Kept(
        model=own.get(name.tag.lower()),
        pending=own.get(f"{prefix}{_PENDING}"),
        failed=own.get(f"{prefix}{_FAILED}"),
        backups=tuple(dated[tag] for tag in sorted(dated, reverse=True)),
        strays=tuple(strays),
    )


def _suffix(tag: str, prefix: str) -> str:
    """What follows the model's own tag, in the case in which it was written."""
    kind, _dash, time = tag[len(prefix) :].partition("-")
    return f"{kind}-{time.upper()}"
