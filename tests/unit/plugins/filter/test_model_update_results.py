# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.filter.model_update_results import FIELDS, model_update_results


def row(action: str, model: str = "mistral:latest") -> dict[str, Any]:
    return {
        "model": model,
        "action": action,
        "reason": f"why {action}",
        "digest_before": "old",
        "digest_present": "old",
        "digest_wanted": "new",
    }


def result(seen: dict[str, Any], check_mode: bool = False, lost: bool = False) -> dict[str, Any]:
    (found,) = model_update_results(seen, "v1", check_mode, lost)
    return found


@pytest.mark.parametrize(
    ("action", "more", "check_mode", "verdict"),
    [
        ("none", {}, False, "current"),
        ("none", {}, True, "current"),
        ("blocked", {}, False, "unhealthy"),
        ("unknown", {}, False, "failed"),
        ("unreachable", {}, False, "unreachable"),
        ("refused", {}, False, "refused"),
        ("update", {}, True, "planned"),
        ("update", {"model_update_unfit": "no disk"}, True, "unhealthy"),
        ("update", {"model_update_unfit": "no disk"}, False, "unhealthy"),
        ("update", {"model_update_unfit": "gone", "model_update_gone": True}, False, "unreachable"),
        ("update", {"model_update_unfit": ""}, False, "untouched"),
        ("judge", {}, False, "untouched"),
        ("sweep", {}, False, "untouched"),
    ],
)
def test_the_verdict_on_what_nobody_has_touched(
    action: str, more: dict[str, Any], check_mode: bool, verdict: str
) -> None:
    found = result({"model_update_rows": [row(action)], **more}, check_mode)
    assert found["verdict"] == verdict
    assert set(found) == {"host", *FIELDS}
    assert (found["host"], found["digest_before"], found["digest_wanted"]) == ("v1", "old", "new")
    assert found["digest_after"] == (None if verdict == "planned" else "old")
    wanted = more.get("model_update_unfit") if verdict in ("unhealthy", "unreachable") and more else f"why {action}"
    assert str(wanted) in found["reason"]


def test_a_lock_that_was_lost_is_told() -> None:
    seen = {"model_update_rows": [row("update")], "model_update_stopped": "the lock is lost: eve@laptop has it"}
    assert "the lock is lost: eve@laptop" in result(seen)["reason"]


def test_a_plan_has_sizes() -> None:
    seen = {"model_update_rows": [row("update")], "model_update_bytes": {"mistral:latest": 4711}}
    assert result(seen, check_mode=True)["bytes"] == 4711
    # Outside a dry run the figure is what has moved.
    assert result(seen)["bytes"] == 0


def test_what_was_done_stands() -> None:
    done = {"model": "mistral:latest", "verdict": "updated", "reason": "x", "digest_after": "new", "speed_after": 9.5}
    found = result({"model_update_rows": [row("update")], "model_update_results": [done]}, lost=True)
    assert (found["verdict"], found["digest_before"], found["digest_after"]) == ("updated", "old", "new")
    assert (found["speed_after"], found["speed_before"]) == (9.5, None)


def test_models_that_were_made_have_rows_of_their_own() -> None:
    made = {"model": "etrid-validator:latest", "verdict": "rebuilt", "reason": "x", "digest_before": "a"}
    rows = model_update_results(
        {"model_update_rows": [row("none")], "model_update_results": [made]}, "v1", False, False
    )
    assert [(found["model"], found["verdict"], found["digest_before"]) for found in rows] == [
        ("mistral:latest", "current", "old"),
        ("etrid-validator:latest", "rebuilt", "a"),
    ]


def test_a_host_that_ansible_left_out_is_never_well() -> None:
    assert result({"model_update_rows": [row("none")]}, lost=True)["verdict"] == "failed"
    assert result({}, lost=True)["verdict"] == "failed"
    assert result({})["verdict"] == "failed"
