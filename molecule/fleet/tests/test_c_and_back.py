"""From Option B back to Option A, and then nothing is left. Each test starts from what the one before has left."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from testinfra.host import Host

from lab import client, gateway
from lab.ollama import STORE, every_address, reached, traces
from lab.testing import Lab

SERVER, KEEPER, LOSER = "validator01", "validator02", "validator03"


def test_and_back(
    lab: Lab, fleet: dict[str, Host], stranger: Host, site: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    keep = f"{{{{ inventory_hostname == '{KEEPER}' }}}}"
    with client.asking(fleet[KEEPER]) as answered_by:
        result = site("centralized", ollama_keep_models=keep)
    assert result.returncode == 0, result.stdout
    assert answered_by == ["own", SERVER]

    ipv4, ipv6 = lab.addresses(SERVER)
    for name in (KEEPER, LOSER):
        gateway.asked(fleet[SERVER], fleet[name], ipv4, name)
    assert reached(fleet[KEEPER], every_address(lab), gateway.OLLAMA) == {ipv4, ipv6}
    assert reached(stranger, every_address(lab), gateway.OLLAMA) == set()
    assert traces(fleet[LOSER], client_kept=True) == []
    assert traces(fleet[KEEPER], models_kept=True, client_kept=True) == []
    assert fleet[KEEPER].file(f"{STORE}/blobs").listdir()


def test_a_fleet_from_before_the_gateways_changes_in_one_run(
    lab: Lab, fleet: dict[str, Host], site: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    before = lab.playbook("molecule/fleet/plain.yml", variables={"gizzi_topology": "centralized"})
    assert before.returncode == 0, before.stdout
    assert reached(fleet[KEEPER], every_address(lab)) == set(lab.addresses(SERVER))
    with client.asking(fleet[SERVER]) as own, client.asking(fleet[KEEPER]) as answered_by:
        result = site("centralized")
    assert result.returncode == 0, result.stdout
    assert (own, answered_by) == (["plain", "own"], ["plain", SERVER])
    client.ask_everywhere(fleet, {SERVER: "own", KEEPER: SERVER, LOSER: SERVER})
    assert reached(fleet[KEEPER], every_address(lab)) == set()
    assert reached(fleet[KEEPER], every_address(lab), gateway.OLLAMA) == set(lab.addresses(SERVER))


def test_removal_leaves_nothing(lab: Lab, fleet: dict[str, Host]) -> None:
    result = lab.playbook("etrid.gizzi.remove", variables={"gizzi_confirm_removal": True, "ollama_keep_models": False})
    assert result.returncode == 0, result.stdout
    assert [trace for name in lab.groups["validators"] for trace in traces(fleet[name])] == []
