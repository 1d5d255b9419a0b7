# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from ansible_collections.etrid.gizzi.plugins.action import fleet_host_keys
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.test_host_keys import key

FLEET = {"hosts": {name: {"ssh_name": f"{name}.example.org"} for name in ("v1", "v2")}}


def act(registered: dict[str, Any]) -> dict[str, Any]:
    hostvars = Mock(raw_get=lambda name: {"__gizzi_keys": registered[name]} if name in registered else {})
    task = Mock(args={"fleet": FLEET}, async_val=0)
    action = fleet_host_keys.ActionModule(task, Mock(), Mock(), Mock(), Mock(), Mock())
    result: dict[str, Any] = action.run(task_vars={"hostvars": hostvars})
    return result


def test_all_hosts_are_known() -> None:
    result = act({name: {"ssh_host_keys": [key()]} for name in FLEET["hosts"]})
    assert [line.split()[0] for line in result["lines"]] == ["v1.example.org", "v2.example.org"]
    assert set(result) == {"changed", "lines"}


def test_a_host_that_is_not_known_ends_the_run() -> None:
    for answer in ({}, {"v2": {"unreachable": True}}, {"v2": {"ssh_host_keys": [{"type": "x y", "key": "z"}]}}):
        result = act({"v1": {"ssh_host_keys": [key()]}, **answer})
        assert result["failed"] is True
        assert "keys of v2. Run it without --limit" in result["msg"]
