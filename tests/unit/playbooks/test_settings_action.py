# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action settings, run by Ansible: whose variables it reads, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT, RunPlay

from ansible_collections.etrid.gizzi.plugins.module_utils._settings.ollama import METRICS_TIMER, ROOT, UNIT
from ansible_collections.etrid.gizzi.tests.unit.plugins.ollama_values import NO_EARLIER

HOSTS: dict[str, Any] = {"servers": {"hosts": {"server": {}}}}
# What host_state would say of a host without a server.
HOST: dict[str, Any] = {
    "system": {"architecture": "x86_64", "service_manager": "systemd", "systemd": 252, "machine_id": "0123"},
    "paths": {},
    "releases": {ROOT: {"current": "", "finished": []}},
    "units": {UNIT: {"active": "inactive"}, METRICS_TIMER: {"active": "inactive"}},
    "ollama_environment": {"problems": [], "unset": [], "foreign": [], "server": {}},
    "guards": {},
    "takeover": {"ollama": NO_EARLIER},
    "capacity": {"refusal": "", "facts": {"memory_total": 16 * 10**9}},
}
VARS = PROJECT / "roles/ollama/vars/main.yml"
SETTINGS = {"etrid.gizzi.settings": {"role": "ollama", "given": HOST}, "register": "__ollama"}


def note(folder: Path, value: str = "{{ __ollama | to_json }}") -> dict[str, Any]:
    return {"ansible.builtin.copy": {"content": value, "dest": str(folder / "values.json")}, "delegate_to": "localhost"}


def values(folder: Path) -> Any:
    return json.loads((folder / "values.json").read_text(encoding="utf-8"))


def test_text_of_the_command_line_is_typed(run_play: RunPlay, tmp_path: Path) -> None:
    result = run_play(
        {"hosts": "server", "tasks": [SETTINGS, note(tmp_path)]},
        HOSTS,
        *("-e", "ollama_cpu_threads=4", "-e", "ollama_reserved_memory=4000000000", "-e", "ollama_keep_models=false"),
        *("-e", "ollama_allowed_sources=192.0.2.1,192.0.2.2"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = values(tmp_path)
    assert (found["cpu_threads"], found["reserved_memory"], found["keep_models"]) == (4, 4000000000, False)
    assert found["allowed_sources"] == ["192.0.2.1", "192.0.2.2"]


def test_unsafe_text_is_not_evaluated_and_other_text_is(run_play: RunPlay, tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text(
        "ollama_models:\n- name: a\n- name: '{{ other }}'\n  from: a\n  template: !unsafe '{{ .Prompt }}'\nother: b\n"
    )
    result = run_play(
        {"hosts": "server", "vars_files": [str(tmp_path / "vars.yml")], "tasks": [SETTINGS, note(tmp_path)]}, HOSTS
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert [(one["name"], one["template"]) for one in values(tmp_path)["models"]] == [
        ("a", None),
        ("b", "{{ .Prompt }}"),
    ]


def test_values_are_in_no_output_and_problems_are(run_play: RunPlay) -> None:
    variables = {"ollama_environment": {"HTTPS_PROXY": "http://ops:hunter2@p:1"}}
    result = run_play({"hosts": "server", "tasks": [SETTINGS]}, HOSTS, "-vvv", **variables)
    assert result.returncode == 0, result.stdout
    shown = result.stdout.partition("TASK [")[2]
    assert "hunter2" not in shown
    wrong = variables | {"ollama_cpu_threads": "four", "ollama_state": "gone"}
    result = run_play({"hosts": "server", "tasks": [SETTINGS]}, HOSTS, "-vvv", **wrong)
    assert result.returncode != 0
    assert "ollama_cpu_threads is 'four'. It must be a whole number." in result.stdout
    assert "ollama_state is 'gone'. It must be present or absent." in result.stdout
    assert "hunter2" not in result.stdout.partition("TASK [")[2]


def test_what_was_asked_beforehand_is_what_pins_the_pulls(run_play: RunPlay, tmp_path: Path) -> None:
    """Also of a model that the registry does not have, of which there is nothing but nulls and the reason."""
    offered = {"mistral": {"digest": None, "manifest": "", "error": "There is no such model.", "header": None}}
    asked = {"ansible.builtin.command": {"argv": ["true"]}, "register": "__ollama_asked", "when": False}
    play = {
        "hosts": "server",
        "vars_files": [str(VARS)],
        "tasks": [asked, SETTINGS, note(tmp_path, "{{ {'pins': _ollama_pins, 'ask': _ollama_unoffered} | to_json }}")],
    }
    models = [{"name": "phi3"}, {"name": "mistral"}]
    result = run_play(play, HOSTS, ollama_models=models, ollama_offered=offered)
    assert result.returncode == 0, result.stdout + result.stderr
    assert values(tmp_path) == {"pins": {"mistral:latest": offered["mistral"]}, "ask": ["phi3:latest"]}


def test_a_null_is_named_and_never_the_text_none(run_play: RunPlay) -> None:
    result = run_play({"hosts": "server", "tasks": [SETTINGS]}, HOSTS, ollama_environment={"HTTPS_PROXY": None})
    assert result.returncode != 0
    assert "ollama_environment.HTTPS_PROXY has no value" in result.stdout


def test_what_cannot_be_evaluated_is_named_with_the_rest(run_play: RunPlay) -> None:
    """The values around a fault may be secret."""
    play = {
        "hosts": "server",
        "vars": {
            "ollama_listen": "{{ nowhere }}:11434",
            "ollama_environment": {"HTTPS_PROXY": "http://hunter2@{{ elsewhere }}"},
            "ollama_registry": "{{ 'hunter2' | nofilter }}",
            "ollama_cpu_threads": "four",
        },
        "tasks": [SETTINGS],
    }
    result = run_play(play, HOSTS)
    printed = " ".join((result.stdout + result.stderr).split())
    assert result.returncode != 0
    for said in (
        "ollama_listen cannot be read: 'nowhere' is undefined. Correct its value, or define what it uses.",
        "ollama_environment cannot be read: 'elsewhere' is undefined.",
        "ollama_registry cannot be read: ",
        "ollama_cpu_threads is 'four'.",
    ):
        assert said in printed
    assert "hunter2" not in printed


@pytest.mark.parametrize("role", ["../roles/ollama", "nothing"])
def test_a_role_that_is_none(run_play: RunPlay, role: str) -> None:
    result = run_play({"hosts": "server", "tasks": [{"etrid.gizzi.settings": {"role": role}}]}, HOSTS)
    assert result.returncode != 0
    assert f"role is '{role}'" in result.stdout


@pytest.fixture
def liar(tmp_path: Path) -> str:
    """A Python that answers every module with facts of its own making."""
    lies = {
        "ollama_listen": "[::]:11434",
        "ollama_allowed_sources": ["1.0.0.0/8"],
        "ollama_models_dir": "/srv/lie",
        "helper": "/srv/lie",
        "ansible_distribution": "Debian",
        "ansible_inventory_sources": ["/etc"],
        "ansible_user": "liar",
        "model_update_timer_ssh_key": "/etc/shadow",
        "model_update_timer_inventory": "/etc",
        "model_update_timer_collections": ["/root"],
        "__ollama": {"listen": "[::]:11434"},
        "gizzi_addresses": ["1.0.0.0/8"],
    }
    program = tmp_path / "python3"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{json.dumps({'changed': False, 'ansible_facts': lies})}'\n")
    program.chmod(0o755)
    return str(program)


def test_a_host_does_not_decide_by_facts_what_its_settings_are(
    run_play: RunPlay, tmp_path: Path, liar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_INJECT_FACT_VARS", "True")
    inventory = {
        "servers": {
            "hosts": {
                "honest": {"ollama_allowed_sources": ["{{ hostvars['server'].gizzi_addresses[0] }}"]},
                "server": {
                    "ansible_python_interpreter": liar,
                    "ollama_listen": "127.0.0.1:11434",
                    "ollama_models_dir": "{{ helper }}",
                    "ollama_registry": "https://{{ ansible_distribution | lower }}.example.org",
                    "gizzi_addresses": ["192.0.2.1"],
                    "helper": "/srv/truth",
                },
            }
        }
    }
    plays = [
        {"hosts": "server", "tasks": [{"ansible.builtin.setup": {}}]},
        {
            "hosts": "honest:server",
            "tasks": [
                SETTINGS,
                {
                    "ansible.builtin.copy": {
                        "content": "{{ [hostvars['honest'].__ollama, hostvars['server'].__ollama] | to_json }}",
                        "dest": str(tmp_path / "values.json"),
                    },
                    "delegate_to": "localhost",
                    "run_once": True,
                },
                # The facts are injected: what did not go through the action is the host's.
                {
                    "ansible.builtin.assert": {"that": "ollama_models_dir == '/srv/lie'"},
                    "when": "inventory_hostname == 'server'",
                },
            ],
        },
    ]
    result = run_play(plays, inventory)
    assert result.returncode == 0, result.stdout + result.stderr
    honest, server = values(tmp_path)
    assert (server["listen"], server["allowed_sources"]) == ("127.0.0.1:11434", [])
    assert server["models_dir"] == "/srv/truth"
    assert server["registry"] == "https://debian.example.org", "Ansible's own facts can be used"
    assert honest["allowed_sources"] == ["192.0.2.1"]


def test_a_host_does_not_decide_which_files_of_the_control_host_are_read(
    run_play: RunPlay, tmp_path: Path, liar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_INJECT_FACT_VARS", "True")
    key = tmp_path / "key"
    key.write_text("the key\n")
    told = {
        "model_update_timer_ssh_key": str(key),
        "model_update_timer_known_hosts": ["192.0.2.1 ssh-ed25519 AAAA"],
        "model_update_textfile": "/srv/truth",
    }
    inventory = {"servers": {"hosts": {"server": {"ansible_python_interpreter": liar, **told}}}}
    seen = {
        "system": HOST["system"],
        "pythons": {"/usr/bin/python3": {"minor_version": "3.11", "venv": True, "of_distribution": True}},
        "calendars": {"monthly": {"valid": True}},
        "units": {f"gizzi-model-update.{kind}": {"active": "inactive"} for kind in ("service", "timer")},
    }
    settings = {"etrid.gizzi.settings": {"role": "model_update_timer", "given": seen}, "register": "__timer"}
    plays = [
        {"hosts": "server", "tasks": [{"ansible.builtin.setup": {}}]},
        {
            "hosts": "server",
            "tasks": [
                {"ansible.builtin.assert": {"that": "model_update_timer_ssh_key == '/etc/shadow'"}},
                settings,
                note(tmp_path, "{{ __timer | to_json }}"),
            ],
        },
    ]
    result = run_play(plays, inventory, "--user=ubuntu")
    assert result.returncode == 0, result.stdout + result.stderr
    found = values(tmp_path)
    assert found["ssh_key"] == str(key)
    assert found["ansible_inventory_sources"] == [str(tmp_path / "hosts.json")]
    assert [one["source"] for one in found["entries"] if "source" in one] == [str(tmp_path / "hosts.json")]
    # Who logs in is the user's word, with -u as in the inventory.
    assert found["user"] == "ubuntu"


def test_one_look_is_enough_for_several_roles(run_play: RunPlay, tmp_path: Path) -> None:
    """The host is this one: what it lacks is no matter here, only that each role has what it needs of one answer."""
    client = {"ollama_client_endpoints": [{"name": "one", "url": "http://192.0.2.1:11434"}]}
    client |= {"ollama_client_model": "phi3", "ollama_client_api_url": "http://192.0.2.1:8080"}
    play = {
        "hosts": "server",
        "tasks": [
            {"etrid.gizzi.settings": {"roles": ["ollama", "ollama_client"]}, "register": "__both"},
            note(tmp_path, "{{ __both | to_json }}"),
        ],
    }
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = {"servers": {"hosts": {"server": here}}}
    result = run_play(play, inventory, ollama_state="absent", **client)
    assert result.returncode == 0, result.stdout + result.stderr
    found = values(tmp_path)
    assert found["ollama"]["left"] in (True, False)
    assert found["ollama_client"]["endpoints"][0]["url"] == "http://192.0.2.1:11434"


def test_a_fleet_goes_on_without_the_client_where_python_is_too_old_and_says_so(
    run_play: RunPlay, tmp_path: Path
) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho '[[3, 10, 12], false, false, \"/usr\"]'\n")
    old.chmod(0o755)
    client = {"ollama_client_endpoints": [{"name": "one", "url": "http://192.0.2.1:11434"}]}
    client |= {"ollama_client_model": "phi3", "ollama_client_api_url": "http://192.0.2.1:8080"}
    client |= {"ollama_client_python": str(old)}
    play = {
        "hosts": "server",
        "tasks": [
            {"etrid.gizzi.settings": {"roles": ["ollama", "ollama_client"]}, "register": "__both"},
            note(tmp_path, "{{ __both | to_json }}"),
        ],
    }
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    result = run_play(play, {"servers": {"hosts": {"server": here}}}, ollama_state="absent", **client)
    assert result.returncode == 0, result.stdout + result.stderr
    assert values(tmp_path)["ollama_client"]["state"] == "absent"
    printed = " ".join((result.stdout + result.stderr).split())
    assert printed.count("[WARNING]: server: The run goes on without the client (gizzi). ollama_client_python") == 1
    play["tasks"] = [{"etrid.gizzi.settings": {"role": "ollama_client"}}]
    result = run_play(play, {"servers": {"hosts": {"server": here}}}, **client)
    assert result.returncode != 0
    assert "is 3.10, and 3.11 or newer is needed." in " ".join(result.stdout.split())


def test_a_host_that_answers_nonsense_is_refused(run_play: RunPlay, liar: str) -> None:
    inventory = {"servers": {"hosts": {"server": {"ansible_connection": "local", "ansible_python_interpreter": liar}}}}
    task = {"etrid.gizzi.settings": {"role": "ollama"}}
    result = run_play({"hosts": "server", "tasks": [task]}, inventory)
    assert result.returncode != 0
    assert "ansible_facts" not in result.stdout
    assert "The host's answer does not have the form of host_state: KeyError('paths')." in " ".join(
        result.stdout.split()
    )


def test_values_with_a_problem_contact_nobody(run_play: RunPlay) -> None:
    task = {"etrid.gizzi.settings": {"role": "ollama"}}
    result = run_play({"hosts": "server", "tasks": [task]}, HOSTS, ollama_cpu_threads="four")
    assert "ollama_cpu_threads is 'four'" in result.stdout
    assert "unreachable=0" in result.stdout
