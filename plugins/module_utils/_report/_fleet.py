# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole fleet judged: rows, their sum, and the text that is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.module_utils._report._checks import verify
from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._report._topics import diagnose
from ansible_collections.etrid.gizzi.plugins.module_utils._shown import shown, shown_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import Wanted

MARGIN = " " * 15
# More different reasons than that are not shown of what is well.
SHOWN_REASONS = 2
STATUS = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}


@dataclass(frozen=True)
class Report:
    """What a playbook tells: rows for programs, counts by word, and the same for people, in lines."""

    rows: list[dict[str, Any]]
    summary: dict[str, int]
    table: str


@dataclass(frozen=True)
class Fleet:
    """What was seen, by host and task; what is wanted, by host; and at which hosts the run broke off."""

    topology: str
    expected: int
    wanted: dict[str, Wanted]
    seen: Mapping[str, Mapping[str, Any]]
    lost: list[str]

    @property
    def hosts(self) -> list[Host]:
        """The hosts, in the order of the inventory."""
        return [Host(self.seen.get(name) or {}, wanted) for name, wanted in self.wanted.items()]


def verified(fleet: Fleet) -> Report:
    """Go through the checklist on every host."""
    rows: list[dict[str, Any]] = [_inventory(fleet)]
    if fleet.lost:
        rows.append(
            {
                "item": "Every host could be judged",
                "check": "run",
                "host": ", ".join(fleet.lost),
                "status": "FAIL",
                "reason": "the run broke off there, see above",
            }
        )
    rows += [row for host in fleet.hosts for row in verify(host)]
    summary = {word: sum(row["status"] == status for row in rows) for status, word in STATUS.items()}
    counts = ", ".join(f"{count} {word}" for word, count in summary.items())
    lines = [f"Topology {fleet.topology}: {counts}", "", "RESULT  HOSTS  ITEM"]
    for item in dict.fromkeys(row["item"] for row in rows):
        lines += _item_lines(item, [row for row in rows if row["item"] == item])
    return Report(rows, summary, "\n".join(lines))


def diagnosed(fleet: Fleet) -> Report:
    """Look into what may be wrong on every host."""
    lines, all_rows = [], []
    for host in fleet.hosts:
        rows = diagnose(host)
        all_rows += rows
        lines += ["", shown(host.wanted.host)]
        for row in rows:
            lines += _finding_lines(row)
    problems = sum(not row["ok"] for row in all_rows)
    return Report(
        all_rows, {"problems": problems}, "\n".join([f"Topology {fleet.topology}: {problems} problems", *lines])
    )


def _inventory(fleet: Fleet) -> dict[str, str]:
    listed = len({name for wanted in fleet.wanted.values() for name in wanted.fleet})
    return {
        "item": "All validators of the network are in the inventory",
        "check": "inventory",
        "host": "inventory",
        "status": "PASS" if listed >= fleet.expected else "FAIL",
        "reason": f"{listed} of {fleet.expected} are",
    }


def _item_lines(item: str, rows: list[dict[str, Any]]) -> Iterable[str]:
    passed = [row for row in rows if row["status"] == "PASS"]
    failed = any(row["status"] == "FAIL" for row in rows)
    result = "FAIL" if failed else "PASS" if passed else "SKIP"
    yield f"{result:<6}  {f'{len(passed)}/{len(rows)}':>5}  {item}"
    for reason, same in _by_reason(row for row in rows if row["status"] != "PASS").items():
        yield f"{MARGIN}{same[0]['status']} {_hosts(same)}: {shown(reason)}"
    reasons = _by_reason(passed)
    if len(reasons) <= SHOWN_REASONS:
        yield from (f"{MARGIN}{_hosts(same)}: {shown(reason)}" for reason, same in reasons.items())


def _by_reason(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: str(row["reason"])):
        found.setdefault(row["reason"], []).append(row)
    return found


def _hosts(rows: list[dict[str, Any]]) -> str:
    return shown(", ".join(row["host"] for row in rows))


def _finding_lines(row: Mapping[str, Any]) -> Iterable[str]:
    first, *rest = shown_lines(row["found"])
    yield f"  {'ok' if row['ok'] else 'PROBLEM':<7}  {row['topic']}: {first}"
    yield from (f"{' ' * 11}{line}" for line in rest)
    if row["do"]:
        yield f"{' ' * 11}do: {shown(row['do'])}"
