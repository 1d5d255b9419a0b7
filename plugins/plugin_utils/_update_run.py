# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An update of the fleet, seen from the control host: what each server needs, who goes first, whose turn it is."""

from __future__ import annotations

import typing as t
from dataclasses import fields

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Model, find_model
from ansible_collections.etrid.gizzi.plugins.module_utils._registry import registry_at
from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import reason as brief
from ansible_collections.etrid.gizzi.plugins.module_utils._update.plan import Sight
from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import kept_of
from ansible_collections.etrid.gizzi.plugins.module_utils._update.wanted import BAD

if t.TYPE_CHECKING:
    from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import ModelName
    from ansible_collections.etrid.gizzi.plugins.module_utils._update.tags import Kept

    Result = t.Mapping[str, t.Any]
    Row = dict[str, t.Any]

# The actions for which an update does something.
WORK = ("update", "finish", "load", "sweep")
# The options of a derived model that the module gets.
DERIVED = ("name", "system", "template", "parameters", "adapter")


def plan(
    info: Result, hashed: Result | None, offered: Result, models: t.Sequence[Result], keep: int, registry: str
) -> list[Row]:
    """Return of each model that is pulled what is to be done about it on one server.

    :param info: what ollama_info returned, also where it failed.
    :param hashed: what ollama_blobs returned, also where it failed; None where nobody asked for it.
    :param offered: what ollama_registry_info returned, also where it failed.
    :param models: the models that the server is to have.
    :param keep: how many previous models stay.

    Raises GizziError for names that are none.
    """
    pulled = pulled_models(models)
    host = registry_at(registry).host
    if info.get("unreachable") or "models" not in info:
        action = "unreachable" if info.get("unreachable") else "blocked"
        return [_row(str(entry["name"]), action, brief(info)) for entry in pulled.values()]
    stored = [Model(**{part.name: model[part.name] for part in fields(Model)}) for model in info["models"]]
    return [
        _with_blobs(_planned(entry, info, stored, offered, keep, host), entry["name"], hashed)
        for entry in pulled.values()
    ]


def asked_models(models: t.Iterable[Result]) -> list[str]:
    """Return the names that the registry is asked about: those that are pulled and not pinned to a digest."""
    return [str(entry["name"]) for entry in pulled_models(list(models)).values() if not entry["digest"]]


def pulled_models(models: t.Sequence[Result]) -> dict[str, dict[str, t.Any]]:
    """The models that come from a registry, by full name: those that are listed, and the bases of derived models."""
    pulled: dict[str, dict[str, t.Any]] = {}
    for model in models:
        name = parse_model_name(str(model.get("from") or model["name"]))
        entry = pulled.setdefault(name.full.lower(), {"name": name, "digest": "", "derived": []})
        if model.get("from"):
            entry["derived"].append({part: model[part] for part in DERIVED if model.get(part) is not None})
        elif model.get("digest"):
            entry["digest"] = str(model["digest"]).lower().rsplit(":", maxsplit=1)[-1]
    return pulled


def _row(name: str, action: str, reason: str, **more: t.Any) -> Row:
    row: Row = {
        "model": name,
        "action": action,
        "reason": reason,
        "digest_before": None,
        "digest_present": None,
        "digest_wanted": None,
        "size": 0,
        "pinned": False,
        "derived": [],
        "blobs": [],
        "damaged": [],
    }
    return {**row, **more}


def _planned(entry: Result, info: Result, stored: list[Model], offered: Result, keep: int, registry_host: str) -> Row:
    name, derived, pin = entry["name"], entry["derived"], entry["digest"]
    kept = kept_of(name, stored, registry_host)
    before = kept.previous if kept.next and kept.model and kept.next.digest == kept.model.digest else None
    more = {
        "digest_before": (before or kept.model).digest if kept.model else None,
        "digest_present": kept.model.digest if kept.model else None,
        "pinned": bool(pin),
        "derived": derived,
    }
    if pin:
        digest, size, sight = pin, 0, _sight(info, name, kept, [pin], None)
    else:
        answer = _offered(offered, name)
        if answer["error"]:
            return _row(str(name), "unknown", str(answer["error"]), **more)
        digest, size = answer["digest"], answer["size"]
        sight = _sight(info, name, kept, answer["digests"], answer.get("layers"))
    action, reason = sight.action(keep)
    absent = [str(model["name"]) for model in derived if not find_model(stored, parse_model_name(str(model["name"])))]
    if absent and action == "none":
        action = "blocked"
        reason = f"the server does not have {', '.join(absent)}: run the playbook etrid.gizzi.site"
    return _row(str(name), action, reason, digest_wanted=digest, size=size, **more)


def _offered(offered: Result, name: ModelName) -> Result:
    if "models" not in offered:
        return {"error": f"the registry could not be asked: {brief(offered)}"}
    for text, answer in offered["models"].items():
        if parse_model_name(text).same_as(name):
            return dict(answer)
    raise GizziError(f"nobody asked the registry about {name}")


def _sight(
    info: Result, name: ModelName, kept: Kept, digests: t.Container[str], layers: t.Sequence[str] | None
) -> Sight:
    present = kept.model.name if kept.model else ""
    return Sight(
        kept,
        digests,
        layers,
        {model["name"]: model.get("layers") for model in info["models"]},
        {model["digest"] for model in info["loaded"] if _is_named(model["name"], name)},
        next((model.get("loaded", False) for model in info["models"] if model["name"] == present), False),
    )


def _is_named(text: str, name: ModelName) -> bool:
    try:
        return parse_model_name(text).same_as(name)
    except GizziError:
        return False


def _is_of(blob: Result, names: t.Iterable[ModelName]) -> bool:
    return any(_is_named(text, name) for text in blob["models"] for name in names)


def _with_blobs(row: Row, name: ModelName, hashed: Result | None) -> Row:
    """Return a row as it is once the blobs count too: what is damaged is pulled anew, what was not seen is not well."""
    if hashed is None or row["digest_present"] is None:
        return row
    if "blobs" not in hashed:
        unseen = f"its blobs could not be hashed: {brief(hashed)}"
        return {**row, "action": "blocked", "reason": unseen} if row["action"] == "none" else row
    names = [name, *(parse_model_name(str(model["name"])) for model in row["derived"])]
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


def rollback_plan(looks: t.Sequence[Result], named: bool, models: t.Sequence[Result]) -> list[Row]:
    """Return of each model whether there is something to go back to, by what a dry run of the module has said.

    A model that no update has touched is left alone, unless it was named.
    """
    found = any(look.get("verdict") == "planned" for look in looks)
    rows = []
    for look in looks:
        if look.get("unreachable"):
            rows.append(_row(str(look["item"]), "unreachable", brief(look)))
            continue
        verdict, reason = look.get("verdict", "refused"), str(look.get("reason") or brief(look))
        action = "update" if verdict == "planned" else "none" if found and not named else "refused"
        name = str(look.get("model") or look["item"])
        derived = pulled_models(models).get(parse_model_name(name).full.lower(), {"derived": []})["derived"]
        before, wanted = look.get("digest_before"), look.get("digest_wanted")
        rows.append(
            _row(
                name, action, reason, digest_before=before, digest_present=before, digest_wanted=wanted, derived=derived
            )
        )
    return rows


def unfit(checks: Result, capacity: Result) -> tuple[str, bool]:
    """Return why a server is not to be touched, "" where it is fit, and whether it is out of reach.

    :param checks: what a check of each of its models has returned; a loop's results.
    :param capacity: what host_capacity has returned. Of the disk the pull itself judges.
    """
    results = [*checks.get("results", []), capacity]
    if any(result.get("unreachable") for result in results):
        return "the host became unreachable", True
    ill = [str(one["reason"]) for one in checks.get("results", []) if one.get("verdict") in BAD]
    ill += [
        str(check["message"])
        for check in capacity.get("checks", [])
        if not check["ok"] and str(check["name"]).startswith("memory")
    ]
    silent = [one for one in checks.get("results", []) if "verdict" not in one and not one.get("skipped")]
    silent += [] if "checks" in capacity or capacity.get("skipped") else [capacity]
    return " ".join(dict.fromkeys([*ill, *(brief(one) for one in silent)])), False


def first_of(fit: t.Sequence[str], canary: str) -> str:
    """Return who goes first: the canary where it is fit, else the first that is; "" where nobody is."""
    return canary if canary in fit else next(iter(fit), "")


def is_bad(result: Result) -> bool:
    """Tell whether after a result of the module nobody else is to be touched."""
    return bool(result.get("unreachable")) or result.get("verdict", "failed") in BAD


def why_stopped(settled: t.Iterable[Result]) -> str:
    """Return what has stopped the run, by all results of the module so far; "" where nothing has."""
    for result in settled:
        if not result.get("skipped") and is_bad(result):
            return str(result.get("reason") or brief(result))
    return ""
