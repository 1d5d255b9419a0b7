# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.etrid.gizzi.plugins.plugin_utils import _settings

if TYPE_CHECKING:
    import pytest


def test_what_a_role_asks_of_the_host_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look(values: dict[str, Any]) -> dict[str, Any]:
        asked.append(values)
        return {"paths": ["/a"]}

    rules = replace(_settings.rules_of("ollama"), look=look)
    monkeypatch.setattr(_settings, "rules_of", lambda _role: rules)
    one = _settings.Judged("ollama", {"state": "present"}, [])
    assert (one.look, one.look) == ({"paths": ["/a"]}, {"paths": ["/a"]})
    assert asked == [{"state": "present"}]
