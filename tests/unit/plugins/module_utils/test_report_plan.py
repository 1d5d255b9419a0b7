# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._access import Access
from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import (
    Wanted,
    first_step,
    parse_wanted,
    steps,
)
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils import observations as seen

CLIENT = {"serves": False, "shared": False, "gizzi": False, "gateway": {}, "urls": ["https://192.0.2.9:11443"]}
# Servers without a gateway.
OPEN = Access()
ALONE = {"topology": "distributed", "shared": False, "gizzi": False, "gateway": {}}


def wanted(**changes: Any) -> Wanted:
    return parse_wanted(seen.wanted(**changes))


def modules(about: str, blobs: bool = False, **changes: Any) -> list[str]:
    """Return what is called on a host, in order."""
    rest = steps(about, wanted(**changes), OPEN, blobs, 300)
    return [step.module.rpartition(".")[2] for step in (first_step(about, wanted(**changes), OPEN), *rest)]


@pytest.mark.parametrize(
    ("about", "changes", "called"),
    [
        ("verify", CLIENT, "host_state gateway_info ollama_health"),
        ("verify", CLIENT | {"validator": False, "client": False}, "host_state"),
        ("verify", {}, "host_state ollama_info gateway_info ollama_health"),
        ("verify", ALONE, "host_state ollama_info ollama_health"),
        ("verify", {"validator": False, "client": False}, "host_state ollama_info gateway_info"),
        ("diagnose", CLIENT, "host_state ollama_health"),
        ("diagnose", {}, "host_state ollama_info gateway_info ollama_health"),
    ],
)
def test_a_host_costs_few_modules(about: str, changes: dict[str, Any], called: str) -> None:
    assert modules(about, **changes) == called.split()


def test_a_host_without_models_is_not_asked_a_question() -> None:
    asked = [step.options for step in steps("verify", wanted(models=[]), OPEN, False, 300) if step.name == "health"]
    assert "model" not in asked[0]


def test_blobs_are_read_when_somebody_asks() -> None:
    assert "ollama_blobs" in modules("verify", blobs=True)
    assert "ollama_blobs" not in modules("diagnose", blobs=True)
    assert "ollama_blobs" not in modules("verify", blobs=True, **CLIENT)


def test_a_model_made_from_another_needs_no_room() -> None:
    models = [{"name": "phi3"}, {"name": "own", "from": "phi3"}]
    capacity = first_step("verify", wanted(models=models), OPEN).options["capacity"]
    assert capacity == {"port": 11434, "models": ["phi3"]}
    assert "capacity" not in first_step("verify", wanted(**CLIENT), OPEN).options


def test_the_environment_is_looked_at_to_verify_a_server() -> None:
    assert first_step("verify", wanted(), OPEN).options["ollama_environment"] == {}
    assert "ollama_environment" not in first_step("verify", wanted(**CLIENT), OPEN).options
    assert "ollama_environment" not in first_step("diagnose", wanted(), OPEN).options


def test_what_is_looked_at_on_the_host_itself() -> None:
    server, client = first_step("verify", wanted(), OPEN).options, first_step("verify", wanted(**CLIENT), OPEN).options
    assert server["exposure"] is True
    assert client["exposure"] is False
    assert "gizzi-api.service" in server["units"]
    assert client["units"] == ["ollama.service", "gizzi-gateway.service"]
    assert server["ports"] == [11434, 8080, 11443, 8443]
    assert client["ports"] == [11434]
    assert [one["argv"] for one in server["documents"]] == [["/usr/local/bin/gizzi", "config", "--json"]]
    assert server["pythons"] == ["/usr/bin/python3"]
    without = first_step("verify", wanted(client=False), OPEN).options
    assert (without["documents"], without["pythons"]) == ([], [])
    assert server["journals"] == []
    assert first_step("diagnose", wanted(), OPEN).options["journals"] == ["ollama.service"]
    assert server["disks"] == ["/var/lib/ollama/models"]


def test_others_are_asked_by_validators() -> None:
    both = ["http://127.0.0.1:11434", seen.CENTRAL]
    assert first_step("verify", wanted(urls=both), OPEN).options["urls"] == [seen.STATUS, f"{seen.CENTRAL}/api/version"]
    assert first_step("verify", wanted(urls=both, validator=False), OPEN).options["urls"] == []
    assert first_step("verify", wanted(api=False), OPEN).options["urls"] == []


def test_gateways_are_shown_the_token_and_nobody_else_is() -> None:
    access = Access("5f" * 32, "PEM")
    both = wanted(urls=["https://192.0.2.9:11443", "https://192.0.2.10:11443", "http://192.0.2.11:11434"])
    first = first_step("verify", both, access).options
    assert first["tokens"] == {"https://192.0.2.10:11443/api/version": access.token}
    assert first["ca"] == "PEM"
    health = next(step for step in steps("verify", both, access, False, 300) if step.name == "health").options
    assert (health["token"], health["ca"]) == (access.token, "PEM")
    own = wanted(urls=["http://127.0.0.1:11434", "http://192.0.2.9:11434"])
    assert first_step("verify", own, access).options["tokens"] == {}
    assert all("token" not in step.options for step in steps("verify", own, access, False, 300))


def test_gateways_are_asked_for_what_they_must_refuse() -> None:
    access = Access("5f" * 32, "PEM")
    own = ["http://127.0.0.1:11434", "https://192.0.2.9:11443"]

    def options(about: str, **changes: Any) -> dict[str, Any]:
        all_steps = steps(about, wanted(urls=own, **changes), access, False, 300)
        return next(step for step in all_steps if step.name == "gateway").options

    asked = {"urls": own[1:], "token": access.token}
    own_alone = {"ports": [11443, 8443], "urls": [], "ca": "PEM", "mirrors": []}
    assert options("verify") == own_alone | asked
    assert options("verify", gateway={}) == own_alone | asked | {"ports": []}
    assert options("verify", validator=False) == own_alone
    # They would stand in its log as refusals of this host.
    assert options("diagnose") == own_alone


def test_a_neighbour_is_knocked_at_where_each_serves_itself() -> None:
    knocked = [{"address": "192.0.2.2", "port": 11434}]
    assert first_step("verify", wanted(**ALONE), OPEN).options["connections"] == knocked
    assert (
        first_step("verify", wanted(**ALONE, neighbour="", neighbour_addresses=[]), OPEN).options["connections"] == []
    )
    assert first_step("verify", wanted(**ALONE, validator=False), OPEN).options["connections"] == []
    assert first_step("verify", wanted(), OPEN).options["connections"] == []


def test_wants_that_are_not_whole_are_refused() -> None:
    given = seen.wanted()
    del given["port"]
    with pytest.raises(KeyError, match="port"):
        parse_wanted(given)
