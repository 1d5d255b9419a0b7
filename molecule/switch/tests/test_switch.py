"""From centralized to distributed and back. Each test starts from what the one before has left."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testinfra.host import Host

from lab import client, network
from lab.ollama import PORT, STORE, answered, ask, every_address, guard_rules, reached, traces
from lab.testing import Lab, wait_until

SERVER, KEEPER, LOSER = "validator01", "validator02", "validator03"


def site(lab: Lab, topology: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    return lab.playbook("etrid.gizzi.site", variables={"gizzi_topology": topology, **variables})


def asked(server: Host, client: Host, address: str, seen_as: str) -> None:
    """Ask from the client, and see in the server's journal that it is this server that has answered."""
    before = answered(server).count(seen_as)
    assert "Paris" in ask(client, address)
    # Over loopback the metrics ask as well.
    wait_until(lambda: answered(server).count(seen_as) > before, 60, f"the server has answered {seen_as}")


def centralized(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    ipv4, ipv6 = lab.addresses(SERVER)
    for name in (KEEPER, LOSER):
        asked(fleet[SERVER], fleet[name], ipv4, lab.addresses(name)[0])
    assert reached(fleet[KEEPER], every_address(lab)) == {ipv4, ipv6}
    assert reached(stranger, every_address(lab)) == set()
    assert guard_rules(fleet[SERVER])


def distributed(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    for name in lab.groups["validators"]:
        host = fleet[name]
        asked(host, host, "127.0.0.1", "127.0.0.1")
        listeners = host.check_output(f"ss -Hltn sport = :{PORT}").splitlines()
        assert [line.split()[3] for line in listeners] == [f"127.0.0.1:{PORT}"]
        assert guard_rules(host) == []
        assert not host.file("/etc/systemd/system/gizzi-guard-ollama.service").exists
        # The Gizzi API keeps its own guard.
        assert host.file("/usr/local/sbin/gizzi-guard").exists == (name == SERVER)
        assert reached(host, every_address(lab)) == set()
    assert reached(stranger, every_address(lab)) == set()


def test_centralized_to_begin_with(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    centralized(lab, fleet, stranger)
    assert traces(fleet[KEEPER], client_kept=True) == traces(fleet[LOSER], client_kept=True) == []


def test_a_switch_that_fails_leaves_the_fleet_its_server(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    # Preflight is content; the download fails later, after the other new server may have been deployed.
    fleet[LOSER].check_output("cp /etc/hosts /run/hosts && echo 127.0.0.1 github.com >> /etc/hosts")
    try:
        result = site(lab, "distributed")
    finally:
        fleet[LOSER].check_output("cat /run/hosts > /etc/hosts")
    assert result.returncode != 0
    asked(fleet[SERVER], fleet[LOSER], lab.addresses(SERVER)[0], lab.addresses(LOSER)[0])
    assert reached(stranger, every_address(lab)) == set()


@contextmanager
def reading_the_network(lab: Lab, client: Host) -> Iterator[None]:
    """Read the network's status once a second for as long as the block takes; every time it must be there."""
    status = network.url("/api/network/status", lab.addresses(SERVER)[0])
    answers = "/run/network-status"
    client.check_output(
        "systemd-run --unit=read-network sh -c %s",
        f"""
        while curl --silent --max-time 5 --output /dev/null --write-out '%{{http_code}}\\n' {status} >> {answers}
        do sleep 1; done""",
    )
    try:
        yield
        read = client.file(answers).content_string.split()
        assert set(read) == {"200"}, read
        assert client.service("read-network").is_running
    finally:
        client.run("systemctl stop read-network; rm -f %s", answers)


def test_to_distributed(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    with reading_the_network(lab, fleet[KEEPER]), client.asking(fleet[KEEPER]) as answered_by:
        result = site(lab, "distributed")
    assert result.returncode == 0, result.stdout
    assert answered_by == [SERVER, "own"]
    distributed(lab, fleet, stranger)
    again = site(lab, "distributed")
    assert again.returncode == 0, again.stdout
    assert set(re.findall(r"changed=(\d+)", again.stdout)) == {"0"}


def test_and_back(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    keep = f"{{{{ inventory_hostname == '{KEEPER}' }}}}"
    with client.asking(fleet[KEEPER]) as answered_by:
        result = site(lab, "centralized", ollama_keep_models=keep)
    assert result.returncode == 0, result.stdout
    assert answered_by == ["own", SERVER]
    centralized(lab, fleet, stranger)
    assert traces(fleet[LOSER], client_kept=True) == []
    assert traces(fleet[KEEPER], models_kept=True, client_kept=True) == []
    assert fleet[KEEPER].file(f"{STORE}/blobs").listdir()


def test_removal_wants_a_confirmation(lab: Lab, fleet: dict[str, Host], stranger: Host) -> None:
    result = lab.playbook("etrid.gizzi.remove")
    assert result.returncode != 0
    assert "gizzi_confirm_removal=true" in result.stdout + result.stderr
    centralized(lab, fleet, stranger)


def test_removal_leaves_nothing(lab: Lab, fleet: dict[str, Host]) -> None:
    result = lab.playbook("etrid.gizzi.remove", variables={"gizzi_confirm_removal": True, "ollama_keep_models": False})
    assert result.returncode == 0, result.stdout
    assert [trace for name in lab.groups["validators"] for trace in traces(fleet[name])] == []
