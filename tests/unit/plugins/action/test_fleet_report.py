# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.etrid.gizzi.plugins.action import fleet_report
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = ("validator01", "validator02")


def fleet(*hosts: str) -> dict[str, Any]:
    wants = {name: {"wanted": seen.wanted(host=name)} for name in hosts}
    return {"topology": "centralized", "expected_validators": 2, "hosts": wants}


@pytest.fixture
def report(tmp_path: Path) -> Any:
    def run(registered: dict[str, Any], here: tuple[str, ...] = HOSTS, **arguments: Any) -> dict[str, Any]:
        given = {
            "about": "verify",
            "fleet": fleet(*HOSTS),
            "folder": str(tmp_path / "reports"),
            **arguments,
        }
        hostvars = Mock(raw_get=lambda name: {"__gizzi_look": registered[name]} if name in registered else {})
        action = fleet_report.ActionModule(Mock(args=given, async_val=0), Mock(), Mock(), Mock(), Mock(), Mock())
        variables = {"ansible_play_hosts_all": HOSTS, "ansible_play_hosts": here, "hostvars": hostvars}
        result: dict[str, Any] = action.run(task_vars=variables)
        return result

    return run


SOUND = {name: {"seen": seen.server()} for name in HOSTS}


def test_the_report_is_its_owners_alone(report: Any, tmp_path: Path) -> None:
    result = report(SOUND)
    (path,) = (tmp_path / "reports").iterdir()
    assert result["report"] == str(path)
    assert result["table"].endswith(f"\nReport: {path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    written = json.loads(path.read_text())
    assert written["playbook"] == "etrid.gizzi.verify"
    assert written["topology"] == "centralized"
    assert written["summary"] == result["summary"] == {"passed": 41, "failed": 0, "skipped": 6}
    assert written["results"] == result["rows"]


def test_a_folder_that_is_there_keeps_its_mode(report: Any, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir(mode=0o755)
    report(SOUND)
    assert stat.S_IMODE((tmp_path / "reports").stat().st_mode) == 0o755


def test_a_folder_that_cannot_be_made_is_named(report: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnsibleActionFail, match="gizzi_report_dir"):
        report(SOUND, folder=str(tmp_path / "file/below"))


def test_a_link_in_the_place_of_the_report_is_not_followed(
    report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_report.time, "strftime", lambda *_arguments: "now")
    (tmp_path / "reports").mkdir()
    (tmp_path / "target").write_text("mine")
    (tmp_path / "reports/verify-now.json").symlink_to(tmp_path / "target")
    report(SOUND)
    assert (tmp_path / "target").read_text() == "mine"


def test_a_host_that_was_not_reached_is_judged_too(report: Any) -> None:
    gone = {"unreachable": True, "msg": "Connection timed out"}
    result = report({**SOUND, "validator02": gone}, about="diagnose")
    (row,) = [row for row in result["rows"] if row["host"] == "validator02"]
    assert "cannot be reached: Connection timed out" in row["found"]


def test_a_host_at_which_the_run_broke_off_is_judged_too(report: Any) -> None:
    rows = report(SOUND, here=("validator01",))["rows"]
    assert {row["status"] for row in rows if row["host"] == "validator02"} == {"FAIL", "SKIP"}


def test_a_host_whose_wants_are_not_known_ends_the_run(report: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="validator02"):
        report(SOUND, fleet=fleet("validator01"))
