"""A pool of servers that is updated. After all other tests: it takes the servers of the other validators away."""

from __future__ import annotations

from pathlib import Path

from conftest import Servers, Update
from testinfra.host import Host

from lab import client, registry
from lab.testing import Lab


def test_pool_answers_all_the_while(
    lab: Lab, fleet: dict[str, Host], servers: Servers, update: Update, internet: Host
) -> None:
    """Two servers for the fleet: one of them is updated while the other answers."""
    pool = ["--inventory", str(Path(__file__).with_name("pool.yml"))]
    site = lab.playbook("etrid.gizzi.site", *pool, variables={"gizzi_topology": "centralized"})
    assert site.returncode == 0, site.stdout
    registry.move(internet, "next")
    try:
        with client.asking(fleet[servers.names[-1]]):
            report = update(*pool, gizzi_topology="centralized")
    finally:
        registry.move_back(internet)
    assert report.verdicts == dict.fromkeys(servers.names[:2], "updated")
