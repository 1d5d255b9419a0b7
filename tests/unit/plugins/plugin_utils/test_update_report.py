# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.plugin_utils import _update_report as report


def row(action: str, model: str = "mistral:latest") -> dict[str, Any]:
    return {
        "model": model,
        "action": action,
        "reason": f"why {action}",
        "digest_before": "old",
        "digest_present": "old",
        "digest_wanted": "new",
    }


def rows(
    planned: list[dict[str, Any]],
    *,
    checks: dict[str, Any] | None = None,
    pulled: dict[str, Any] | None = None,
    done: dict[str, Any] | None = None,
    unfit: tuple[str, bool] = ("", False),
    stopped: str = "",
    check_mode: bool = False,
    lost: bool = False,
) -> list[dict[str, Any]]:
    return report.host_rows("v1", planned, checks or {}, pulled or {}, done or {}, unfit, stopped, check_mode, lost)


@pytest.mark.parametrize(
    ("action", "unfit", "check_mode", "verdict"),
    [
        ("none", "", False, "current"),
        ("none", "", True, "current"),
        ("blocked", "", False, "unhealthy"),
        ("unknown", "", False, "failed"),
        ("unreachable", "", False, "unreachable"),
        ("refused", "", False, "refused"),
        ("update", "", True, "planned"),
        ("update", "no disk", True, "unhealthy"),
        ("update", "no disk", False, "unhealthy"),
        ("update", "gone", False, "unreachable"),
        ("update", "", False, "untouched"),
        ("finish", "", False, "untouched"),
        ("sweep", "", False, "untouched"),
    ],
)
def test_the_verdict_on_what_nobody_has_touched(action: str, unfit: str, check_mode: bool, verdict: str) -> None:
    (found,) = rows([row(action)], unfit=(unfit, unfit == "gone"), check_mode=check_mode)
    assert found["verdict"] == verdict
    assert set(found) == {"host", *report.FIELDS}
    assert (found["host"], found["digest_before"], found["digest_wanted"]) == ("v1", "old", "new")
    assert found["digest_after"] == (None if verdict == "planned" else "old")
    assert (unfit or f"why {action}") in found["reason"]


def test_why_the_run_stopped_is_told() -> None:
    (found,) = rows([row("update")], stopped="the lock is lost: eve@laptop has it")
    assert "the lock is lost: eve@laptop" in found["reason"]


def test_a_plan_has_sizes() -> None:
    checks = {"mistral:latest": {"bytes_missing": 4711}}
    assert rows([row("update")], checks=checks, check_mode=True)[0]["bytes"] == 4711
    # Outside a dry run the figure is what has moved.
    assert rows([row("update")], checks=checks)[0]["bytes"] == 0


RESULT = {
    "verdict": "updated",
    "reason": "the tag has moved",
    "digest_before": "old",
    "digest_after": "new",
    "bytes_pulled": 7,
    "seconds": 3.5,
    "speed_before": None,
    "speed_after": 9.5,
    "derived": [{"model": "etrid-validator:latest", "verdict": "rebuilt", "reason": "made", "digest_before": "a"}],
}


def test_what_was_done_stands_and_a_derived_model_has_a_row_of_its_own() -> None:
    base, derived = rows([row("update")], done={"mistral:latest": RESULT}, lost=True)
    assert (base["verdict"], base["digest_before"], base["digest_after"], base["bytes"]) == ("updated", "old", "new", 7)
    assert (base["speed_after"], base["speed_before"], base["seconds"]) == (9.5, None, 3.5)
    assert (derived["model"], derived["verdict"], derived["digest_before"]) == (
        "etrid-validator:latest",
        "rebuilt",
        "a",
    )


def test_a_pull_before_its_turn_is_counted() -> None:
    pulled = {"mistral:latest": {"bytes_pulled": 1000, "seconds": 10}}
    (base, _derived) = rows([row("update")], pulled=pulled, done={"mistral:latest": RESULT})
    assert (base["bytes"], base["seconds"], base["reason"]) == (1007, 13.5, "why update")
    (base, _derived) = rows([row("update")], pulled=pulled, done={"mistral:latest": {**RESULT, "verdict": "restored"}})
    assert base["reason"] == "the tag has moved"


def test_damage_is_told_as_it_was_found() -> None:
    planned = {**row("update"), "damaged": ["sha256:b1"], "reason": "the blob is damaged"}
    assert rows([planned], done={"mistral:latest": RESULT})[0]["reason"] == "the blob is damaged"


@pytest.mark.parametrize(
    ("result", "verdict"),
    [({"unreachable": True, "msg": "ssh: timed out"}, "unreachable"), ({"failed": True, "msg": "no python"}, "failed")],
)
def test_a_server_that_gives_no_verdict(result: dict[str, Any], verdict: str) -> None:
    (found,) = rows([row("update")], done={"mistral:latest": result})
    assert found["verdict"] == verdict
    assert result["msg"] in found["reason"]


def test_a_host_that_ansible_left_out_is_never_well() -> None:
    assert rows([row("update")], lost=True)[0]["verdict"] == "failed"
    assert rows([], lost=True)[0]["verdict"] == "failed"
    assert rows([])[0]["verdict"] == "failed"


def document(*verdicts: str, **more: Any) -> dict[str, Any]:
    results = [
        {**dict.fromkeys(report.FIELDS), "host": f"v{place}", "model": "llama3.1:8b", "verdict": verdict, "blobs": []}
        for place, verdict in enumerate(verdicts, 1)
    ]
    for line in results:
        line.update(more)
    return {
        "time": "20261124T021500Z",
        "topology": "distributed",
        "check": False,
        "success": set(verdicts) <= report.GOOD,
        "message": report.message(results),
        "seconds": 512.3,
        "summary": report.summary(results),
        "results": results,
    }


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["current"], "Nothing to do: every model is current."),
        (["current", "updated"], "All is well."),
        (["current", "planned"], "A run would do this; nothing was changed."),
        (["restored", "untouched"], "This needs a look: v1."),
        (["untouched", "untouched"], "This needs a look: v1, v2."),
    ],
)
def test_the_whole_in_one_sentence(verdicts: list[str], said: str) -> None:
    assert document(*verdicts)["message"] == said


def test_the_table() -> None:
    more = {"digest_before": "46e0c10c039eff", "digest_after": "a1b2c3d4e5f6ff", "bytes": 4_900_000_000}
    table = report.table(
        document("updated", reason="the tag has moved", speed_before=12.1, speed_after=12.3, seconds=512.0, **more)
    )
    assert [line.split("  ")[0] for line in table.splitlines()[:3]] == [
        "Topology distributed: 1 updated, in 512.3 s",
        "All is well.",
        "",
    ]
    heading, line, reason = table.splitlines()[3:]
    assert heading.split() == ["VERDICT", "HOST", "MODEL", "BEFORE", "AFTER", "BYTES", "SECONDS", "TOKENS/S"]
    assert len(line) == len(heading)
    columns = ["updated", "v1", "llama3.1:8b", "46e0c10c039e", "a1b2c3d4e5f6", "4.9 GB", "512.0", "12.1 > 12.3"]
    assert re.split(r" {2,}", line) == columns
    assert reason == "             the tag has moved"


def test_the_page_has_the_blobs_and_no_line_breaks_its_tables() -> None:
    blobs = [{"digest": "sha256:b1", "size": 11, "status": "damaged", "message": "one\nbyte | more"}]
    page = report.markdown("model_update", document("updated", reason="a | b\nc", blobs=blobs))
    assert "# model_update 20261124T021500Z" in page
    assert "| a \\| b c |" in page
    assert "| sha256:b1 | 11 | damaged | one byte \\| more |" in page


EVIL = "<img src=//x> [a](http://x) | b\x1b[2J\u202e\U000e0041"


def test_what_comes_from_outside_is_text_on_the_page() -> None:
    blobs = [{"digest": EVIL, "size": 11, "status": "damaged", "message": EVIL}]
    page = report.markdown("model_update", document("restored", model=EVIL, reason=EVIL, host=EVIL, blobs=blobs))
    assert not re.search(r"(?<!\\)[<\[]", page)
    assert "http://" not in page
    assert page.replace("\n", "").isprintable()
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")}
    assert columns == {5, 11}


def test_what_comes_from_outside_steers_no_terminal() -> None:
    table = report.table(document("restored", model=EVIL, reason=EVIL, host=EVIL))
    assert table.replace("\n", "").isprintable()
    assert table.count(r"b\x1b[2J\u202e\U000e0041") == 4


def test_the_metrics_keep_when_a_run_went_well() -> None:
    page = report.metrics(document("updated"), 1000, "")
    assert "gizzi_model_update_success 1\n" in page
    assert "gizzi_model_update_last_success_timestamp_seconds 1000\n" in page
    assert 'gizzi_model_update_result{host="v1",model="llama3.1:8b",verdict="updated"} 1\n' in page
    later = report.metrics(document("restored"), 2000, page)
    assert "gizzi_model_update_success 0\n" in later
    assert "gizzi_model_update_last_run_timestamp_seconds 2000\n" in later
    assert "gizzi_model_update_last_success_timestamp_seconds 1000\n" in later
    assert "gizzi_model_update_last_success_timestamp_seconds 0\n" in report.metrics(document("restored"), 2000, "x 1")
    assert 'model="a\\"b\\n"' in report.metrics(document("updated", model='a"b\n'), 1, "")
