# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control host's part of a fleet's update: the actions for each server, the first server, and the order."""

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

# The actions that change something.
WORK = ("update", "finish", "load", "sweep")
# The options of a derived model for the module.
DERIVED = ("name", "system", "template", "parameters", "adapter")


def plan(
    info: Result,
    hashed: Result | None,
    offered: Result,
    models: t.Sequence[Result],
    keep: int,
    sources: t.Sequence[str],
) -> list[Row]:
    """Return the planned action for each pulled model of one server.

    :param info: the result of ollama_info, also of a failed one.
    :param hashed: the result of ollama_blobs, also of a failed one; None where it was not requested.
    :param offered: the result of ollama_registry_info, also of a failed one.
    :param models: the server's wanted models.
    :param keep: the number of previous models to keep.
    :param sources: URLs of the registry, and of the mirror where there is one.

    Raises GizziError for invalid names.
    """
    pulled = pulled_models(models)
    hosts = [registry_at(url).host for url in sources]
    if info.get("unreachable") or "models" not in info:
        action = "unreachable" if info.get("unreachable") else "blocked"
        return [_row(str(entry["name"]), action, brief(info)) for entry in pulled.values()]
    stored = [Model(**{part.name: model[part.name] for part in fields(Model)}) for model in info["models"]]
    return [
        _with_blobs(_planned(entry, info, stored, offered, keep, hosts), entry["name"], hashed)
        for entry in pulled.values()
    ]


def asked_models(models: t.Iterable[Result]) -> list[str]:
    """Return the names to ask the registry about: pulled models that are not pinned to a digest."""
    return [str(entry["name"]) for entry in pulled_models(list(models)).values() if not entry["digest"]]


def pulled_models(models: t.Sequence[Result]) -> dict[str, dict[str, t.Any]]:
    """Return the models from a registry, by full name: the listed ones and the bases of derived models."""
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


def _planned(
    entry: Result, info: Result, stored: list[Model], offered: Result, keep: int, hosts: t.Sequence[str]
) -> Row:
    name, derived, pin = entry["name"], entry["derived"], entry["digest"]
    kept = kept_of(name, stored, hosts)
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


def manifest_of(offered: Result, model: str) -> str:
    """Return what a pull of a model from a mirror is pinned to, "" where the registry has not told it."""
    name = parse_model_name(model)
    return next(
        (
            str(one["manifest"])
            for text, one in offered.get("models", {}).items()
            if parse_model_name(text).same_as(name)
        ),
        "",
    )


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
    """Return the row with the blobs' result: damaged blobs are pulled again, unchecked blobs are a problem."""
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
    """Return for each model whether a previous model can be restored, from the results of the module's dry runs.

    A model without an update is skipped, unless the operator has named it.
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
    """Return the reason why a server is not fit, "" where it is, and whether it is unreachable.

    :param checks: the results of the loop that checks each of its models.
    :param capacity: the result of host_capacity. Its disk space is ignored, because the pull itself checks it.
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
    """Return the first server: the canary if it is fit, else the first fit one, "" for none."""
    return canary if canary in fit else next(iter(fit), "")


def is_bad(result: Result) -> bool:
    """Return whether the run must stop after this result of the module."""
    return bool(result.get("unreachable")) or result.get("verdict", "failed") in BAD


def why_stopped(settled: t.Iterable[Result]) -> str:
    """Return the reason why the run must stop, from all results of the module until now, "" for none."""
    for result in settled:
        if not result.get("skipped") and is_bad(result):
            return str(result.get("reason") or brief(result))
    return ""
