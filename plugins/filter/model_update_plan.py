# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import dataclass, fields

from ansible.errors import AnsibleFilterError

from ansible_collections.etrid.gizzi.plugins.module_utils._backups import kept_of
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model, find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import reason as brief

if t.TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._backups import Kept
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName

DOCUMENTATION = r"""
name: model_update_plan
short_description: Say what an update would do to the models of a server
version_added: 1.0.0
author: Ëtrid operations (@etrid)
description:
  - Used by the playbook C(etrid.gizzi.model_update).
positional: models, offered, keep, registry, hashed
options:
  _input:
    description: What M(etrid.gizzi.ollama_info) returned, also where it failed.
    type: dict
    required: true
  models:
    description:
      - The models that the server should have, each with C(name), and perhaps with C(digest), which is then the only
        one wanted, or with C(from), the base that it was made of.
    type: list
    elements: dict
    required: true
  offered:
    description: What M(etrid.gizzi.ollama_registry_info) returned, also where it failed.
    type: dict
    required: true
  keep:
    description: How many backups stay.
    type: int
    required: true
  registry:
    description: Base URL of the registry.
    type: str
    required: true
  hashed:
    description:
      - What M(etrid.gizzi.ollama_blobs) returned about the server's store, also where it failed. V(null) where nobody
        asked for it.
    type: dict
"""

EXAMPLES = r"""
- name: Compare
  ansible.builtin.set_fact:
    model_update_rows: "{{ seen | etrid.gizzi.model_update_plan(ollama_models, offered, 1, ollama_registry) }}"
"""

RETURN = r"""
_value:
  description:
    - Of each model that is pulled C(model), C(action), C(reason), C(digest_before) (an update was or will be made
      from it), C(digest_present), C(digest_wanted), C(size),
      C(pending) (the name of the model before an update that nobody has judged yet, or V("")), C(pinned) (whether one
      digest alone is wanted), C(made), the models that are made from it, C(blobs), what was found about each of its
      blobs, and C(damaged), the digests of those that have to be pulled anew.
    - C(action) is V(none), V(update) (pull, also what is damaged, load, judge), V(judge) (finish an update that was cut
      off), V(load) (older weights are in memory), V(sweep) (something superfluous is there), V(blocked) (the server or
      the model cannot be updated), V(unknown) (the registry did not tell) or V(unreachable).
  type: list
  elements: dict
"""


def _row(name: str, action: str, reason: str, **more: t.Any) -> dict[str, t.Any]:
    row: dict[str, t.Any] = {
        "model": name,
        "action": action,
        "reason": reason,
        "digest_before": None,
        "digest_present": None,
        "digest_wanted": None,
        "size": 0,
        "pending": "",
        "pinned": False,
        "made": [],
        "blobs": [],
        "damaged": [],
    }
    return {**row, **more}


def pulled_models(models: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    """The models that come from a registry, by full name: those that are listed, and the bases of those made here."""
    pulled: dict[str, dict[str, t.Any]] = {}
    for model in models:
        name = parse_model_name(str(model.get("from") or model["name"]))
        entry = pulled.setdefault(name.full.lower(), {"name": name, "digest": "", "made": []})
        if model.get("from"):
            entry["made"].append(dict(model))
        elif model.get("digest"):
            entry["digest"] = str(model["digest"]).lower().rsplit(":", maxsplit=1)[-1]
    return pulled


def _offered(offered: t.Mapping[str, t.Any], name: ModelName) -> dict[str, t.Any]:
    if "models" not in offered:
        return {"error": f"the registry could not be asked: {brief(offered)}"}
    for text, answer in offered["models"].items():
        if parse_model_name(text).same_as(name):
            return dict(answer)
    raise AnsibleFilterError(f"model_update_plan: nobody asked the registry about {name}")


@dataclass(frozen=True)
class _Look:
    """One pulled model on one server, beside what is wanted.

    Attributes:
        kept: what the server has of it.
        digests: the manifests that are wanted, one model in several ways to write it.
        layers: what the wanted model consists of, None where the registry was not asked.
        contents: what each of the server's models consists of, by name; None where its store could not be read.
        listed: the manifests that are listed as loaded under its name.
        in_memory: whether its weights are in memory, None where that could not be seen.
    """

    kept: Kept
    digests: t.Container[str]
    layers: t.Sequence[str] | None
    contents: t.Mapping[str, t.Sequence[str] | None]
    listed: t.Collection[str]
    in_memory: bool | None

    def is_wanted(self, model: Model) -> bool:
        """Whether it is the wanted one: by content where both are known, for a manifest can be written in many ways."""
        there = self.contents.get(model.name)
        if there is not None and self.layers is not None:
            return list(there) == list(self.layers)
        return model.digest in self.digests

    def is_unjudged(self) -> bool:
        """Whether an update has left another model beside it, and no verdict."""
        pending, model = self.kept.pending, self.kept.model
        if pending is None or model is None:
            return False
        before, now = self.contents.get(pending.name), self.contents.get(model.name)
        return before != now if before is not None and now is not None else pending.digest != model.digest

    def action(self, keep: int) -> tuple[str, str]:
        """Return what is to be done, and why; ``keep`` is how many backups stay."""
        model = self.kept.model
        if model is None:
            return "blocked", "the server does not have it: run the playbook etrid.gizzi.site"
        if not self.is_wanted(model):
            moved = "an update was cut off, and the tag has moved again" if self.is_unjudged() else "the tag has moved"
            return "update", moved
        if self.is_unjudged():
            return "judge", "an update was cut off before its verdict"
        if self.listed and model.digest not in self.listed and self.in_memory is False:
            return "load", "older weights are in memory"
        if self.kept.pending or self.kept.superfluous(keep):
            return "sweep", "it is current; something superfluous is beside it"
        return "none", "it is current"


def _is_of(blob: t.Mapping[str, t.Any], names: t.Iterable[ModelName]) -> bool:
    return any(_is_named(text, name) for text in blob["models"] for name in names)


def _is_named(text: str, name: ModelName) -> bool:
    try:
        return parse_model_name(text).same_as(name)
    except GizziError:
        return False


def _with_blobs(row: dict[str, t.Any], name: ModelName, hashed: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    """Return a row as it is once the blobs count too: what is damaged is pulled anew, what was not seen is not well."""
    if hashed is None or row["digest_present"] is None:
        return row
    if "blobs" not in hashed:
        unseen = f"its blobs could not be hashed: {brief(hashed)}"
        return {**row, "action": "blocked", "reason": unseen} if row["action"] == "none" else row
    names = [name, *(parse_model_name(str(model["name"])) for model in row["made"])]
    blobs = [blob for blob in hashed["blobs"] if _is_of(blob, names)]
    bad = [blob for blob in blobs if blob["status"] != "ok"]
    damaged = [blob for blob in bad if blob["status"] in ("damaged", "missing") and _is_of(blob, [name])]
    row = {**row, "blobs": blobs, "damaged": [blob["digest"] for blob in damaged]}
    said = "; ".join(str(blob["message"]) for blob in damaged or bad)
    if damaged and row["action"] not in ("unknown", "blocked"):
        return {**row, "action": "update", "reason": said}
    if bad and row["action"] in ("none", "unknown", "blocked"):
        reason = said if row["action"] == "none" else f"{row['reason']}; {said}"
        return {**row, "action": "unknown" if row["action"] == "unknown" else "blocked", "reason": reason}
    return row


def _look_at(
    info: t.Mapping[str, t.Any], name: ModelName, kept: Kept, digests: t.Container[str], layers: t.Sequence[str] | None
) -> _Look:
    present = kept.model.name if kept.model else ""
    return _Look(
        kept,
        digests,
        layers,
        {model["name"]: model.get("layers") for model in info["models"]},
        {model["digest"] for model in info["loaded"] if _is_named(model["name"], name)},
        next((model.get("loaded", False) for model in info["models"] if model["name"] == present), False),
    )


def model_update_plan(
    info: t.Mapping[str, t.Any],
    models: t.Sequence[t.Mapping[str, t.Any]],
    offered: t.Mapping[str, t.Any],
    keep: int,
    registry: str,
    hashed: t.Mapping[str, t.Any] | None = None,
) -> list[dict[str, t.Any]]:
    try:
        pulled = pulled_models(models)
        host = registry_at(registry).host
    except GizziError as error:
        raise AnsibleFilterError(f"model_update_plan: {error}") from error
    if info.get("unreachable") or "models" not in info:
        action = "unreachable" if info.get("unreachable") else "blocked"
        return [_row(str(entry["name"]), action, brief(info)) for entry in pulled.values()]
    stored = [Model(**{part.name: model[part.name] for part in fields(Model)}) for model in info["models"]]
    rows = []
    for entry in pulled.values():
        name, made = entry["name"], entry["made"]
        kept = kept_of(name, stored, host)
        more = {
            # Of an update that was cut off, the model before it is the pending one.
            "digest_before": (kept.pending or kept.model).digest if kept.model else None,
            "digest_present": kept.model.digest if kept.model else None,
            "pending": kept.pending.name if kept.pending else "",
            "pinned": bool(entry["digest"]),
            "made": made,
        }
        if entry["digest"]:
            digest, size = entry["digest"], 0
            look = _look_at(info, name, kept, [digest], None)
        else:
            answer = _offered(offered, name)
            if answer["error"]:
                rows.append(_with_blobs(_row(str(name), "unknown", str(answer["error"]), **more), name, hashed))
                continue
            digest, size = answer["digest"], answer["size"]
            look = _look_at(info, name, kept, answer["digests"], answer.get("layers"))
        action, reason = look.action(keep)
        absent = [str(model["name"]) for model in made if not find_model(stored, parse_model_name(str(model["name"])))]
        if absent and action == "none":
            action, reason = (
                "blocked",
                f"the server does not have {', '.join(absent)}: run the playbook etrid.gizzi.site",
            )
        row = _row(str(name), action, reason, digest_wanted=digest, size=size, **more)
        rows.append(_with_blobs(row, name, hashed))
    return rows


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"model_update_plan": model_update_plan}
