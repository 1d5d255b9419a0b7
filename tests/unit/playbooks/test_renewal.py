# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The update of models renews the certificates that end soon, and no other, where the authority's key is."""

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
from test_site import FLEET, PREFLIGHT, TOLD, events, stub

from ansible_collections.etrid.gizzi.plugins.plugin_utils import _authority, _certificates

# By the host, the one of v1 ends soon, that of v2 does not, and v3 has none.
OPENSSL = """#!/bin/sh
case $ON in v3) echo "Could not open file" >&2; exit 1;; esac
echo "notAfter=Jan 25 12:00:00 2027 GMT"
case $ON in v1) echo "Certificate will expire"; exit 1;; esac
"""
TASKS = PROJECT / "playbooks/tasks"
Renew = Callable[..., "tuple[list[str], dict[str, Any]]"]


def play(hosts: str, tasks: str) -> dict[str, Any]:
    path = {"PATH": "{{ lookup('env', 'PATH') }}", "ON": "{{ inventory_hostname }}"}
    imported = {"ansible.builtin.import_tasks": str(TASKS / f"{tasks}.yml")}
    return {"hosts": hosts, "gather_facts": False, "environment": path, "tasks": [imported]}


@pytest.fixture
def renew(tmp_path: Path) -> Renew:
    """Return a function that runs both parts, and returns what the roles said and what came of each host."""
    collection = tmp_path / "ansible_collections/etrid/gizzi"
    collection.mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "playbooks"):
        (collection / name).symlink_to(PROJECT / name)
    shutil.copytree(PROJECT / "plugins", collection / "plugins")
    real = str(PROJECT / "plugins/action/settings.py")
    (collection / "plugins/action/settings.py").write_text(PREFLIGHT.format(real=real))
    for role in TOLD:
        stub(collection / "roles" / role, role)
    program = tmp_path / "bin/openssl"
    program.parent.mkdir()
    program.write_text(OPENSSL)
    program.chmod(0o755)
    known = {f"v{n}": {"validator_id": n, "gizzi_addresses": [f"192.0.2.{n}"]} for n in (1, 2, 3)}
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    groups = {"validators": {"hosts": known}, "gizzi": {"hosts": {"v1": {}}}, "ollama_servers": {"hosts": known}}
    inventory, playbook = tmp_path / "hosts.json", tmp_path / "play.json"
    inventory.write_text(json.dumps({"all": {"children": groups, "vars": local | FLEET}}))
    names = ("__update_certificate", "__update_renewal")
    told = (
        "TOLD {{ [inventory_hostname, " + ", ".join(f"{name} | default({{}})" for name in names) + "] | to_json }} DLOT"
    )
    report = {"hosts": "validators", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": told}}]}
    parts = [play("validators", "fleet"), play("gizzi_fleet", "model_update_certificates")]
    playbook.write_text(json.dumps([*parts, play("gizzi_update_renewal", "model_update_renewal"), report]))

    def run(**variables: Any) -> tuple[list[str], dict[str, Any]]:
        given = {"gizzi_topology": "centralized", "gizzi_authority_dir": str(tmp_path / "authority"), **variables}
        environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_FORKS": "1"}
        environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
        command = ["ansible-playbook", "-i", inventory, playbook, "-e", json.dumps(given)]
        result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert result.returncode == 0, result.stdout
        found = [json.loads(text) for text in re.findall(r"TOLD (.*) DLOT", result.stdout.replace('\\"', '"'))]
        return events(result.stdout), {host: (look, renewal) for host, look, renewal in found}

    return run


def kept(folder: Path) -> str:
    """Make an authority in a folder, and return its key."""
    _certificates.certificates(folder, {"v1": ["192.0.2.1"]}, "", _authority.clock(), False)
    return (folder / "authority.key").read_text()


def test_what_ends_soon_is_renewed_and_nothing_else(renew: Renew, tmp_path: Path) -> None:
    kept(tmp_path / "authority")
    happened, told = renew()
    assert happened == ["gateway preflight v1 for 3", "gateway deploy v1 for 3"]
    assert [told[host][1] for host in ("v1", "v2", "v3")] == [{"problem": ""}, {}, {}]
    assert told["v1"][0]["rc"] == 1
    assert "notAfter=Jan 25" in told["v1"][0]["stdout"]


def test_the_key_of_the_inventory_will_do(renew: Renew, tmp_path: Path) -> None:
    happened, _told = renew(gateway_authority_key=kept(tmp_path / "elsewhere"))
    assert happened[-1:] == ["gateway deploy v1 for 3"]


def test_without_the_key_no_other_authority_is_made(renew: Renew, tmp_path: Path) -> None:
    happened, told = renew()
    assert happened == []
    assert told["v1"][1] == {}
    assert not (tmp_path / "authority").exists()


def test_a_renewal_that_fails_is_told(renew: Renew, tmp_path: Path) -> None:
    kept(tmp_path / "authority")
    _happened, told = renew(fails="gateway deploy")
    assert "Failed as requested from task" in told["v1"][1]["problem"]
