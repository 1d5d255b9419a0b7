# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles and site say of an earlier installation, and what they do with it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import gizzi_api, ollama_client, takeover
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._ollama_earlier import (
    earlier_notes,
    earlier_problems,
    taken_over,
    without_earlier,
)
from ansible_collections.etrid.gizzi.plugins.module_utils._settings.ollama import derived
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.settings.prometheus_pages import Pages, answer
from ansible_collections.etrid.gizzi.tests.unit.plugins.ollama_values import NO_EARLIER, ollama_values

UNIT = "/etc/systemd/system/ollama.service"
OWN, OTHER = f"{UNIT}.d/override.conf", f"{UNIT}.d/proxy.conf"
COMMAND = "/usr/local/bin/ollama"
LINK = "/etc/systemd/system/default.target.wants/ollama.service"
STORE = "/usr/share/ollama/.ollama/models"
# A host as install.sh leaves it, with a drop-in more.
EARLIER: dict[str, Any] = {
    "units": [UNIT, OWN, OTHER],
    "enabled": [LINK],
    "commands": [COMMAND],
    "user": "ollama",
    "server": {"host": "0.0.0.0", "url": "http://127.0.0.1:11434", "port": 11434, "on_loopback": False},
    "variables": ["HTTPS_PROXY", "OLLAMA_HOST", "PATH"],
    "store": STORE,
    "models": ["llama3.1:8b", "phi3:mini"],
    "left": ["/usr/local/lib/ollama", "/usr/share/ollama"],
}
DONE = NO_EARLIER | {"store": STORE, "models": ["llama3.1:8b", "phi3:mini"], "left": [f"{UNIT}.before-gizzi"]}


def values(**changed: Any) -> dict[str, Any]:
    found = ollama_values(**{"models": [{"name": "Llama3.1:8B"}, {"name": "own", "from": "llama3.1:8b"}], **changed})
    return found | derived(found)


def test_an_earlier_server_is_replaced_and_its_models_come_over() -> None:
    assert taken_over(values(), EARLIER) == {
        "replaced": {
            "paths": [UNIT, OWN, OTHER],
            "programs": [COMMAND],
            # The role writes the unit and one drop-in anew.
            "files": [{"path": OTHER, "when": False}, {"path": LINK, "kind": "link", "when": False}],
        },
        "old_left": [
            *(f"{path}.before-gizzi" for path in (UNIT, OWN, OTHER, COMMAND)),
            "/usr/local/lib/ollama",
            "/usr/share/ollama",
        ],
        "old_store": STORE,
        "old_models": ["llama3.1:8b"],
    }


def test_when_it_was_replaced_nothing_is_done_and_its_models_are_known() -> None:
    found = taken_over(values(), DONE)
    assert found["replaced"] == {"paths": [], "programs": [], "files": []}
    assert (found["old_models"], found["old_left"]) == (["llama3.1:8b"], [f"{UNIT}.before-gizzi"])
    assert earlier_notes(values(), DONE) == []


def test_a_store_that_is_the_roles_own_stays() -> None:
    here = EARLIER | {"store": "/srv/models", "left": ["/usr/local/lib/ollama", "/srv/models/blobs"]}
    found = taken_over(values(models_dir="/srv/models"), here)
    assert (found["old_store"], found["old_models"]) == ("", [])
    assert found["old_left"][4:] == ["/usr/local/lib/ollama"]
    assert len(earlier_notes(values(models_dir="/srv/models"), here)) == 2


def test_what_is_said_before_it_is_replaced() -> None:
    replaced, coming, staying, lost = earlier_notes(values(), EARLIER)
    assert replaced.startswith(f"An Ollama that this collection has not installed is replaced: {UNIT} and {OWN}")
    assert coming == f"Models that come from {STORE} without a download: llama3.1:8b."
    assert staying.startswith(f"Models that stay in {STORE}, and that the new server does not have: phi3:mini. Put")
    assert lost == ("The earlier server had HTTPS_PROXY set. Set in ollama_environment what is still needed.")
    assert len(earlier_notes(values(environment={"HTTPS_PROXY": "http://p:1"}), EARLIER)) == 3


def test_where_no_server_is_to_run_nothing_of_it_is_lost() -> None:
    (said,) = earlier_notes(values(state="absent"), EARLIER)
    assert f"{COMMAND} are stopped and kept with .before-gizzi" in said
    assert said.endswith(f"its models stay in {STORE}.")
    assert taken_over(values(state="absent"), EARLIER)["replaced"]["programs"] == [COMMAND]


@pytest.mark.parametrize("user", ["", "root", "ollama"])
def test_whose_server_can_be_taken_over(user: str) -> None:
    assert earlier_problems(EARLIER | {"user": user}) == []


def test_a_server_of_somebody_else_and_one_that_cannot_be_seen() -> None:
    (problem,) = earlier_problems(EARLIER | {"user": "ubuntu"})
    assert problem.startswith("An Ollama that this role has not installed runs as user ubuntu")
    assert problem.endswith(f"Stop it, and move {UNIT} and {OWN} and {OTHER} and {COMMAND} away.")
    (problem,) = earlier_problems({"unseen": "no access"})
    assert "cannot be seen: no access. Run it as root." in problem


def test_what_goes_with_the_earlier_drop_ins_is_not_unset() -> None:
    foreign = [{"name": "OLLAMA_DEBUG", "source": OTHER}, {"name": "LLAMA_ARG_X", "source": "/run/x.conf"}]
    names = ["LLAMA_API_KEY", "LLAMA_ARG_X", "OLLAMA_DEBUG"]
    assert without_earlier(names, foreign, EARLIER) == ["LLAMA_API_KEY", "LLAMA_ARG_X"]
    assert without_earlier(names, foreign, NO_EARLIER) == names


RULE = {"tool": "iptables", "port": 11434, "rule": "-A INPUT -p tcp -m tcp --dport 11434 -j ACCEPT"}
CLEAN: dict[str, Any] = {"rules": [], "programs": {"found": [], "complete": True}}


def site(closes: bool = False, **seen: Any) -> tuple[list[str], list[str], dict[str, Any]]:
    """Return problems, notes and values of the playbook's part."""
    found = {"close_open_rules": closes, "delete_replaced": False}
    host = {"takeover": CLEAN | seen}
    return takeover.host_problems(found, host), takeover.host_notes(found, host), takeover.host_derived(found, host)


def test_on_a_host_without_anything_nothing_is_said() -> None:
    assert site() == ([], [], {"closes": []})


def test_an_open_rule_is_named_with_the_variable_that_removes_it() -> None:
    problems, (note,), found = site(rules=[RULE])
    assert f"(iptables: {RULE['rule']}). Remove them with -e gizzi_close_open_rules=true." in note
    assert (problems, found) == ([], {"closes": []})
    other = {"tool": "ufw", "port": 8080, "rule": "allow 8080/tcp"}
    _problems, (note,), found = site(closes=True, rules=[RULE, other, RULE | {"tool": "/etc/iptables/rules.v4"}])
    assert note.endswith("They are removed.")
    assert found == {"closes": [8080, 11434]}


def test_rules_that_cannot_be_seen_are_a_problem_only_where_they_are_to_go() -> None:
    hidden = {"unseen": "iptables fails"}
    assert site(rules=hidden)[0] == []
    assert site(rules=hidden)[1] == ["Whether a firewall rule lets everybody in cannot be seen: iptables fails."]
    assert len(site(closes=True, rules=hidden)[0]) == 1


def test_programs_that_use_the_plain_port_are_named() -> None:
    found = [{"path": "/opt/validator/a.py", "line": 3, "why": "import"}, {"path": "/x.sh", "line": 9, "why": "port"}]
    note = site(programs={"found": found, "complete": True})[1][0]
    assert "/opt/validator/a.py line 3 (imports the old client), /x.sh line 9 (uses Ollama's port)" in note
    assert site(programs={"found": [], "complete": False})[1] == [
        "Not all folders were looked through for programs that use Ollama's port."
    ]
    assert "cannot be seen: no access" in site(programs={"unseen": "no access"})[1][0]


def test_an_earlier_api_server_is_replaced_or_stopped() -> None:
    unit, program = "/etc/systemd/system/gizzi-api.service", "/opt/gizzi/api_server.py"
    # Prometheus lacks nothing.
    values = {"prometheus_dir": "", "prometheus_url": "http://x", "validator_label": "v", "validators": [], "facts": []}
    values["python"] = "/usr/bin/python3"
    seen = {"urls": Pages(answer([])), "pythons": {"/usr/bin/python3": {"minor_version": "3.11"}}}
    host = {"takeover": {"gizzi_api": {"files": [unit, program], "left": []}}, **seen}
    for state, done in (("present", "replaced"), ("absent", "stopped")):
        assert gizzi_api.host_notes(values | {"state": state}, host) == [
            f"An API server that this collection has not installed is {done}: {unit} and {program} are kept with "
            ".before-gizzi behind the name."
        ]
    found = gizzi_api.host_derived({"state": "absent"}, host)
    assert found["replaced"] == {"paths": [unit, program], "programs": [], "files": [{"path": program, "when": False}]}
    assert found["old_left"] == [f"{unit}.before-gizzi", f"{program}.before-gizzi"]
    none = {"takeover": {"gizzi_api": {"files": [], "left": []}}, **seen}
    assert gizzi_api.host_notes(values | {"state": "present"}, none) == []


def test_an_earlier_client_is_set_aside_where_there_is_a_new_one() -> None:
    path = "/opt/validator/ollama_client.py"
    host = {"takeover": {"ollama_client": {"files": [path], "left": []}}}
    (note,) = ollama_client.host_notes({"state": "present"}, host)
    assert note.startswith(f"{path} is kept with .before-gizzi behind the name")
    assert "It returns errors as text" in note
    found = ollama_client.host_derived({"state": "present"}, host)["replaced"]
    assert (found["paths"], found["files"]) == ([path], [{"path": path, "when": False}])
    assert ollama_client.host_notes({"state": "absent"}, {}) == []
    assert ollama_client.host_derived({"state": "absent"}, {})["replaced"]["paths"] == []
