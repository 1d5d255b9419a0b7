"""A pool of servers that is updated. After all other tests: it takes a validator's own server away."""

from __future__ import annotations

from typing import Any

from conftest import Servers, Update
from testinfra.host import Host

from lab import client, registry
from lab.ollama import MODEL
from lab.testing import Lab

DERIVED = "etrid-validator"
SETTINGS: dict[str, Any] = {
    "gizzi_topology": "centralized",
    "gateway_mirror": True,
    "ollama_models": [
        {"name": MODEL},
        {"name": DERIVED, "from": MODEL, "system": "You help the operators of validators.", "parameters": {"top_k": 1}},
    ],
}


def test_pool_answers_all_the_while_also_by_a_model_made_of_the_updated_one(
    lab: Lab, fleet: dict[str, Host], servers: Servers, update: Update, internet: Host
) -> None:
    """Two servers for the fleet: one of them is updated, and makes its own model anew, while the other answers."""
    pool = ["--inventory", "molecule/model_update/tests/servers.yml"]
    deployed = lab.playbook("molecule/model_update/pool.yml", *pool, variables=SETTINGS)
    assert deployed.returncode == 0, deployed.stdout
    asker = fleet[servers.names[-1]]
    assert client.gizzi(asker, "config")["settings"]["model"] == DERIVED
    # Whatever the tests before have left: other weights than those.
    before = servers.models(servers.names[0])[MODEL]
    new = registry.move(internet, "newer")
    if new == before:
        registry.move_back(internet)
        new = registry.digest(internet)
    try:
        with client.asking(asker):
            report = update(*pool, **SETTINGS)
    finally:
        registry.move_back(internet)
    rows = {(row["host"], row["model"]): row for row in report.document["results"]}
    made = f"{DERIVED}:latest"
    assert {key: row["verdict"] for key, row in rows.items()} == {
        (name, model): verdict
        for name in servers.names[:2]
        for model, verdict in ((MODEL, "updated"), (made, "rebuilt"))
    }
    for name in servers.names[:2]:
        models = servers.models(name)
        assert models[MODEL] == new
        assert models[made] == rows[name, made]["digest_after"] != rows[name, made]["digest_before"]
