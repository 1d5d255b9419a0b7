# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_backup
short_description: Keep a way back from the update of a model
version_added: 1.0.0
author:
  - Ëtrid operations (@etrid)
description:
  - Keeps copies of a model under tags beside its own, brings one of them back, and removes those that are no longer
    wanted. A copy costs no disk while the model has the same layers.
  - All that is known about an unfinished update is in these tags, so that another run can finish it.
extends_documentation_fragment:
  - etrid.gizzi.server
  - etrid.gizzi.attributes
  - etrid.gizzi.attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: The model, as C([[host/]namespace/]model[:tag]). Without a tag it is V(latest).
    type: str
    required: true
  state:
    description:
      - V(pending), before an update, keeps the model as C(<tag>.gizzi-pending). One that is there already is the
        model before an update that was cut off, and stays.
      - V(restored) brings back what O(source) names. What it replaces is kept as C(<tag>.gizzi-failed), by which it can
        be unloaded.
      - V(settled), after the verdict, makes the pending model a backup named C(<tag>.gizzi-<UTC time>), and removes
        what was taken back, what a pull that was cut off has left under other names, and all backups but the newest
        O(keep). A pending model or a backup that is the model itself is no way back, and goes too.
    type: str
    choices:
      - pending
      - restored
      - settled
    required: true
  source:
    description:
      - What O(state=restored) brings back, V(pending), the model before an update without a verdict, or V(newest),
        that one or else the newest backup that is another model than the one in use.
    type: str
    choices:
      - pending
      - newest
    default: pending
  keep:
    description: How many backups stay with O(state=settled).
    type: int
    default: 1
  models_dir:
    description:
      - The server's model store. When given, O(state=settled) also removes the layers that no model of the server has,
        such as those that a pull leaves behind which was given up. No pull may be under way.
    type: path
  registry:
    description:
      - Base URL of the registry from which the model is pulled, as for M(etrid.gizzi.ollama_model). What a pull that
        was cut off has left under the registry's name is removed with O(state=settled).
    type: str
    default: https://registry.ollama.ai
seealso:
  - module: etrid.gizzi.ollama_model
  - module: etrid.gizzi.ollama_loaded
"""

EXAMPLES = r"""
- name: Keep the model that is about to be replaced
  etrid.gizzi.ollama_backup:
    name: llama3.1:8b
    state: pending

- name: Go back
  etrid.gizzi.ollama_backup:
    name: llama3.1:8b
    state: restored
    source: newest

- name: Be done with the update
  etrid.gizzi.ollama_backup:
    name: llama3.1:8b
    state: settled
    keep: 2
"""

RETURN = r"""
model:
  description: The model's name as Ollama shows it, with its tag.
  returned: success
  type: str
  sample: llama3.1:8b
digest_before:
  description: SHA-256 of the model's manifest before the run, V(null) when there was no model.
  returned: success
  type: str
digest:
  description: SHA-256 of the model's manifest after the run, V(null) when there is no model. Predicted in check mode.
  returned: success
  type: str
pending:
  description: The name under which O(state=pending) keeps the model.
  returned: success
  type: str
  sample: llama3.1:8b.gizzi-pending
replaced:
  description: The name under which O(state=restored) keeps what it has replaced.
  returned: success
  type: str
  sample: llama3.1:8b.gizzi-failed
source:
  description: The name under which the model was kept that O(state=restored) has brought back.
  returned: success
  type: str
  sample: llama3.1:8b.gizzi-20261124T021500Z
kept:
  description: The backups that are there after the run, newest first, without a pending one.
  returned: success
  type: list
  elements: str
removed:
  description: The names that were removed.
  returned: success
  type: list
  elements: str
freed:
  description:
    - Bytes of disk that the layers had which no model has, V(0) without O(models_dir). In check mode always V(0).
  returned: success
  type: int
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.etrid.gizzi.plugins.module_utils._backups import (
    backup_name,
    failed_name,
    kept_of,
    pending_name,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import DEFAULT_REGISTRY, registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._store import Store

if TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._backups import Kept
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model


@dataclass
class Outcome:
    digest_before: str | None
    digest: str | None
    changed: bool = False
    source: str | None = None
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    freed: int = 0
    warning: str = ""


@dataclass(frozen=True)
class Keeper:
    server: Ollama
    name: ModelName
    registry_host: str
    store: Store | None
    check_mode: bool

    def look(self) -> Kept:
        return kept_of(self.name, self.server.models(), self.registry_host)

    def pending(self) -> Outcome:
        kept = self.look()
        if kept.model is None:
            raise GizziError(f"The server has no model {self.name}: there is nothing to keep.")
        outcome = Outcome(kept.model.digest, kept.model.digest, kept=[backup.name for backup in kept.backups])
        if kept.pending is None:
            outcome.changed = True
            self._copy(self.name, pending_name(self.name))
        return outcome

    def restored(self, newest: bool) -> Outcome:
        kept = self.look()
        source = newest_of(kept) if newest else kept.pending
        if source is None:
            wanted = "backup of it that is another model than the one in use" if newest else "pending model"
            raise GizziError(f"{self.name} has no {wanted}: there is nothing to go back to.")
        before = kept.model.digest if kept.model else None
        outcome = Outcome(before, source.digest, source=source.name, kept=[backup.name for backup in kept.backups])
        if kept.model and kept.model.digest == source.digest:
            return outcome
        outcome.changed = True
        if kept.model:
            # Deleting frees layers that a copy would leave behind.
            self._delete(failed_name(self.name))
            self._copy(self.name, failed_name(self.name))
        self._copy(parse_model_name(source.name), self.name)
        return outcome

    def settled(self, keep: int, time: str) -> Outcome:
        kept = self.look()
        digest = kept.model.digest if kept.model else None
        outcome = Outcome(digest, digest)
        dated = []
        if kept.pending and kept.model and kept.pending.digest != kept.model.digest and keep > 0:
            dated = [str(backup_name(self.name, time))]
            self._copy(pending_name(self.name), backup_name(self.name, time))
        superfluous = kept.superfluous(keep - len(dated))
        if kept.pending:
            superfluous.append(kept.pending)
        outcome.removed = [model.name for model in superfluous if model.name not in dated]
        for name in outcome.removed:
            self._delete(parse_model_name(name))
        gone = {model.name for model in superfluous}
        outcome.kept = dated + [backup.name for backup in kept.backups if backup.name not in gone]
        outcome.changed = bool(outcome.removed)
        try:
            if self.store and self.store.orphans():
                outcome.changed = True
                outcome.freed = 0 if self.check_mode else self.store.drop_orphans()
        except GizziError as error:
            # The model is well all the same.
            outcome.warning = str(error)
        return outcome

    def _copy(self, source: ModelName, destination: ModelName) -> None:
        if not self.check_mode:
            self.server.copy(source, destination)

    def _delete(self, name: ModelName) -> None:
        if not self.check_mode:
            self.server.delete(name)


def newest_of(kept: Kept) -> Model | None:
    """What to go back to: the pending model, or the newest backup that is another one than the model in use."""
    if kept.pending:
        return kept.pending
    digest = kept.model.digest if kept.model else None
    return next((backup for backup in kept.backups if backup.digest != digest), None)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "request_timeout": {"type": "float", "default": 10},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["pending", "restored", "settled"], "required": True},
            "source": {"type": "str", "choices": ["pending", "newest"], "default": "pending"},
            "keep": {"type": "int", "default": 1},
            "models_dir": {"type": "path"},
            "registry": {"type": "str", "default": DEFAULT_REGISTRY},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        if params["keep"] < 0:
            raise GizziError(f"keep: {params['keep']} backups cannot be kept; 0 or more can.")
        keeper = Keeper(
            Ollama(params["url"], params["request_timeout"]),
            parse_model_name(params["name"]),
            registry_at(params["registry"]).host,
            Store(Path(params["models_dir"])) if params["models_dir"] else None,
            module.check_mode,
        )
        if params["state"] == "pending":
            outcome = keeper.pending()
        elif params["state"] == "restored":
            outcome = keeper.restored(params["source"] == "newest")
        else:
            outcome = keeper.settled(params["keep"], datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"))
    except GizziError as error:
        module.fail_json(msg=str(error))
    result = asdict(outcome)
    warning = result.pop("warning")
    if warning:
        module.warn(warning)
    module.exit_json(
        model=str(keeper.name),
        pending=str(pending_name(keeper.name)),
        replaced=str(failed_name(keeper.name)),
        **result,
    )


if __name__ == "__main__":
    main()
