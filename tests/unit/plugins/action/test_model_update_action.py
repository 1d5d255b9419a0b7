# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an update decides between its servers, by what the playbook's tasks have registered."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.action.model_update import Look

NAMES = ["v1", "v2", "v3"]
MISTRAL = {"name": "mistral", "state": "present"}
MODEL = {
    "name": "mistral:latest",
    "digest": "old",
    "size": 1,
    "family": "",
    "parameter_size": "",
    "quantization_level": "",
}
INFO = {"models": [MODEL], "loaded": []}
OFFERED = {
    "models": {"mistral:latest": {"digest": "new", "digests": ["new"], "size": 9, "manifest": "{}", "error": ""}}
}
UPDATED = {
    **dict.fromkeys(("digest_before", "digest_after", "speed_before", "speed_after"), None),
    "verdict": "updated",
    "reason": "x",
    "bytes_pulled": 1,
    "seconds": 1.0,
    "derived": [],
}


class Run:
    """The variables of a run on three servers, of which tasks register things."""

    def __init__(self) -> None:
        self.registered: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
        self.variables: dict[str, Any] = {
            "ansible_play_hosts_all": NAMES,
            "ansible_play_hosts": NAMES,
            "ansible_play_batch": NAMES,
            "groups": {"all": ["v3", "v2", "v1"], "gizzi_update_todo": NAMES},
            "hostvars": self.registered,
            "__fleet": {
                "topology": "distributed",
                "certificates": {"v1": ["192.0.2.1"], "v2": ["192.0.2.2"]},
                "mirror": "",
                "hosts": {
                    name: {"models": [MISTRAL], "mirror": "", "ollama": {"registry": "https://registry.ollama.ai"}}
                    for name in NAMES
                },
            },
            "__update": {"keep": 1, "verify_blobs": False, "canary": "", "model_rollback_models": []},
            "__update_offered": OFFERED,
        }

    def look(self, check_mode: bool = False) -> Look:
        return Look(self.variables, "model_update", check_mode)

    def register(self, name: str, value: Any, *hosts: str) -> None:
        for host in hosts or NAMES:
            self.registered[host][name] = value


@pytest.fixture
def run() -> Run:
    """Begin where every server has been looked at, and the plan is made."""
    found = Run()
    found.register("__update_info", INFO)
    found.register("__update_asked", found.look().asked())
    found.register("__update_plan", found.look().plan())
    return found


def item(host: str) -> dict[str, Any]:
    return {"host": host, "model": "mistral:latest"}


def test_the_plan(run: Run) -> None:
    plan = run.registered["v1"]["__update_plan"]
    assert plan["todo"] == NAMES
    assert [row["action"] for row in plan["rows"]["v2"]] == ["update"]
    assert plan["calls"]["v2"] == [
        {
            "host": "v2",
            "model": "mistral:latest",
            "action": "update",
            "derived": [],
            "digest": None,
            "damaged": False,
            "mirror": "",
            "manifest": "",
        }
    ]
    assert run.registered["v1"]["__update_asked"]["models"] == ["mistral:latest"]


def test_the_first_that_is_fit_goes_first_in_the_inventorys_order(run: Run) -> None:
    run.register("__update_checked", {"results": [{"item": item("x"), "verdict": "planned", "reason": ""}]})
    run.register("__update_capacity", {"checks": []})
    assert run.look().order() == {"unfit": {}, "first": "v3"}
    ill = {"results": [{"item": item("v3"), "verdict": "unhealthy", "reason": "it does not answer"}]}
    run.register("__update_checked", ill, "v3")
    assert run.look().order() == {"unfit": {"v3": ["it does not answer", False]}, "first": "v2"}


def test_the_others_pull_what_the_registry_names_from_the_mirror(run: Run) -> None:
    mirror = "http://192.0.2.1:11444"
    run.variables["__fleet"]["hosts"]["v2"]["mirror"] = mirror
    plan = run.look().plan()
    assert [(call["mirror"], call["manifest"]) for call in plan["calls"]["v2"]] == [(mirror, "{}")]
    assert [(call["mirror"], call["manifest"]) for call in plan["calls"]["v1"]] == [("", "")]
    # What a pull has left that was cut off.
    stray = {**MODEL, "name": "192.0.2.1:11444/library/mistral:latest", "digest": "new"}
    current = {**MODEL, "digest": "new"}
    run.register("__update_info", {"models": [current, stray], "loaded": []})
    plan = run.look().plan()
    assert [plan["rows"][name][0]["action"] for name in ("v1", "v2")] == ["none", "sweep"]


def test_the_mirrors_host_goes_first(run: Run) -> None:
    run.register("__update_checked", {"results": []})
    run.register("__update_capacity", {"checks": []})
    run.variables["__fleet"]["mirror"] = "v2"
    assert run.look().order()["first"] == "v2"


def test_a_batch_pulls_together_and_takes_turns(run: Run) -> None:
    found = run.look().turns()
    assert found["stopped"] == ""
    assert [call["host"] for call in found["turns"]] == NAMES
    assert {host: len(calls) for host, calls in found["pulls"].items()} == dict.fromkeys(NAMES, 1)
    # One alone pulls in its turn.
    run.variables["ansible_play_batch"] = ["v1"]
    assert run.look().turns()["pulls"] == {}
    assert run.look(check_mode=True).turns()["turns"] == []


@pytest.mark.parametrize(
    ("settled", "lock", "why"),
    [
        ({"verdict": "restored", "reason": "too slow"}, {}, "too slow"),
        ({"unreachable": True, "msg": "ssh: timed out"}, {}, "ssh: timed out"),
        ({"failed": True, "msg": "Nothing listens"}, {}, "Nothing listens"),
        (UPDATED, {"msg": "eve@laptop has it"}, "the lock is lost: eve@laptop has it"),
    ],
)
def test_nobody_else_is_touched_once_something_went_wrong(
    run: Run, settled: dict[str, Any], lock: dict[str, Any], why: str
) -> None:
    run.register("__update_settled", {"results": [{"item": item("v1"), **settled}]}, "v1")
    run.variables["__update_lock"] = lock
    found = run.look().turns()
    assert (found["stopped"], found["turns"], found["pulls"]) == (why, [], {})


def test_the_report(run: Run) -> None:
    results = [{"item": item("v1"), **UPDATED}, {"item": item("v2"), "unreachable": True, "msg": "ssh: timed out"}]
    run.register("__update_settled", {"results": results}, "v1", "v2")
    run.variables["ansible_play_hosts"] = ["v1", "v3"]
    found = run.look().report("")
    document = found["document"]
    assert [(row["host"], row["verdict"]) for row in document["results"]] == [
        ("v1", "updated"),
        ("v2", "unreachable"),
        ("v3", "untouched"),
    ]
    assert (document["success"], document["check"], document["playbook"]) == (False, False, "etrid.gizzi.model_update")
    assert document["message"] == "This needs a look: v2."
    assert "v3" in found["text"]
    assert "v3" in found["markdown"]
    assert 'host="v3"' in found["metrics"]


ENDS = {"rc": 1, "stdout": "notAfter=Jan 25 12:00:00 2027 GMT\nCertificate will expire"}


@pytest.mark.parametrize(
    ("look", "renewal", "own", "verdict", "said"),
    [
        (ENDS, {"problem": ""}, False, "renewed", "v1, until Jan 25 12:00:00 2027 GMT: renewed\n"),
        (ENDS, {"problem": "it broke"}, False, "failed", "GMT: failed (it broke)\n"),
        (ENDS, {}, False, "due", "GMT: due (run etrid.gizzi.site where the authority's key is)\n"),
        (ENDS, {}, True, "due", "GMT: due (renew it, change gateway_certificate and gateway_key, and run"),
        ({"rc": 1, "stdout": ""}, {}, False, "unseen", "v1: unseen (it cannot be read; verify says more)\n"),
        ({"unreachable": True}, {}, False, "unseen", "v1: unseen"),
    ],
)
def test_the_report_says_which_certificates_end_soon(
    run: Run, look: dict[str, Any], renewal: dict[str, str], own: bool, verdict: str, said: str
) -> None:
    run.register("__update_certificate", {"rc": 0, "stdout": "notAfter=Nov 25 12:00:00 2027 GMT"}, "v2")
    run.register("__update_certificate", look, "v1")
    run.register("__update_renewal", renewal, "v1")
    run.register("gateway_certificate", "PEM" if own else "", "v1")
    run.register("__update_settled", {"results": [{"item": item(host), **UPDATED} for host in NAMES]})
    told = run.look().report("")
    assert [(row["host"], row["verdict"]) for row in told["document"]["certificates"]] == [("v1", verdict)]
    assert said in told["text"]
    assert said[:12] in told["markdown"]
    assert told["document"]["success"] == (verdict != "failed")
    assert told["document"]["message"].endswith("The certificates of v1 could not be renewed.") == (verdict == "failed")


def test_what_a_dry_run_would_renew(run: Run) -> None:
    run.register("__update_certificate", ENDS, "v1")
    run.register("__update_renewal", {"problem": ""}, "v1")
    assert [row["verdict"] for row in run.look(check_mode=True).report("")["document"]["certificates"]] == ["planned"]
