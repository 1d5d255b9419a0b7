# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order site.yml does what on which host: no client ever points at a server that is not there.

Ansible runs the playbook in a collection whose roles say what they are told, and do nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT

Site = Callable[..., "tuple[int, list[str]]"]
SAY = "SAID <{{ role_name | split('.') | last }} deploy {{ inventory_hostname }} {{ %s }}>"
TOLD = {
    "ollama": "__ollama.state ~ ' ' ~ __ollama.listen",
    "ollama_client": "__ollama_client.endpoints[0].url | regex_replace('^http://')",
    "gizzi_api": "__gizzi_api.validators | length",
}
# Says what each role of a host is told, and fails where the inventory says so, in the place of a look at the host.
PREFLIGHT = """
from importlib.machinery import SourceFileLoader

from ansible.utils.display import Display

real = SourceFileLoader("real_settings", {real!r}).load_module()


class ActionModule(real.ActionModule):
    def _host(self, found, task_vars):
        if found[0].role == "fleet":
            return {{}}
        host = task_vars["inventory_hostname"]
        for role in found:
            Display().display(f"SAID <{{role.role}} preflight {{host}} {{self._told(role.role, role.values)}}>")
            if task_vars.get("fails") == f"{{role.role}} preflight":
                return {{"failed": True}}
        alone = task_vars.get("listens") != "everywhere"
        return {{"before": {{"on_loopback": alone}}}}

    def _told(self, role, values):
        told = {{
            "ollama": lambda: f"{{values['state']}} {{values['listen']}}",
            "ollama_client": lambda: values["endpoints"][0]["url"].removeprefix("http://"),
            "gizzi_api": lambda: str(len(values["validators"])),
        }}
        return told[role]()


real._settings.Judged.on = lambda self, host: real._settings.Judged(self.role, {{**self.values, **host}}, [])
"""
ALL = ["v1", "v2", "v3"]


def stub(folder: Path, role: str) -> None:
    """Write a role that says what it is told, and fails where the inventory says so."""
    (folder / "tasks").mkdir(parents=True)
    # Its specification, and the presets that its settings may name.
    for name in ("meta", "files"):
        (folder / name).symlink_to(PROJECT / "roles" / role / name)
    tasks: list[dict[str, Any]] = [{"ansible.builtin.debug": {"msg": SAY % TOLD[role]}}]
    tasks.append({"ansible.builtin.fail": {}, "when": f"fails | default('') == '{role} deploy'"})
    for stage in ("deploy", "remove"):
        (folder / f"tasks/{stage}.yml").write_text(json.dumps(tasks))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a function that runs site.yml with variables of hosts, and returns its status and what happened."""
    collection = tmp_path / "ansible_collections/etrid/gizzi"
    collection.mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "playbooks"):
        (collection / name).symlink_to(PROJECT / name)
    shutil.copytree(PROJECT / "plugins", collection / "plugins")
    real = str(PROJECT / "plugins/action/settings.py")
    (collection / "plugins/action/settings.py").write_text(PREFLIGHT.format(real=real))
    for role in TOLD:
        stub(collection / "roles" / role, role)

    def run(topology: str, *arguments: str, dry: bool = True, **hosts: dict[str, Any]) -> tuple[int, list[str]]:
        known = {
            f"v{number}": {
                "validator_id": number,
                "gizzi_addresses": [f"192.0.2.{number}"],
                **hosts.get(f"v{number}", {}),
            }
            for number in (1, 2, 3)
        }
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        groups = {"validators": {"hosts": known}, "gizzi": {"hosts": {"v1": {}}}}
        inventory = tmp_path / "hosts.json"
        inventory.write_text(json.dumps({"all": {"children": groups, "vars": local | {"ansible_become": False}}}))
        # A dry run asks no server for an answer: its place is where it is skipped. One fork keeps the hosts in order.
        command = [
            "ansible-playbook",
            "-i",
            inventory,
            "etrid.gizzi.site",
            *(["--check"] if dry else []),
            "-e",
            f"gizzi_topology={topology}",
        ]
        environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_FORKS": "1"}
        result = subprocess.run(
            [*command, *arguments], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        return result.returncode, events(result.stdout)

    return run


def events(printed: str) -> list[str]:
    """Return what the roles said, and which host was to wait for an answer, in order."""
    found: list[str] = []
    task = ""
    for line in printed.splitlines():
        if begun := re.match(r"TASK \[(.*)\]", line):
            task = begun[1]
        elif said := re.search(r"SAID <(.*?)>", line):
            found.append(said[1])
        elif (skipped := re.match(r"skipping: \[(v\d)\]", line)) and "answers this host" in task:
            found.append(f"{'server' if task.startswith('The server') else 'api'} answers {skipped[1]}")
    return found


def server(*hosts: str, listen: str = "127.0.0.1:11434", stage: str = "deploy", state: str = "present") -> list[str]:
    return [f"ollama {stage} {host} {state} {listen}" for host in hosts]


def client(address: str, *hosts: str, stage: str = "deploy") -> list[str]:
    return [f"ollama_client {stage} {host} {address}:11434" for host in hosts]


def answers(*hosts: str) -> list[str]:
    return [f"server answers {host}" for host in hosts]


API = ["gizzi_api deploy v1 3", *(f"api answers {host}" for host in ALL)]


def test_to_distributed_the_shared_server_withdraws_when_the_others_have_their_own(site: Site) -> None:
    status, found = site("distributed", v1={"listens": "everywhere"})
    assert status == 0, found
    own = "127.0.0.1"
    assert found == [
        *(server("v1", stage="preflight") + client(own, "v1", stage="preflight") + ["gizzi_api preflight v1 3"]),
        *(server("v2", stage="preflight") + client(own, "v2", stage="preflight")),
        *(server("v3", stage="preflight") + client(own, "v3", stage="preflight")),
        *(server("v2", "v3") + answers("v2", "v3") + client(own, "v2", "v3")),
        *(server("v1") + answers("v1") + client(own, "v1")),
        *API,
    ]


def test_and_back_the_own_servers_go_when_the_shared_one_has_answered_their_hosts(site: Site) -> None:
    status, found = site("centralized")
    assert status == 0, found
    shared = {"listen": "[::]:11434"}
    own = client("127.0.0.1", "v1", stage="preflight")
    assert found == [
        *(server("v1", stage="preflight", **shared) + own + ["gizzi_api preflight v1 3"]),
        *(server("v2", stage="preflight", state="absent") + client("192.0.2.1", "v2", stage="preflight")),
        *(server("v3", stage="preflight", state="absent") + client("192.0.2.1", "v3", stage="preflight")),
        *(server("v1", **shared) + answers("v1") + client("127.0.0.1", "v1")),
        *(answers("v2", "v3") + client("192.0.2.1", "v2", "v3")),
        *server("v2", "v3", state="absent"),
        *API,
    ]


@pytest.mark.parametrize("fails", ["ollama preflight", "ollama_client preflight", "gizzi_api preflight"])
def test_a_host_that_cannot_have_it_ends_the_run_before_anything_changes(site: Site, fails: str) -> None:
    status, found = site("distributed", v1={"fails": fails})
    assert status != 0
    assert [event for event in found if " preflight " not in event] == []


def test_a_new_server_that_fails_leaves_the_shared_one_alone(site: Site) -> None:
    status, found = site("distributed", v1={"listens": "everywhere"}, v3={"fails": "ollama deploy"})
    assert status != 0
    assert [event for event in found if " preflight " not in event] == server("v2", "v3")


def test_with_a_limit_only_those_hosts_are_touched(site: Site) -> None:
    status, found = site("centralized", "--limit", "v2")
    assert status == 0, found
    assert found == [
        *(server("v2", stage="preflight", state="absent") + client("192.0.2.1", "v2", stage="preflight")),
        *(answers("v2") + client("192.0.2.1", "v2")),
        *server("v2", state="absent"),
        "api answers v2",
    ]


def test_without_an_api_nobody_waits_for_its_answer(site: Site) -> None:
    """No server either: none has a model, so that the run asks for nothing that is not there."""
    none: dict[str, Any] = {"ollama_models": []}
    status, found = site("distributed", dry=False, v1=none | {"gizzi_api_state": "absent"}, v2=none, v3=none)
    assert status == 0, found
    assert found[-3:] == [f"api answers {host}" for host in ALL]


def test_an_inventory_that_is_none_contacts_nobody(site: Site) -> None:
    status, found = site("both")
    assert (status != 0, found) == (True, [])
