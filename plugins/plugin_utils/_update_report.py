# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of an update for programs, for people and for Prometheus."""

from __future__ import annotations

import typing as t

from ansible_collections.etrid.gizzi.plugins.module_utils._report._given import reason as brief
from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown, shown_in_markdown
from ansible_collections.etrid.gizzi.plugins.module_utils._units import human_bytes

if t.TYPE_CHECKING:
    Result = t.Mapping[str, t.Any]
    Row = dict[str, t.Any]

FIELDS = (
    "model",
    "digest_before",
    "digest_after",
    "digest_wanted",
    "bytes",
    "seconds",
    "speed_before",
    "speed_after",
    "pass_rate_before",
    "pass_rate_after",
    "blobs",
    "verdict",
    "reason",
)
# Verdicts for models that were not changed, by the planned action.
IDLE = {
    "none": "current",
    "blocked": "unhealthy",
    "unknown": "failed",
    "unreachable": "unreachable",
    "refused": "refused",
}
# The verdicts that need no operator.
GOOD = frozenset(("current", "updated", "reloaded", "rebuilt", "swept", "planned", "rolled_back"))
_LAST_SUCCESS = "gizzi_model_update_last_success_timestamp_seconds"


def host_rows(
    host: str,
    planned: t.Sequence[Result],
    checks: t.Mapping[str, Result],
    pulled: t.Mapping[str, Result],
    done: t.Mapping[str, Result],
    unfit: tuple[str, bool],
    stopped: str,
    check_mode: bool,
    lost: bool,
) -> list[Row]:
    """Return the result of each model of a server.

    :param planned: the planned actions, one row for each model.
    :param checks: the results of the checks, by model.
    :param pulled: the module's results of models that were pulled before their turn, by model.
    :param done: the module's results of the turns, by model.
    :param unfit: the reason why the server was not fit, and whether it was unreachable.
    :param stopped: the reason why the run stopped early, "" where it did not.
    :param lost: whether Ansible has removed the host from the run before its end.
    """
    rows = []
    for row in planned:
        name = str(row["model"])
        if name in done:
            rows += _done(host, row, pulled.get(name, {}), done[name])
            continue
        known = {"digest_before": row["digest_before"], "digest_after": row["digest_present"], "bytes": 0}
        if lost:
            verdict, reason = "failed", "the run broke off there, see above"
        else:
            verdict, reason = _untouched(row, unfit, stopped, check_mode)
        if verdict == "planned":
            known |= {"digest_after": None, "bytes": checks.get(name, {}).get("bytes_missing") or 0}
        rows.append(_line(host, row, {**known, "verdict": verdict, "reason": reason}))
    return rows or [_line(host, {}, {"verdict": "failed", "reason": "it was not looked at"})]


def _line(host: str, row: Result, known: Result) -> Row:
    shared = {"model": row.get("model"), "digest_wanted": row.get("digest_wanted"), "blobs": row.get("blobs", [])}
    found = {"seconds": 0, "bytes": 0, **shared, **known} if row else dict(known)
    return {"host": host, **{field: found.get(field) for field in FIELDS}}


def _done(host: str, row: Result, pulled: Result, result: Result) -> list[Row]:
    """Return the row of a model that had its turn, and a row for each model derived from it."""
    if "verdict" not in result:
        gone = bool(result.get("unreachable"))
        known = {
            "digest_before": row["digest_before"],
            "digest_after": row["digest_present"],
            "verdict": "unreachable" if gone else "failed",
            "reason": f"the server became unreachable in its turn: {brief(result)}" if gone else brief(result),
        }
        return [_line(host, row, known)]
    known = {
        **result,
        # After a good verdict, the reason for the update is the one found before the module ran.
        "reason": row["reason"] if result["verdict"] in GOOD else result["reason"],
        "bytes": result["bytes_pulled"] + pulled.get("bytes_pulled", 0),
        "seconds": round(result["seconds"] + pulled.get("seconds", 0), 1),
    }
    lines = [_line(host, row, known)]
    return lines + [_line(host, {"model": one["model"]}, one) for one in result["derived"]]


def _untouched(row: Result, unfit: tuple[str, bool], stopped: str, check_mode: bool) -> tuple[str, str]:
    if row["action"] in IDLE:
        return IDLE[row["action"]], str(row["reason"])
    if unfit[0]:
        return "unreachable" if unfit[1] else "unhealthy", unfit[0]
    if check_mode:
        return "planned", str(row["reason"])
    return "untouched", f"{row['reason']}; the run stopped before its turn{f' ({stopped})' if stopped else ''}"


def summary(rows: t.Iterable[Result]) -> dict[str, int]:
    """Return the number of each verdict, sorted by name."""
    verdicts = [str(row["verdict"]) for row in rows]
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def message(rows: t.Sequence[Result]) -> str:
    """Return the result as one sentence."""
    verdicts = {row["verdict"] for row in rows}
    if verdicts <= {"current"}:
        return "Nothing to do: every model is current."
    if verdicts <= GOOD:
        return "A run would do this; nothing was changed." if "planned" in verdicts else "All is well."
    bad = [row for row in rows if row["verdict"] not in GOOD | {"untouched"}] or rows
    return f"This needs a look: {', '.join(dict.fromkeys(shown(str(row['host'])) for row in bad))}."


def table(document: Result) -> str:
    """Return the results as a table for a terminal."""
    lines = [
        f"Topology {document['topology']}: {_counted(document['summary'])}, in {document['seconds']} s",
        str(document["message"]),
        "",
        _columns("VERDICT", "HOST", "MODEL", "BEFORE", "AFTER", "BYTES", "SECONDS", "TOKENS/S"),
    ]
    for row in document["results"]:
        speeds = [row["speed_before"], row["speed_after"]]
        speed = "" if speeds == [None, None] else " > ".join(str(one or "-") for one in speeds)
        size = human_bytes(row["bytes"]) if row["bytes"] else ""
        digests = [str(row[name] or "")[:12] for name in ("digest_before", "digest_after")]
        lines.append(_columns(row["verdict"], row["host"], row["model"], *digests, size, row["seconds"] or "", speed))
        if row["verdict"] != "current":
            lines.append(f"             {shown(str(row['reason']))}")
    return "\n".join(lines) + "\n"


def _columns(*values: t.Any) -> str:
    widths = ("<11", "<14", "<24", "<12", "<12", ">9", ">7", ">13")
    return "  ".join(f"{shown(str(value)):{width}}" for value, width in zip(values, widths))


def _counted(counts: t.Mapping[str, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


HEADINGS = (
    "host",
    "model",
    "verdict",
    "digest before",
    "digest after",
    "bytes",
    "seconds",
    "tokens/s before",
    "tokens/s after",
    "reason",
)


def markdown(name: str, document: Result) -> str:
    """Return the results as a Markdown page."""
    dry = ", a dry run" if document["check"] else ""
    lines = [
        f"# {name} {document['time']}",
        "",
        f"{shown_in_markdown(document['message'])} Topology {document['topology']}{dry}, {document['seconds']} s:",
        f"{_counted(document['summary'])}.",
        "",
        _cells(HEADINGS),
        "|" + "---|" * len(HEADINGS),
    ]
    for row in document["results"]:
        digests = [str(row[part] or "")[:12] for part in ("digest_before", "digest_after")]
        speeds = [row["speed_before"] or "", row["speed_after"] or ""]
        cells = [
            row["host"],
            row["model"],
            row["verdict"],
            *digests,
            row["bytes"],
            row["seconds"],
            *speeds,
            row["reason"],
        ]
        lines.append(_cells(cells))
    for row in document["results"]:
        if row["blobs"]:
            named = shown_in_markdown(f"{row['model']} on {row['host']}")
            lines += ["", f"Blobs of {named}, as they were found:", ""]
            lines += ["| blob | bytes | status | what is wrong |", "|---|---|---|---|"]
            lines += [
                _cells([blob["digest"] or "", blob["size"], blob["status"], blob["message"]]) for blob in row["blobs"]
            ]
    return "\n".join(lines) + "\n"


def _cells(values: t.Iterable[t.Any]) -> str:
    return "| " + " | ".join(shown_in_markdown(str(value)) for value in values) + " |"


def metrics(document: Result, now: int, before: str) -> str:
    """Return the metrics for node_exporter; before: the last run's metrics, now: seconds since 1970."""
    success = bool(document["success"])
    last = now if success else _last_success(before)
    values: list[tuple[str, str, t.Any]] = [
        ("last_run_timestamp_seconds", "When the last run of the model update ended.", now),
        ("last_success_timestamp_seconds", "When the last run ended that left nothing to be done.", last),
        ("success", "Whether the last run left nothing to be done.", int(success)),
        ("duration_seconds", "How long the last run took.", document["seconds"]),
    ]
    lines = []
    for name, told, value in values:
        full = f"gizzi_model_update_{name}"
        lines += [f"# HELP {full} {told}", f"# TYPE {full} gauge", f"{full} {value}"]
    full = "gizzi_model_update_result"
    lines += [f"# HELP {full} What came of each model of each server in the last run.", f"# TYPE {full} gauge"]
    for row in document["results"]:
        labels = {"host": row["host"], "model": row["model"] or "", "verdict": row["verdict"]}
        told = ",".join(f'{name}="{_label(value)}"' for name, value in labels.items())
        lines.append(f"{full}{{{told}}} 1")
    return "\n".join(lines) + "\n"


def _label(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _last_success(page: str) -> str:
    for line in page.splitlines():
        name, _space, value = line.partition(" ")
        if name == _LAST_SUCCESS and value.isdigit():
            return value
    return "0"
