# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a topology makes of each host, and inventories that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils._report._plan import parse_wanted
from ansible_collections.etrid.gizzi.plugins.module_utils._settings import fleet

GIZZI, V2, V3 = "192.0.2.1", "2001:db8::2", "192.0.2.3"
FLEET = [GIZZI, V2, V3]
OWN = {"name": "own", "url": "http://127.0.0.1:11434"}
CENTRAL = {"name": "v1", "url": f"https://{GIZZI}:11443"}
API = ["http://127.0.0.1:8080", f"https://{GIZZI}:8443", f"https://{GIZZI}:8443"]
CAPACITY = {
    "models_dir": "/var/lib/ollama/models",
    "registry": "https://registry.ollama.ai",
    "offered": {},
    "memory_max": "12G",
    "prompt_cache": 0,
    "reserved_memory": 4_000_000_000,
    "reserved_disk": 10_000_000_000,
}
MODEL: dict[str, Any] = {"from": None, "state": "present", "digest": None}


def host(number: int | None, *addresses: str, given: tuple[str, ...] = (), **ollama: Any) -> dict[str, Any]:
    models = ollama.pop("models", [{"name": "llama3.1:8b"}])
    return {
        "validator_id": number,
        "addresses": list(addresses),
        "ssh_host": f"v{number}.example.org",
        "ssh_port": 22,
        "api": True,
        "ollama": {
            "version": "0.34.2",
            "context_length": 4096,
            "cpu_threads": 0,
            **CAPACITY,
            "minimum_cpus": 2,
            "models": [{**MODEL, **model} for model in models],
            **ollama,
        },
        "ollama_client": {
            "state": "present",
            "python": "/usr/bin/python3",
            "model": "llama3.1:8b",
            "context_length": 4096,
            "users": ["ops"],
        },
        "given": list(given),
        "wrong": [],
    }


def values(servers: tuple[str, ...] = ("v1",), **changes: Any) -> dict[str, Any]:
    ollama = changes.pop("ollama", {})
    inventory = changes.pop("inventory", {})
    hosts = {f"v{number}": host(number, address, **ollama) for number, address in enumerate(FLEET, 1)}
    hosts.update(inventory)
    validators = [name for name in hosts if name.startswith("v")]
    return {
        "topology": "centralized",
        "fallback_server": False,
        "gateway_mirror": True,
        "gateway_mirror_fallback": False,
        "expected_validators": 3,
        "operator_addresses": [],
        "answer_timeout": 300,
        "bundle": "",
        "bundle_sha256": "",
        "groups": {"all": list(hosts), "validators": validators, "gizzi": ["v1"], "ollama_servers": list(servers)},
        "inventory": hosts,
        **changes,
    }


def resolve(**changes: Any) -> dict[str, Any]:
    given = values(**changes)
    assert fleet.problems(given) == []
    return fleet.derived(given)


def told(found: dict[str, Any], *path: str) -> list[Any]:
    result = []
    for one in found["hosts"].values():
        for key in path:
            one = one[key]
        result.append(one)
    return result


def test_centralized() -> None:
    found = resolve(fallback_server=True)
    assert told(found, "serves") == [True, False, False]
    assert told(found, "shared") == [True, False, False]
    assert told(found, "ollama", "state") == ["present", "absent", "absent"]
    assert told(found, "ollama_client", "endpoints") == [[OWN], [CENTRAL], [CENTRAL]]
    assert told(found, "ollama", "listen") == ["127.0.0.1:11434"] * 3
    assert told(found, "ollama", "allowed_sources") == [[]] * 3
    assert told(found, "sources") == [FLEET, [], []]
    assert told(found, "ollama_client", "api_url") == API
    assert told(found, "ollama_client", "model") == ["llama3.1:8b"] * 3
    assert told(found, "ollama_client", "context_length") == [4096] * 3
    assert (found["servers"], found["shared_servers"], found["gizzi"]) == (["v1"], ["v1"], "v1")


@pytest.mark.parametrize("topology", ["centralized", "distributed"])
def test_without_a_group_of_servers_the_gizzi_host_serves(topology: str) -> None:
    found = resolve(servers=(), topology=topology, fallback_server=True)
    assert found["shared_servers"] == ["v1"]


def test_distributed() -> None:
    models = [{"name": "phi3:mini", "state": "absent", "from": "phi3"}, {"name": "mistral"}]
    found = resolve(topology="distributed", ollama={"models": models, "context_length": 8192})
    assert told(found, "serves") == [True] * 3
    assert told(found, "endpoints") == [[OWN]] * 3
    assert told(found, "neighbour") == ["v2", "v3", "v1"]
    assert told(found, "neighbour_addresses") == [[V2], [V3], [GIZZI]]
    assert told(found, "client_model") == ["mistral"] * 3
    assert told(found, "ollama_client", "context_length") == [8192] * 3
    assert told(found, "models") == [[{"name": "mistral", "state": "present"}]] * 3


def test_the_others_pull_from_the_gizzi_host() -> None:
    models = [{"name": "phi3:mini", "state": "absent"}, {"name": "Mistral"}, {"name": "ours", "from": "Mistral"}]
    found = resolve(topology="distributed", ollama={"models": models})
    mirror = f"http://{GIZZI}:11444"
    assert (found["mirror"], found["mirrored"]) == ("v1", ["Mistral:latest"])
    assert told(found, "mirror") == told(found, "ollama", "mirror") == ["", mirror, mirror]
    assert told(found, "ollama", "mirror_fallback") == [False] * 3
    assert told(found, "gateway", "mirror_sources") == [[V2, V3], [], []]
    assert told(found, "gateway", "mirror_models") == [["Mistral:latest"], [], []]
    assert told(found, "gateway", "mirror_models_dir") == ["/var/lib/ollama/models"] * 3
    assert told(found, "wanted", "gateway") == [{"api": 8443, "mirror": 11444}, {}, {}]
    assert told(found, "wanted", "mirror") == ["", mirror, mirror]
    assert told(found, "wanted", "mirrored") == [["Mistral:latest"]] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"topology": "centralized"},
        {"topology": "centralized", "servers": ("v2", "v3")},
        {"topology": "distributed", "gateway_mirror": False},
    ],
)
def test_no_mirror(changes: dict[str, Any]) -> None:
    found = resolve(**changes)
    assert (found["mirror"], found["mirrored"]) == ("", [])
    assert told(found, "mirror") == told(found, "ollama", "mirror") == [""] * 3
    assert told(found, "gateway", "mirror_sources") == [[]] * 3


def test_a_second_shared_server_pulls_from_the_first() -> None:
    found = resolve(servers=("v1", "v2"))
    assert (found["mirror"], told(found, "mirror")) == ("v1", ["", f"http://{GIZZI}:11444", ""])
    assert told(found, "gateway", "mirror_sources") == [[V2], [], []]


def test_who_gets_the_models_from_a_bundle_and_who_from_the_mirror() -> None:
    bundle = {"bundle": "/srv/models.tar", "bundle_sha256": "a" * 64}
    other = {"v3": host(3, V3, models=[{"name": "mistral"}, {"name": "ours", "from": "mistral"}])}
    found = resolve(topology="distributed", gateway_mirror_fallback=True, inventory=other, **bundle)
    assert told(found, "ollama", "bundle") == ["/srv/models.tar", "", ""]
    assert found["pulled"] == ["llama3.1:8b", "mistral:latest"]
    alone = resolve(topology="distributed", gateway_mirror=False, **bundle)
    assert told(alone, "ollama", "bundle") == ["/srv/models.tar"] * 3
    assert told(resolve(), "ollama", "bundle") == [""] * 3


def test_a_model_that_the_mirror_is_not_to_have() -> None:
    other = {"v3": host(3, V3, models=[{"name": "llama3.1:8b"}, {"name": "mistral"}])}
    given = values(topology="distributed", inventory=other)
    problems = fleet.problems(given)
    assert problems == [
        "ollama_models of v3 has mistral:latest, and it pulls from the mirror of v1, which is not to have it. List it "
        "in ollama_models of v1 too, let gateway_mirror_fallback be true, or set gateway_mirror to false."
    ]
    assert fleet.problems({**given, "gateway_mirror_fallback": True}) == []
    # Nobody looks for it there.
    found = fleet.derived({**given, "gateway_mirror_fallback": True})
    assert "mistral:latest" not in found["hosts"]["v3"]["wanted"]["mirrored"]
    assert fleet.problems({**given, "gateway_mirror": False}) == []


def test_distributed_with_a_server_to_fall_back_to() -> None:
    models = [{"name": "mistral"}, {"name": "gizzi", "from": "mistral"}]
    found = resolve(topology="distributed", fallback_server=True, ollama={"models": models})
    assert told(found, "endpoints") == [[OWN], [OWN, CENTRAL], [OWN, CENTRAL]]
    assert told(found, "urls")[1] == [OWN["url"], CENTRAL["url"]]
    assert told(found, "url") == [OWN["url"]] * 3
    assert told(found, "gateway", "ollama_sources") == [FLEET, [], []]
    assert told(found, "sources") == [FLEET, [], []]
    # The one that the others may ask is not knocked at.
    assert told(found, "neighbour") == ["v2", "v3", "v2"]
    assert told(found, "client_model") == ["gizzi"] * 3
    assert told(found, "model") == ["mistral"] * 3
    assert found["servers"] == ["v1", "v2", "v3"]


def test_each_validator_starts_with_another_server_of_either_family() -> None:
    found = resolve(servers=("v3", "v2"), inventory={"v4": host(4, "192.0.2.4")}, expected_validators=4)
    second, third = {"name": "v2", "url": f"https://[{V2}]:11443"}, {"name": "v3", "url": f"https://{V3}:11443"}
    assert told(found, "endpoints") == [[third, second], [OWN, third], [OWN, second], [second, third]]


def test_a_server_that_is_no_validator() -> None:
    found = resolve(servers=("s1",), inventory={"s1": host(None, "192.0.2.9")})
    server = found["hosts"]["s1"]
    assert (server["validator"], server["client"], server["serves"], server["endpoints"]) == (False, False, True, [OWN])
    assert found["fleet"] == ["v1", "v2", "v3", "s1"]
    assert "192.0.2.9" not in server["sources"], "nobody asks from there but itself"


def test_the_gizzi_host_is_told_of_all_validators() -> None:
    found = resolve(operator_addresses=["198.51.100.0/24", V3])
    assert told(found, "gizzi_api") == [
        {
            "listen": "127.0.0.1:8080",
            "allowed_sources": [],
            "validators": [
                {"number": 1, "name": "v1", "address": "127.0.0.1"},
                {"number": 2, "name": "v2", "address": V2},
                {"number": 3, "name": "v3", "address": V3},
            ],
        },
        {},
        {},
    ]


def test_what_the_inventory_says_of_the_client_holds() -> None:
    given = ("ollama_client_model", "ollama_client_context_length")
    changed = host(2, V2, given=given)
    changed["ollama_client"].update(model="phi3", context_length=2048, state="absent")
    found = resolve(topology="distributed", inventory={"v2": changed}, ollama={"context_length": 8192})
    assert told(found, "client_model") == ["llama3.1:8b", "phi3", "llama3.1:8b"]
    assert told(found, "ollama_client", "context_length") == [8192, 2048, 8192]
    assert told(found, "client") == [True, False, True]


def test_a_host_without_models() -> None:
    found = resolve(ollama={"models": []})
    assert told(found, "model") == [""] * 3
    assert told(found, "client_model") == ["llama3.1:8b"] * 3


def test_what_a_look_compares_a_host_with() -> None:
    assert resolve()["hosts"]["v2"]["wanted"] == {
        "host": "v2",
        "addresses": [V2],
        "gateway": {},
        "topology": "centralized",
        "serves": False,
        "shared": False,
        "validator": True,
        "version": "0.34.2",
        "port": 11434,
        "urls": [CENTRAL["url"]],
        "neighbour": "v3",
        "neighbour_addresses": [V3],
        "models_dir": CAPACITY["models_dir"],
        "capacity": {**CAPACITY, "version": "0.34.2", "context_length": 4096, "min_cpus": 2, "port": 11434},
        "api_port": 8080,
        "api_sources": [],
        "mirror_sources": [],
        "mirrored": [],
        "models": [{"name": "llama3.1:8b", "state": "present"}],
        "sources": [],
        "gizzi": False,
        "api": True,
        "network_url": API[1],
        "client": True,
        "client_python": "/usr/bin/python3",
        "client_model": "llama3.1:8b",
        "fleet": ["v1", "v2", "v3"],
        "mirror": "",
    }
    wanted = resolve(operator_addresses=["198.51.100.1"])["hosts"]["v1"]["wanted"]
    assert wanted["api_sources"] == [*FLEET, "198.51.100.1"]
    assert wanted["gateway"] == {"ollama": 11443, "api": 8443}
    assert resolve(topology="distributed")["hosts"]["v1"]["wanted"]["gateway"] == {"api": 8443, "mirror": 11444}
    assert parse_wanted(wanted).host == "v1"


def test_the_gateways_stand_before_the_shared_servers_and_the_api() -> None:
    found = resolve(servers=("v2",), operator_addresses=["198.51.100.0/24", V3], ollama={"cpu_threads": 2})
    places = {"v1": [GIZZI], "v2": [V2], "v3": [V3]}
    none = {"mirror_sources": [], "mirror_models": [], "mirror_models_dir": CAPACITY["models_dir"]}
    same = {
        "validators": ["v1", "v2", "v3"],
        "addresses": places,
        "options": {"num_ctx": 4096, "num_thread": 2},
        **none,
    }
    assert told(found, "gateway") == [
        {"state": "present", "ollama_sources": [], "api_sources": [*FLEET, "198.51.100.0/24"], **same},
        {"state": "present", "ollama_sources": FLEET, "api_sources": [], **same},
        {"state": "absent", "ollama_sources": [], "api_sources": [], **same},
    ]
    assert found["certificates"] == {"v1": [GIZZI, "v1.example.org", "v1"], "v2": [V2, "v2.example.org", "v2"]}
    assert list(resolve(topology="distributed")["certificates"]) == ["v1"]


def test_without_the_gizzi_api_nobody_is_let_in_to_it_and_nobody_reads_it() -> None:
    absent = {**host(1, GIZZI), "api": False}
    shared = resolve(inventory={"v1": absent}, operator_addresses=["198.51.100.1"])
    assert shared["hosts"]["v1"]["gateway"]["api_sources"] == []
    assert shared["hosts"]["v1"]["wanted"]["gateway"] == {"ollama": 11443}
    assert {(one["wanted"]["gizzi"], one["wanted"]["api"]) for one in shared["hosts"].values()} == {(False, False)}
    alone = resolve(inventory={"v1": absent}, topology="distributed", gateway_mirror=False)
    assert (shared["api"], alone["certificates"], told(alone, "gateway", "state")) == (False, {}, ["absent"] * 3)
    assert list(resolve(inventory={"v1": absent}, topology="distributed")["certificates"]) == ["v1"]


def test_how_known_hosts_names_a_host() -> None:
    other = {**host(3, V3), "ssh_host": V3, "ssh_port": 2222}
    assert told(resolve(inventory={"v3": other}), "ssh_name") == ["v1.example.org", "v2.example.org", f"[{V3}]:2222"]


def test_validators_that_are_missing_are_a_warning() -> None:
    found = resolve(expected_validators=5)
    assert found["missing"] == [4, 5]
    assert found["warnings"] == ["3 of 5 validators are in the inventory. No host with validator_id 4, 5."]
    assert resolve()["warnings"] == []


def groups(**changes: list[str]) -> dict[str, Any]:
    return {"groups": {**values()["groups"], **changes}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"topology": None}, ["gizzi_topology is not set. Set it to centralized (", "or distributed ("]),
        ({"expected_validators": 0}, ["gizzi_expected_validators is 0. It must be 1 or more."]),
        (
            {"inventory": {"v2": host(2, V2, given=("ollama_client_context_length",), context_length=8192)}},
            ["ollama_client_context_length of v2 is 4096, and ollama_context_length is 4096 or 8192.", "Leave "],
        ),
        ({"answer_timeout": 0}, ["gizzi_answer_timeout is 0. It must be 1 or more."]),
        (groups(validators=[]), ["Group validators has no host. Put every validator of the fleet into it."]),
        (groups(gizzi=[]), ["Group gizzi has none. It must have exactly one host"]),
        (groups(gizzi=["v1", "v2"]), ["Group gizzi has v1, v2. It must have exactly one host"]),
        (groups(validators=["v2", "v3"]), ["Group gizzi has v1, which is not in group validators."]),
        ({"inventory": {"v2": host(None, V2)}}, ["validator_id of v2 is not set. Give it a whole number from 1 to 3."]),
        ({"inventory": {"v2": host(9, V2)}}, ["validator_id of v2 is 9. It must be from 1 to", "(3)"]),
        (
            {"inventory": {"v2": host(3, V2)}},
            ["validator_id of v2 and v3 is 3. Give each validator a number of its own"],
        ),
        ({"inventory": {"v2": host(2)}}, ["gizzi_addresses of v2 is empty."]),
        ({"inventory": {"v2": host(2, "v2.example.org")}}, ["gizzi_addresses of v2 has 'v2.example.org'. Write IPv4"]),
        ({"inventory": {"v2": host(2, "192.0.2.0/24")}}, ["gizzi_addresses of v2 has '192.0.2.0/24'."]),
        ({"inventory": {"v2": host(2, "0.0.0.0")}}, ["gizzi_addresses of v2 has '0.0.0.0'."]),
        ({"inventory": {"v2": host(2, "fe80::1%eth0")}}, ["gizzi_addresses of v2 has 'fe80::1%eth0'."]),
        (
            {"inventory": {"v3": host(3, V3, "2001:DB8:0::2")}},
            [f"gizzi_addresses of v2 and v3 have the address {V2} in common. Give each host its own."],
        ),
        ({"bundle": "/srv/models.tar"}, ["gizzi_bundle_sha256 is not set. Give the SHA-256 of gizzi_bundle"]),
        (
            {"bundle": "/srv/models.tar", "bundle_sha256": "A" * 64},
            ["gizzi_bundle_sha256 is 'AAAA", "64 lower-case hex"],
        ),
        ({"bundle": "models.tar", "bundle_sha256": "a" * 64}, ["gizzi_bundle is 'models.tar'. Write the whole path"]),
        ({"operator_addresses": ["example.org"]}, ["gizzi_operator_addresses has 'example.org'. Write addresses"]),
    ],
)
def test_each_problem_names_value_and_remedy(changes: dict[str, Any], said: list[str]) -> None:
    found = fleet.problems(values(**changes))
    assert len([problem for problem in found if all(text in problem for text in said)]) == 1, found


def test_all_problems_are_said_at_once() -> None:
    wrong = {"v2": host(9, "v2.example.org"), "v3": host(1, GIZZI)}
    assert len(fleet.problems(values(topology=None, inventory=wrong))) == 5


def test_no_inventory_is_all_that_is_said_then() -> None:
    nothing: dict[str, list[str]] = {"all": [], "validators": [], "gizzi": [], "ollama_servers": []}
    (problem,) = fleet.problems(values(topology=None, groups=nothing, inventory={}))
    assert problem == "The inventory has no host. Name the fleet's with -i, for instance -i inventories/production."


def test_what_is_known_to_be_wrong_is_not_said_again() -> None:
    wrong = {**host(None), "wrong": ["gizzi_addresses", "validator_id"]}
    assert fleet.problems(values(inventory={"v2": wrong})) == []


def test_a_host_twice_in_its_own_addresses_is_no_problem() -> None:
    assert fleet.problems(values(inventory={"v2": host(2, V2, V2)})) == []
