# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What verify and diagnose say of the mirror, on its own host and on those that pull from it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access
from ansible_collections.etrid.gizzi.plugins.module_utils._report._checks import verify
from ansible_collections.etrid.gizzi.plugins.module_utils._report._observed import Host
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import first_step, parse_wanted, steps
from ansible_collections.etrid.gizzi.plugins.module_utils._report._topics import diagnose
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen

OWN, URL, MODEL = "http://127.0.0.1:11444", "http://192.0.2.1:11444", "llama3.1:8b"
# The Gizzi host under Option B, and a validator that pulls from it.
MIRROR = {
    "topology": "distributed",
    "shared": False,
    "sources": [],
    "gateway": {"api": 8443, "mirror": 11444},
    "mirrored": [MODEL],
}
PULLER = MIRROR | {"gizzi": False, "gateway": {}, "mirror": URL}
GUARDS = {"gateway-api": seen.guard(port=8443), "gateway-mirror": seen.guard(port=11444)}


def given(url: str, digest: str = seen.DIGEST, problem: str = "", full: bool = False) -> dict[str, Any]:
    return {"mirrors": {url: {MODEL: {"digest": digest, "problem": problem, "full": full}}}}


def refused(url: str, problem: str, full: bool = False) -> dict[str, Any]:
    return given(url, "", problem, full)


def host(mirrors: dict[str, Any], wanted: dict[str, Any], **changes: Any) -> Host:
    """A healthy host of which gateway_info tells this of mirrors."""
    puller = {"units": seen.units(gateway=seen.unit(**seen.ABSENT)), "guards": {}}
    sections = puller if wanted is PULLER else {"guards": GUARDS}
    found = seen.server(**sections | changes)
    found["gateway"] = found["gateway"] | mirrors
    return Host(found, parse_wanted(seen.wanted(**wanted)))


def rows(*args: Any, **changes: Any) -> dict[str, dict[str, str]]:
    return {row["check"]: row for row in verify(host(*args, **changes))}


def findings(*args: Any) -> dict[str, dict[str, Any]]:
    return {row["topic"]: row for row in diagnose(host(*args))}


def gateway_options(about: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    all_steps = steps(about, parse_wanted(seen.wanted(**wanted)), Access("", ""), False, 300)
    return [step.options for step in all_steps if step.name == "gateway"]


def test_a_mirror_is_asked_for_the_models_that_are_pulled() -> None:
    """It shows no certificate, and is looked for at its port as each listener of the gateway."""
    (own,) = gateway_options("verify", MIRROR)
    assert (own["ports"], own["mirrors"]) == ([8443], [{"url": OWN, "models": [MODEL]}])
    assert 11444 in first_step("verify", parse_wanted(seen.wanted(**MIRROR)), Access("", "")).options["ports"]
    for about in ("verify", "diagnose"):
        (options,) = gateway_options(about, PULLER)
        assert (options["ports"], options["mirrors"]) == ([], [{"url": URL, "models": [MODEL]}])
    assert gateway_options("diagnose", PULLER | {"mirror": ""}) == []


@pytest.mark.parametrize(
    ("wanted", "mirrors", "checks"),
    [
        (MIRROR, given(OWN), {"mirror", "mirror_guard", "certificate", "gateway_listening"}),
        (PULLER, given(URL), {"mirror", "no_gateway"}),
        # It pulled before the tag moved, and has not been told to follow it.
        (PULLER, given(URL, "0" * 64), {"mirror"}),
    ],
    ids=["mirror", "puller", "older"],
)
def test_a_mirror_that_gives_the_models_passes(
    wanted: dict[str, Any], mirrors: dict[str, Any], checks: set[str]
) -> None:
    found = rows(mirrors, wanted)
    assert {check: found[check]["status"] for check in checks} == dict.fromkeys(checks, "PASS")
    assert "mirror_guard" in found or wanted is PULLER
    assert {"mirror", "mirror_guard"}.isdisjoint(rows({}, PULLER | {"mirror": ""}))
    assert findings(mirrors, wanted)["model store"]["ok"]


@pytest.mark.parametrize(
    ("wanted", "mirrors", "reason"),
    [
        (MIRROR, refused(OWN, "There is no such model"), "There is no such model"),
        (MIRROR, given(OWN, "0" * 64), f"{OWN} gives {MODEL} at 000000000000, and the server here has 46e0c10c039e"),
        (PULLER, refused(URL, "Connection refused"), "Connection refused"),
        (PULLER, {"mirrors": {}}, "could not be seen"),
        (PULLER, {"mirrors": {URL: {}}}, "could not be seen"),
        (PULLER, {}, "could not be seen"),
        (PULLER, {"mirrors": {URL: {MODEL: {"digest": seen.DIGEST}}}}, "could not be seen"),
    ],
)
def test_a_mirror_that_does_not_fails(wanted: dict[str, Any], mirrors: dict[str, Any], reason: str) -> None:
    row = rows(mirrors, wanted)["mirror"]
    assert (row["status"], reason in row["reason"]) == ("FAIL", True), row
    finding = findings(mirrors, wanted)["model store"]
    assert (finding["ok"], reason in finding["found"]) == (False, True), finding


def test_a_mirror_that_serves_others_cannot_be_judged() -> None:
    row = rows(refused(URL, "The registry is full", full=True), PULLER)["mirror"]
    assert (row["status"], row["reason"]) == ("SKIP", "The registry is full")
    assert findings(refused(URL, "The registry is full", full=True), PULLER)["model store"]["ok"]


def test_what_to_do_about_a_mirror() -> None:
    silent = refused(URL, "Connection refused")
    assert "port 11444" in findings(silent, PULLER)["model store"]["do"]
    # With the reason why a pull of what is missing would fail too.
    missing = PULLER | {"models": [{"name": "phi3:mini"}], "mirrored": ["phi3:mini"]}
    silent = {"mirrors": {URL: {"phi3:mini": {"digest": "", "problem": "Connection refused", "full": False}}}}
    finding = findings(silent, missing)["model store"]
    assert finding["found"].endswith("; Connection refused; phi3:mini not there")


def test_no_model_that_a_mirror_is_to_have() -> None:
    assert rows({"mirrors": {URL: {}}}, PULLER | {"mirrored": []})["mirror"]["status"] == "SKIP"


@pytest.mark.parametrize(
    ("changes", "check", "reason"),
    [
        ({"guards": {"gateway-api": seen.guard(port=8443)}}, "mirror_guard", "port 11444 has no guard"),
        (
            {"guards": GUARDS | {"gateway-mirror": seen.guard(port=11444, sources=["192.0.2.1"])}},
            "mirror_guard",
            "the guard does not let in 2001:db8::1/128",
        ),
        (
            {"guards": GUARDS | {"gateway-mirror": seen.guard(port=11444, sources=[*seen.SOURCES, "10.0.0.0/8"])}},
            "mirror_guard",
            "the guard lets in 10.0.0.0/8",
        ),
        ({"ports": seen.ports(seen.listener("127.0.0.1"), mirror=[])}, "gateway_listening", "0.0.0.0, ::, port 11444"),
    ],
)
def test_the_port_of_a_mirror(changes: dict[str, Any], check: str, reason: str) -> None:
    row = rows(given(OWN), MIRROR, **changes)[check]
    assert (row["status"], reason in row["reason"]) == ("FAIL", True), row


def test_a_guard_of_a_mirror_that_is_none_any_more() -> None:
    row = rows({}, PULLER | {"mirror": ""}, guards={"gateway-mirror": seen.guard(port=11444)})["no_gateway"]
    assert "the guard gateway-mirror is there, and none is wanted" in row["reason"]
