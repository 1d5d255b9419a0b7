# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.etrid.gizzi.plugins.action import fleet_look
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import token
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Look at a host whose modules answer with what is given by their names, and return the result and the calls."""

    def run(answers: dict[str, Any], **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        calls: dict[str, Any] = {}
        task = Mock(args={"about": "verify", "wanted": seen.wanted(), **arguments}, async_val=0)
        action = fleet_look.ActionModule(task, Mock(), Mock(), Mock(), Mock(), Mock())

        def execute(name: str, options: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            calls[name.rpartition(".")[2]] = options
            return answers.get(name.rpartition(".")[2], {"failed": True, "msg": "broken"})

        monkeypatch.setattr(action, "_execute_module", execute)
        return action.run(task_vars={"inventory_hostname": "validator01"}), calls

    return run


def test_a_module_that_fails_ends_nothing(look: Any) -> None:
    result, calls = look({"host_state": {"system": {}}}, answer_timeout=7)
    assert "failed" not in result
    assert result["changed"] is False
    assert set(result["seen"]) == {"state", "info", "gateway", "health", "blobs"}
    assert result["seen"]["health"] == {"failed": True, "msg": "broken"}
    assert result["seen"]["blobs"] == {"skipped": True}
    assert calls["host_state"]["capacity"] == {"port": 11434, "models": ["llama3.1:8b"]}
    assert calls["ollama_health"]["timeout"] == 7


def test_the_token_is_for_gateways(look: Any) -> None:
    own = token("s" * 32, "validator01")
    through = {"token_secret": "s" * 32, "ca": "PEM"}
    urls = ["https://192.0.2.9:11443", "https://192.0.2.10:11443"]
    _result, calls = look({"host_state": {"system": {}}}, **through, wanted=seen.wanted(serves=False, urls=urls))
    assert calls["host_state"]["tokens"] == {f"{urls[1]}/api/version": own}
    assert {name: calls["ollama_health"][name] for name in ("token", "ca")} == {"token": own, "ca": "PEM"}


def test_a_host_on_which_nothing_can_be_run_is_asked_once(look: Any) -> None:
    result, calls = look({"host_state": {"failed": True, "msg": "Missing sudo password"}})
    assert list(calls) == ["host_state"]
    assert result["seen"]["state"]["msg"] == "Missing sudo password"


def test_facts_that_a_host_answers_decide_nothing(look: Any) -> None:
    facts = {"gizzi_addresses": ["1.0.0.0/8"], "__gizzi_look": {}}
    result, _calls = look({"host_state": {"system": {}, "ansible_facts": facts, "add_host": {}, "changed": True}})
    assert set(result) == {"changed", "seen"}
    assert result["changed"] is False


def test_wants_that_are_not_whole_are_refused(look: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="'host' is missing"):
        look({}, wanted={})
