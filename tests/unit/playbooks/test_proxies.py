# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No call to an address of the fleet goes through a proxy that a host's environment names."""

from __future__ import annotations

from typing import Any

import yaml
from plays import PROJECT
from test_unreachable import tasks

# Whoever is told of an update may be anywhere.
OUTSIDE = ["{{ __update.webhook }}"]


def test_uri_asks_the_fleet_past_any_proxy() -> None:
    paths = [path for folder in ("playbooks", "roles") for path in sorted((PROJECT / folder).rglob("*.yml"))]
    calls: list[dict[str, Any]] = [
        {**task["ansible.builtin.uri"], "file": str(path)}
        for path in paths
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
        if "ansible.builtin.uri" in task
    ]
    assert calls
    asked = [call for call in calls if call["url"] not in OUTSIDE]
    assert [f"{call['file']}: {call['url']}" for call in asked if call.get("use_proxy") is not False] == []
