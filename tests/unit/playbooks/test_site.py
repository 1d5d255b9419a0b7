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
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from plays import PROJECT

from ansible_collections.etrid.gizzi.plugins.plugin_utils import _bundle
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry, content_manifest

Site = Callable[..., "tuple[int, list[str]]"]
SAY = "SAID <{{ role_name | split('.') | last }} %s {{ inventory_hostname }} {{ %s }}>"
TOLD = {
    "ollama": "__ollama.state ~ ' ' ~ __ollama.listen",
    "ollama_client": "__ollama_client.endpoints[0].url",
    "gateway": "'for ' ~ __gateway.ollama_sources | length",
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
        for role in (one for one in found if one.role != "takeover"):
            Display().display(f"SAID <{{role.role}} preflight {{host}} {{self._told(role.role, role.values)}}>")
            if task_vars.get("fails") == f"{{role.role}} preflight":
                return {{"failed": True}}
        alone = task_vars.get("listens") != "everywhere"
        left, meanwhile = task_vars.get("has_gateway", False), task_vars.get("meanwhile", {{}})
        old = task_vars.get("old_python", False)
        seen = {{"current": task_vars.get("current", "0.34.1"), "closes": []}}
        return {{"before": {{"on_loopback": alone}}, "left": left, "meanwhile": meanwhile, "old": old, **seen}}

    def _told(self, role, values):
        told = {{
            "ollama": lambda: f"{{values['state']}} {{values['listen']}}",
            "ollama_client": lambda: values["endpoints"][0]["url"],
            "gateway": lambda: f"for {{len(values['ollama_sources'])}}",
            "gizzi_api": lambda: str(len(values["validators"])),
        }}
        return told[role]()


def on(self, host, fleet):
    assert fleet
    absent = {{"state": "absent"}} if self.role == "ollama_client" and host["old"] else {{}}
    return real._settings.Judged(self.role, {{**self.values, **host, **absent}}, [])


real._settings.Judged.on = on
"""
ALL = ["v1", "v2", "v3"]
# Nobody is asked what the registry has: nothing listens there.
FLEET = {
    "ansible_become": False,
    "ollama_registry": "http://127.0.0.1:9",
    "gateway_token_secret": "a-secret-of-the-tests-which-is-long-enough",
}
MANIFEST = content_manifest(b"", b"").decode()
OWN, SHARED = "http://127.0.0.1:11434", "https://192.0.2.1:11443"


class Nothing:
    """A host whose blobs are empty."""

    def read(self, digest: str, start: int, target: _bundle.Target) -> int:
        return 0


def stub(folder: Path, role: str) -> None:
    """Write a role that says what it is told, and fails where the inventory says so."""
    (folder / "tasks").mkdir(parents=True)
    # Its specification, and the presets that its settings may name.
    for name in ("meta", "files"):
        (folder / name).symlink_to(PROJECT / "roles" / role / name)
    for stage in ("deploy", "remove", "models", "settle"):
        say = {"ansible.builtin.debug": {"msg": SAY % (stage, TOLD[role])}, "changed_when": "pulls | default(false)"}
        said = [say | {"register": f"__{role}_models"}]
        fails = [{"ansible.builtin.fail": {}, "when": f"fails | default('') == '{role} {stage}'"}]
        (folder / f"tasks/{stage}.yml").write_text(json.dumps([*said, *fails]))


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
        inventory.write_text(json.dumps({"all": {"children": groups, "vars": local | FLEET}}))
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
        # Plays without a host are no reason for a warning.
        assert "Could not match" not in result.stdout + result.stderr
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


def server(*hosts: str, stage: str = "deploy", state: str = "present") -> list[str]:
    return [f"ollama {stage} {host} {state} 127.0.0.1:11434" for host in hosts]


def client(address: str, *hosts: str, stage: str = "deploy") -> list[str]:
    return [f"ollama_client {stage} {host} {address}" for host in hosts]


def gateway(host: str, sources: int, stage: str = "deploy") -> list[str]:
    return [f"gateway {stage} {host} for {sources}"]


def answers(*hosts: str) -> list[str]:
    return [f"server answers {host}" for host in hosts]


def preflight(host: str, address: str, state: str, sources: int = 0) -> list[str]:
    stage = "preflight"
    found = server(host, stage=stage, state=state) + client(address, host, stage=stage) + gateway(host, sources, stage)
    return found + (["gizzi_api preflight v1 3"] if host == "v1" else [])


def changes(found: list[str]) -> list[str]:
    """Return what happened after all hosts were checked."""
    return [event for event in found if " preflight " not in event]


OTHERS = server("v2", "v3") + answers("v2", "v3") + client(OWN, "v2", "v3")


def after(sources: int) -> list[str]:
    """Return what comes last: the tokens of an earlier secret go, and the API comes."""
    return [*gateway("v1", sources, "settle"), "gizzi_api deploy v1 3", *(f"api answers {host}" for host in ALL)]


def test_to_distributed_the_shared_server_closes_when_the_others_have_their_own(site: Site) -> None:
    status, found = site("distributed")
    assert status == 0, found
    assert found == [
        *(event for host in ALL for event in preflight(host, OWN, "present")),
        # The others pull from it.
        *(server("v1") + answers("v1") + client(OWN, "v1") + gateway("v1", 0)),
        *OTHERS,
        *after(0),
    ]


def test_the_gateway_that_others_ask_serves_them_until_they_have_their_own(site: Site) -> None:
    status, found = site("distributed", v1={"meanwhile": {"ollama_sources": ALL}})
    assert status == 0, found
    assert changes(found) == [
        *(server("v1") + answers("v1") + client(OWN, "v1") + gateway("v1", 3)),
        *OTHERS,
        *gateway("v1", 0),
        *after(0),
    ]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with closing(FakeRegistry()) as server:
        yield server


def test_with_a_bundle_nothing_is_done_before_it_is_known_to_have_the_models(
    site: Site, tmp_path: Path, registry: FakeRegistry
) -> None:
    path = tmp_path / "models.tar"
    asked = {"ollama_registry": registry.url, "ollama_reserved_disk": 0, "pulls": True}

    def from_bundle(sha256: str) -> tuple[int, list[str]]:
        given = {"gizzi_bundle": str(path), "gizzi_bundle_sha256": sha256}
        status, found = site("distributed", "-e", json.dumps(asked | given))
        return status, changes(found)

    made = _bundle.write(path, {"mistral:latest": _bundle.entry(MANIFEST, None, "no weights")}, Nothing(), check=False)
    assert made.sha256
    status, done = from_bundle("0" * 64)
    assert (status, done) == (2, [])
    status, done = from_bundle(made.sha256)
    assert (status, done) == (2, [])
    made = _bundle.write(path, {"llama3.1:8b": _bundle.entry(MANIFEST, None, "no weights")}, Nothing(), check=False)
    assert made.sha256
    status, done = from_bundle(made.sha256)
    assert status == 0, done
    assert done == [*(server("v1") + answers("v1") + client(OWN, "v1") + gateway("v1", 0)), *OTHERS, *after(0)]
    assert registry.requests == []
    # Without one it is asked twice, as the mirror has pulled.
    site("distributed", "-e", json.dumps(asked))
    assert len(registry.requests) == 2


def test_a_plain_server_that_others_pull_from_goes_to_loopback_when_nobody_asks_it(site: Site) -> None:
    status, found = site("distributed", v1={"listens": "everywhere"})
    assert status == 0, found
    assert changes(found) == [
        "ollama models v1 present 127.0.0.1:11434",
        *gateway("v1", 0),
        *OTHERS,
        *(answers("v1") + client(OWN, "v1") + server("v1")),
        *after(0),
    ]


def test_without_a_mirror_all_pull_at_once(site: Site) -> None:
    status, found = site("distributed", "-e", "gateway_mirror=false")
    assert status == 0, found
    assert changes(found) == [
        *(server(*ALL) + answers(*ALL) + client(OWN, *ALL)),
        *gateway("v1", 0),
        *after(0),
    ]


def test_and_back_the_own_servers_go_when_the_shared_one_has_answered_their_hosts(site: Site) -> None:
    status, found = site("centralized")
    assert status == 0, found
    assert found == [
        *preflight("v1", OWN, "present", 3),
        *(event for host in ("v2", "v3") for event in preflight(host, SHARED, "absent")),
        *(server("v1") + answers("v1") + client(OWN, "v1")),
        *gateway("v1", 3),
        *(answers("v2", "v3") + client(SHARED, "v2", "v3")),
        *server("v2", "v3", stage="remove", state="absent"),
        *after(3),
    ]


def test_a_plain_server_goes_to_loopback_when_all_ask_its_gateway(site: Site) -> None:
    status, found = site("centralized", v1={"listens": "everywhere"})
    assert status == 0, found
    assert changes(found) == [
        "ollama models v1 present 127.0.0.1:11434",
        *gateway("v1", 3),
        *(answers(*ALL) + client(OWN, "v1") + client(SHARED, "v2", "v3")),
        *server("v1"),
        *server("v2", "v3", stage="remove", state="absent"),
        *after(3),
    ]


def test_a_server_that_was_installed_by_hand_is_replaced_at_once(site: Site) -> None:
    status, found = site("centralized", v1={"listens": "everywhere", "current": ""})
    assert status == 0, found
    assert changes(found)[:1] == server("v1")


def test_a_gateway_that_is_no_longer_needed_goes_when_nobody_asks_it(site: Site) -> None:
    status, found = site("centralized", v2={"has_gateway": True})
    assert status == 0, found
    assert changes(found)[-6:] == [*gateway("v2", 0, "remove"), *after(3)]


@pytest.mark.parametrize(
    "fails", ["ollama preflight", "ollama_client preflight", "gateway preflight", "gizzi_api preflight"]
)
def test_a_host_that_cannot_have_it_ends_the_run_before_anything_changes(site: Site, fails: str) -> None:
    status, found = site("distributed", v1={"fails": fails})
    assert status != 0
    assert changes(found) == []


def test_a_new_server_that_fails_leaves_the_shared_one_alone(site: Site) -> None:
    status, found = site("distributed", v3={"fails": "ollama deploy"})
    assert status != 0
    first = server("v1") + answers("v1") + client(OWN, "v1") + gateway("v1", 0)
    assert changes(found) == first + server("v2", "v3")


def test_a_gateway_that_fails_leaves_the_clients_at_their_own_servers(site: Site) -> None:
    status, found = site("centralized", v1={"fails": "gateway deploy"})
    assert status != 0
    assert changes(found) == [*server("v1"), *answers("v1"), *client(OWN, "v1"), *gateway("v1", 3)]


def test_an_api_that_cannot_be_deployed_fails_the_run_after_all_else(site: Site) -> None:
    status, found = site("centralized", v1={"fails": "gizzi_api deploy"})
    assert status != 0
    *rest, settled, api = changes(found)
    assert [settled, api] == [*gateway("v1", 3, "settle"), "gizzi_api deploy v1 3"]
    assert rest[-2:] == server("v2", "v3", stage="remove", state="absent")


def test_each_host_has_what_it_is_to_have_where_others_have_not(site: Site) -> None:
    """Ansible runs the tasks that the first host includes on all others too, if one task includes both."""
    status, found = site("distributed", v1={"ollama_client_state": "absent"}, v2={"has_gateway": True})
    assert status == 0, found
    done = [
        *client(OWN, "v1", stage="remove"),
        *client(OWN, "v2", "v3"),
        *gateway("v1", 0),
        *gateway("v2", 0, "remove"),
    ]
    assert sorted(event for event in changes(found) if event in done) == sorted(done)


def test_with_a_limit_only_those_hosts_are_touched(site: Site) -> None:
    status, found = site("centralized", "--limit", "v2")
    assert status == 0, found
    assert found == [
        *preflight("v2", SHARED, "absent"),
        *(answers("v2") + client(SHARED, "v2")),
        *server("v2", stage="remove", state="absent"),
        "api answers v2",
    ]


def test_without_an_api_nobody_waits_for_its_answer(site: Site) -> None:
    """No server either: none has a model, so that the run asks for nothing that is not there."""
    none: dict[str, Any] = {"ollama_models": []}
    status, found = site("distributed", dry=False, v1=none | {"gizzi_api_state": "absent"}, v2=none, v3=none)
    assert status == 0, found
    assert found[-5:-4] + found[-3:] == [*gateway("v1", 0, "settle"), *(f"api answers {host}" for host in ALL)]


def test_where_the_client_is_left_out_nothing_waits_for_what_it_would_ask(site: Site) -> None:
    old: dict[str, Any] = {"ollama_models": [], "old_python": True}
    status, found = site("centralized", dry=False, v1=old, v2=old, v3=old)
    assert status == 0, found
    gone = client(OWN, "v1", stage="remove") + client(SHARED, "v2", "v3", stage="remove")
    assert [event for event in found if event.startswith(("ollama_client r", "ollama_client d"))] == gone
    assert found[-5:-4] + found[-3:] == [*gateway("v1", 3, "settle"), *(f"api answers {host}" for host in ALL)]


def test_an_inventory_that_is_none_contacts_nobody(site: Site) -> None:
    status, found = site("both")
    assert (status != 0, found) == (True, [])
