# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role model_update_timer refuses, with value and remedy, and what follows from its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import model_update_timer
from ansible_collections.etrid.gizzi.plugins.plugin_utils._settings import options_of
from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role

ROLE = "model_update_timer"
KEY_LINE = "192.0.2.1 ssh-ed25519 AAAA"
PYTHON = {"version": "3.11.2", "minor_version": "3.11", "venv": True, "of_distribution": True}
HOST: dict[str, Any] = {
    "system": {"service_manager": "systemd", "systemd": 252},
    "pythons": {"/usr/bin/python3": PYTHON},
    "calendars": {"monthly": {"valid": True, "message": ""}},
    "units": {
        "gizzi-model-update.service": {"active": "inactive"},
        "gizzi-model-update.timer": {"active": "inactive"},
    },
}


class Operator:
    """The control host: an inventory, a key, and the role's values."""

    def __init__(self, folder: Path) -> None:
        self.inventory = folder / "inventory"
        (self.inventory / "group_vars").mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text("all: {}\n")
        (self.inventory / "group_vars/all.yml").write_text("a: 1\n")
        self.key = folder / "key"
        self.key.write_text("the key\n")

    def judge(self, host: Any = None, sources: Any = None, **given: Any) -> tuple[dict[str, Any], list[str]]:
        given = {"ssh_key": str(self.key), "known_hosts": [KEY_LINE]} | given
        named = {f"{ROLE}_{name}": value for name, value in given.items()}
        named["ansible_inventory_sources"] = [str(self.inventory)] if sources is None else sources
        return judge_role(ROLE, named, host or HOST)

    def values(self, **given: Any) -> dict[str, Any]:
        found, problems = self.judge(**given)
        assert problems == []
        return found


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def inventory(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in found["entries"] if one["path"].startswith("/etc/gizzi-model-update/inventory")]


UPDATING = HOST["units"] | {"gizzi-model-update.service": {"active": "activating"}}
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"schedule": ""}, ['model_update_timer_schedule is "". Write one line']),
    ({"schedule": "monthly\nExecStart=x"}, ["model_update_timer_schedule"]),
    ({"random_delay": "a while"}, ['model_update_timer_random_delay is "a while", which is no time span. Write']),
    ({"on_failure": ["mail"]}, ["model_update_timer_on_failure is ['mail']. Name units, for instance"]),
    ({"sources": []}, ["This run has no inventories. Name the fleet's in model_update_timer_inventory."]),
    ({"sources": ["/a", "/b"]}, ["This run has 2 inventories."]),
    ({"inventory": "/nowhere/inventory"}, ['The inventory "/nowhere/inventory" is no file or folder of the machine']),
    ({"ssh_key": "/nowhere/key"}, ['model_update_timer_ssh_key is "/nowhere/key", and there is no such file']),
    ({"ssh_key": ""}, ['model_update_timer_ssh_key is "", and there is no such file']),
    ({"vault_password_file": "/nowhere"}, ['model_update_timer_vault_password_file is "/nowhere", and there is no']),
    ({"known_hosts": []}, ["model_update_timer_known_hosts has no lines", "etrid.gizzi.model_update_timer, which"]),
    ({"known_hosts": ["# a comment"]}, ["model_update_timer_known_hosts has 1 lines, or one that is not of the form"]),
    ({"known_hosts": [f"{KEY_LINE}\n@cert-authority * x y"]}, ["model_update_timer_known_hosts"]),
    (
        {"variables": {"model_update_report_dir": "/tmp", "ansible_ssh_args": ""}},
        ["model_update_timer_variables sets ansible_ssh_args and model_update_report_dir, which the role sets itself."],
    ),
    ({"collections": ["/nowhere/extra"]}, ["model_update_timer_collections has /nowhere/extra, which is no folder"]),
    ({"collections": ["acme/extra"]}, ["model_update_timer_collections has acme/extra", "by an absolute path"]),
    ({"metrics_dir": "metrics"}, ['model_update_timer_metrics_dir is "metrics". Name the absolute path']),
    ({"state": "absent", "metrics_dir": "/a/../b"}, ["model_update_timer_metrics_dir"]),
    ({"wheelhouse": "/nowhere"}, ['model_update_timer_wheelhouse is "/nowhere", and the control host has no folder']),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused(operator: Operator, given: dict[str, Any], said: list[str]) -> None:
    (problem,) = operator.judge(**given)[1]
    assert all(part in problem for part in said), problem


def test_everything_is_said_at_once(operator: Operator) -> None:
    wrong = {"random_delay": "x", "ssh_key": "/x", "known_hosts": [], "metrics_dir": "x", "on_failure": ["mail"]}
    assert len(operator.judge(**wrong)[1]) == 5


def test_removal_needs_nothing_of_the_control_host(operator: Operator) -> None:
    found = operator.values(state="absent", ssh_key="", known_hosts=[], sources=[], metrics_dir="/srv/metrics")
    paths = [one["path"] for one in found["entries"]]
    assert "/etc/gizzi-model-update/inventory" in paths
    assert "/srv/metrics/gizzi-model-update.prom" in paths


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"calendars": {"monthly": {"valid": False, "message": "x"}}}, 'schedule is "monthly", which systemd does not'),
        ({"calendars": {"monthly": {"unseen": "no systemd-analyze"}}}, 'schedule is "monthly", which systemd does not'),
        ({"units": UPDATING}, "The host updates the fleet at this"),
        ({"system": {"service_manager": "systemd", "systemd": 245}}, "does not run systemd 247 or newer"),
        (
            {"system": {"service_manager": "init", "systemd": None}, "calendars": {"monthly": {}}},
            "does not run systemd",
        ),
        ({"pythons": {"/usr/bin/python3": None}}, 'model_update_timer_python is "/usr/bin/python3", and no Python'),
    ],
)
def test_what_the_host_lacks(operator: Operator, seen: dict[str, Any], said: str) -> None:
    (problem,) = operator.judge(host=HOST | seen)[1]
    assert said in problem
    assert operator.judge(host=HOST | seen, state="absent")[1] == []


def test_an_inventory_of_a_folder(operator: Operator) -> None:
    program = operator.inventory / "more.py"
    program.write_text("#!/bin/sh\necho '{}'\n")
    program.chmod(0o755)
    (operator.inventory / "__pycache__").mkdir()
    (operator.inventory / "loop").symlink_to(operator.inventory)
    found = operator.values()
    place, user = "/etc/gizzi-model-update/inventory", "gizzi-model-update"
    assert found["inventory_on_host"] == place
    assert [(one["path"], one["mode"], one["owner"], one["group"]) for one in inventory(found)] == [
        (place, "0700", user, user),
        (f"{place}/group_vars", "0700", user, user),
        (f"{place}/group_vars/all.yml", "0600", user, user),
        (f"{place}/hosts.yml", "0600", user, user),
        # An executable inventory is one there too.
        (f"{place}/more.py", "0700", user, user),
    ]
    # What is vaulted stays so, and what is secret is shown nowhere.
    assert all(one["secret"] and "source" in one for one in inventory(found) if one.get("kind") != "folder")


def test_an_inventory_that_is_a_file_has_what_is_beside_it(operator: Operator) -> None:
    (operator.inventory / "other.yml").write_text("")
    found = operator.values(inventory=str(operator.inventory / "hosts.yml"))
    place = "/etc/gizzi-model-update/inventory"
    assert found["inventory_on_host"] == f"{place}/hosts.yml"
    assert [one["path"] for one in inventory(found)] == [
        place,
        f"{place}/hosts.yml",
        f"{place}/group_vars",
        f"{place}/group_vars/all.yml",
    ]


def test_a_file_that_is_no_text_is_named(operator: Operator) -> None:
    (operator.inventory / "picture").write_bytes(b"\xff\xfe\x00")
    (problem,) = operator.judge()[1]
    assert f"The inventory's file {operator.inventory}/picture cannot be copied" in problem


def test_paths_of_the_control_host_are_its_own(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(operator.key.parent))
    (operator.key.parent / "acme/extra").mkdir(parents=True)
    found = operator.values(ssh_key="~/key", collections=["~/acme/extra/"], variables={"model_update_serial": 1})
    assert found["ssh_key"] == str(operator.key)
    assert [(one["name"], one["source"]) for one in found["collections"][1:]] == [
        ("acme/extra", f"{operator.key.parent}/acme/extra")
    ]
    assert found["collections"][0]["name"] == "etrid/gizzi"
    assert (Path(found["collections"][0]["source"]) / "playbooks/model_update.yml").is_file()
    variables = found["all_variables"]
    assert variables["ansible_ssh_private_key_file"] == "/etc/gizzi-model-update/ssh_key"
    assert variables["model_update_serial"] == 1
    assert found["version"].count(".") == 2


def test_metrics_are_published_by_links_that_lead_to_something(operator: Operator) -> None:
    own = "/var/lib/gizzi-model-update-metrics"
    found = operator.values(metrics_dir="/srv/metrics")
    assert found["all_variables"]["model_update_textfile"] == f"{own}/run.prom"
    links = {one["path"]: one["target"] for one in found["entries"] if one.get("kind") == "link" and one["when"]}
    assert links == {
        "/srv/metrics/gizzi-model-update.prom": f"{own}/run.prom",
        "/srv/metrics/gizzi-model-update-timer.prom": f"{own}/timer.prom",
    }
    initial = {one["path"] for one in found["entries"] if one.get("initial")}
    assert initial == set(links.values())
    # Where they were before a change of the folder is noted.
    none = [one for one in operator.values()["entries"] if one.get("kind") == "link"]
    assert [one["when"] for one in none] == [False] * 2


def test_collections_lie_where_the_release_has_its_packages(operator: Operator) -> None:
    found = operator.values()
    assert [one["dest"] for one in found["beside"]] == ["lib/python3.11/site-packages/ansible_collections/etrid/gizzi"]
    assert found["running"] is False


def test_who_logs_in_is_who_logs_in_now(operator: Operator) -> None:
    """As with ansible-playbook -u ubuntu, of which the copied inventory knows nothing."""
    given = {"model_update_timer_ssh_key": str(operator.key), "model_update_timer_known_hosts": [KEY_LINE]}
    given |= {"ansible_inventory_sources": [str(operator.inventory)]}
    options = options_of(ROLE)
    assert judge_role(ROLE, given | {"ansible_user": "ubuntu"}, options=options)[0]["user"] == "ubuntu"
    assert judge_role(ROLE, given, options=options)[0]["user"] == ""
    assert model_update_timer.OPTIONS.keys() <= options.keys()
