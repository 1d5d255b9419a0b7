# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role gateway refuses, with value and remedy, and what follows from its values and the host."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.etrid.gizzi.plugins.module_utils._guard.values import name_problems
from ansible_collections.etrid.gizzi.plugins.module_utils._settings import gateway
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import key_id, token
from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority
from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role

SECRET = "0123456789abcdef" * 4
NGINX, SCRIPT = "/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_http_js_module.so"
NOTES = "/var/lib/gizzi-gateway-packages"
MASK = "/etc/systemd/system/nginx.service"
FILE = {"kind": "file"}
PATHS = [NGINX, "/etc/nginx", SCRIPT, MASK, *(f"{NOTES}/{name}" for name in gateway.PACKAGES), *gateway.TRACES]
OTHER = {"pid": 7, "unit": "shop.service", "replaced": False, "libraries": []}
OWN = {"pid": 8, "unit": "gizzi-gateway.service", "replaced": False, "libraries": [SCRIPT]}
UNITS: dict[str, Any] = {
    "gizzi-gateway.service": {"active": "inactive"},
    "nginx.service": {"load": "not-found", "path": ""},
    "gizzi-gateway-metrics.timer": {"active": "inactive"},
}


@cache
def issued(days: float = 365) -> dict[str, str]:
    """Return a certificate and its key, as options of the role."""
    with TemporaryDirectory() as folder:
        certificate, begin, key = (
            Authority().issue(Path(folder), "192.0.2.1", days=days).read_text().partition("-----BEGIN PRIVATE KEY")
        )
    return {"certificate": certificate, "key": begin + key}


def host(*there: str, **changed: Any) -> dict[str, Any]:
    """Return what host_state says of a host that has these of PATHS."""
    return {
        "system": {"service_manager": "systemd", "systemd": 252, "time": time.time(), "ipv6": True},
        "paths": {path: FILE if path in there else None for path in PATHS},
        "processes": {NGINX: []},
        "units": UNITS,
        "guards": {},
        **changed,
    }


def judge(seen: dict[str, Any] | None = None, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the values and the problems, as the action settings has them."""
    usual = {"ollama_sources": ["192.0.2.0/24"], "validators": ["validator01"], "token_secret": SECRET, **issued()}
    named = {f"gateway_{name}": value for name, value in (usual | given).items()}
    return judge_role("gateway", named, host() if seen is None else seen)


def values(seen: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    found, problems = judge(seen, **given)
    assert problems == []
    return found


# Each rule: values, and what is said of them.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"ollama_sources": []},
        ["gateway_ollama_sources, gateway_api_sources and gateway_mirror_sources are empty", "gateway_state to absent"],
    ),
    ({"mirror_sources": ["validator02"]}, ["gateway_mirror_sources: source 'validator02' is not an IP address"]),
    ({"ollama_sources": ["validator01"]}, ["gateway_ollama_sources: source 'validator01' is not an IP address"]),
    ({"api_sources": ["0.0.0.0/0"]}, ["gateway_api_sources: source '0.0.0.0/0' would open the port to everybody"]),
    ({"token_secret": "short"}, ["gateway_token_secret is not at least 32", "openssl rand -hex 32", "Vault"]),
    ({"validators": []}, ["gateway_validators is empty. List those"]),
    ({"validators": ["a", "b", "a"]}, ["gateway_validators names a twice. Name each host once."]),
    ({"validators": ['a"; b']}, ["gateway_validators has the name 'a\"; b'. It must have 1 to 63"]),
    ({"keep_alive": "for ever"}, ['gateway_keep_alive is "for ever". Write a duration', '"-1" for no end']),
    ({"metrics_dir": "/node exporter"}, ['gateway_metrics_dir is "/node exporter"', "or leave it empty"]),
    ({"metrics_dir": "metrics"}, ['gateway_metrics_dir is "metrics"']),
    ({"addresses": {"a": "192.0.2.1"}}, ["gateway_addresses has '192.0.2.1' for 'a'. List the IPv4 and IPv6"]),
    ({"addresses": {"a": ["192.0.2.1", "a.example.org"]}}, ["gateway_addresses has ['192.0.2.1', 'a.example.org']"]),
    ({"addresses": {"a": ["fe80::1%eth0"]}}, ["gateway_addresses has ['fe80::1%eth0']"]),
    ({"connections": 0}, ["gateway_connections is 0. It must be 1 or more."]),
    ({"rate": -1}, ["gateway_rate is -1. It must be 1 or more."]),
    ({"options": {"num_ctx": 1}}, ["gateway_options.num_ctx is 1. It must be 256 or more."]),
    ({"options": {"num_thread": 0}}, ["gateway_options.num_thread is 0. It must be 1 or more."]),
    ({"options": {"seed": 1}}, ["gateway_options has the key 'seed', which is unknown"]),
    ({"certificate": "none"}, ["gateway_certificate is no certificate in PEM."]),
    ({"key": "none"}, ["gateway_key is no private key in PEM without a passphrase."]),
    ({"key": issued(30)["key"]}, ["gateway_key is not the key of gateway_certificate."]),
    (issued(-1), ["gateway_certificate: CN=", "has ended on", "by the host's clock. Renew it."]),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[said[0][:50] for _given, said in REFUSED])
def test_a_wrong_value_is_refused_with_its_remedy(given: dict[str, Any], said: list[str]) -> None:
    _values, problems = judge(**given)
    assert len(problems) == 1
    for part in said:
        assert part in problems[0]
    assert SECRET not in problems[0] and "BEGIN" not in problems[0]


def own_problems(*addresses: str, certificate: str = "") -> list[str]:
    """Return the problems of a certificate for 192.0.2.1 on a host that the fleet knows by these addresses."""
    given = {"gateway_api_sources": ["192.0.2.0/24"], "gizzi_addresses": list(addresses)}
    given |= {f"gateway_{name}": value for name, value in issued().items()}
    return judge_role("gateway", given | ({"gateway_certificate": certificate} if certificate else {}), host())[1]


def test_a_certificate_is_for_the_address_at_which_the_fleet_asks() -> None:
    assert own_problems() == own_problems("192.0.2.1") == own_problems("192.0.2.1", "192.0.2.2") == []
    for address in ("192.0.2.2", "2001:db8::1"):
        (problem,) = own_problems(address, "192.0.2.1")
        assert f"gateway_certificate is not for {address}, at which the others reach the host." in problem
        assert "Its addresses: 192.0.2.1. Get one with that address" in problem
    (problem,) = own_problems("host.example.org")
    assert "gizzi_addresses has 'host.example.org'. It must be an IPv4" in problem


def test_a_certificate_for_no_server_is_refused() -> None:
    key = serialization.load_pem_private_key(issued()["key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    made = x509.load_pem_x509_certificate(issued()["certificate"].encode())
    builder = (
        x509.CertificateBuilder(made.issuer, made.subject, key.public_key(), made.serial_number)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    )
    text = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    problems = own_problems("192.0.2.1", certificate=text)
    assert (
        "gateway_certificate is not for 192.0.2.1, at which the others reach the host. Its addresses: none."
        in problems[0]
    )
    assert problems[1].startswith("gateway_certificate is not for servers. Get one with the extended key usage")


def test_a_clock_that_is_behind_is_told() -> None:
    behind = host(system=host()["system"] | {"time": 1.0})
    (problem,) = judge(behind)[1]
    assert "the host's clock says 1970-01-01 00:00. Set the clock." in problem


def test_the_listeners() -> None:
    found = values(api_sources=["192.0.2.0/24"], options={"num_thread": 4})
    assert found["ollama"] == {
        "port": 11443,
        "upstream": "127.0.0.1:11434",
        "keep_alive": "5m",
        "options": {"num_ctx": 4096, "num_thread": 4},
        "connections": 8,
        "rate": 10,
        "body": 4 * 1024 * 1024,
        "patience": 15,
    }
    assert found["api"] == {"port": 8443, "upstream": "127.0.0.1:8080", "connections": 16}
    assert found["listens"] == ["0.0.0.0", "[::]"]
    assert values(host(system=host()["system"] | {"ipv6": False}))["listens"] == ["0.0.0.0"]


def test_a_gateway_of_the_api_alone_has_no_tokens() -> None:
    found = values(ollama_sources=[], api_sources=["192.0.2.1"], token_secret="", validators=[])
    assert (found["ollama"], found["tokens"], found["key_id"]) == ({}, [], "")
    # Nor does it read what is asked.
    assert found["packages"] == ["nginx", "nginx-common"]


def test_each_validator_has_its_token() -> None:
    found = values(validators=["validator01", "validator02"])
    assert found["key_id"] == key_id(SECRET)
    assert found["tokens"][1] == {"name": "validator02", "token": token(SECRET, "validator02")}


@pytest.mark.parametrize(
    ("there", "packages", "masks"),
    [
        ((), ["nginx", "nginx-common", "libnginx-mod-http-js"], True),
        # A configuration that an earlier nginx has left is not ours.
        (("/etc/nginx",), ["nginx", "libnginx-mod-http-js"], True),
        ((NGINX, "/etc/nginx"), ["libnginx-mod-http-js"], False),
        ((NGINX, SCRIPT), [], False),
    ],
)
def test_what_is_missing_comes_and_an_nginx_of_others_is_not_masked(
    there: tuple[str, ...], packages: list[str], masks: bool
) -> None:
    found = values(host(*there))
    assert (found["packages"], found["masks"]) == (packages, masks)


def test_what_an_earlier_run_has_brought_stays_noted_and_masked() -> None:
    """A gateway of the API alone has no filter; with one of Ollama that package comes."""
    notes = [f"{NOTES}/nginx", f"{NOTES}/nginx-common"]
    found = values(host(NGINX, "/etc/nginx", MASK, *notes))
    assert found["packages"] == ["libnginx-mod-http-js"]
    assert (found["noted"], found["masks"]) == (["nginx", "nginx-common", "libnginx-mod-http-js"], True)
    # Who has taken the mask away wants to serve with it.
    assert values(host(NGINX, "/etc/nginx", *notes))["masks"] is False


def test_a_unit_of_others_with_the_name_of_nginx_is_refused() -> None:
    unit = {"load": "loaded", "path": "/etc/systemd/system/nginx.service"}
    (problem,) = judge(host(units=UNITS | {"nginx.service": unit}))[1]
    assert problem.startswith(
        "The host has a nginx.service (/etc/systemd/system/nginx.service), and no /usr/sbin/nginx."
    )
    assert judge(host(NGINX, SCRIPT, units=UNITS | {"nginx.service": unit}))[1] == []
    assert judge(host(units=UNITS | {"nginx.service": unit | {"load": "masked"}}))[1] == []


def test_a_host_without_systemd_is_refused() -> None:
    (problem,) = judge(host(system=host()["system"] | {"systemd": 246}))[1]
    assert problem.startswith("The host does not run systemd 247 or newer")


def noted(*names: str) -> list[str]:
    return [f"{NOTES}/{name}" for name in names]


ALL = ("nginx", "nginx-common", "libnginx-mod-http-js")


@pytest.mark.parametrize(
    ("there", "processes", "removed", "masks", "purged"),
    [
        # None that we have brought.
        ([NGINX, SCRIPT], [], [], False, True),
        ([MASK, *noted(*ALL)], [OWN], list(ALL), True, True),
        # What another service runs stays, with the module where it has loaded that.
        ([MASK, *noted(*ALL)], [OWN, OTHER], ["libnginx-mod-http-js"], False, True),
        ([MASK, *noted(*ALL)], [OTHER | {"libraries": [SCRIPT]}], [], False, True),
        (noted("libnginx-mod-http-js"), [OTHER], ["libnginx-mod-http-js"], False, True),
        # Somebody has taken the mask away, to serve with it.
        (noted(*ALL), [], ["libnginx-mod-http-js"], False, True),
        # The configuration was there before.
        (
            [MASK, *noted("nginx", "libnginx-mod-http-js")],
            [],
            ["nginx", "libnginx-mod-http-js", "nginx-common"],
            True,
            False,
        ),
    ],
)
def test_what_goes_is_what_we_have_brought_and_nobody_uses(
    there: list[str], processes: list[Any], removed: list[str], masks: bool, purged: bool
) -> None:
    found = values(host(*there, processes={NGINX: processes}), state="absent", certificate="", key="")
    assert (found["removed"], found["masks"], found["purged"]) == (removed, masks, purged)
    assert {*found["removed"], *found["kept"]} - {"nginx-common"} == {*found["packages"]} - {"nginx-common"}
    assert found["guards"] == [{"name": name, "state": "absent"} for name in gateway.GUARDS.values()]


@pytest.mark.parametrize("trace", [None, "/etc/gizzi-gateway", NOTES])
def test_a_host_that_has_nothing_of_a_gateway_is_left_alone(trace: str | None) -> None:
    found = values(host(*filter(None, [trace])), state="absent", certificate="", key="")
    assert found["left"] == bool(trace)


def test_a_guard_for_each_listener() -> None:
    live = {"gateway-api": {"port": 8443, "sources": ["192.0.2.9"]}}
    found = values(host(guards=live))
    unit = ["gizzi-gateway.service"]
    present = {"state": "present", "units": unit}
    assert found["guards"] == [
        {"name": "gateway", "port": 11443, "sources": ["192.0.2.0/24"], **present},
        {"name": "gateway-api", "state": "absent"},
    ]
    assert found["note"]["guards"] == [
        {"name": "gateway", "state": "absent"},
        {"name": "gateway-api", "port": 8443, "sources": ["192.0.2.9"], **present},
        {"name": "gateway-mirror", "state": "absent"},
    ]
    mirrors = values(host(), mirror_sources=["192.0.2.0/24"], mirror_models=["mistral"])
    assert mirrors["guards"][-1] == {"name": "gateway-mirror", "port": 11444, "sources": ["192.0.2.0/24"], **present}
    assert mirrors["mirror"]["port"] == 11444
    assert found["mirror"] == {}
    assert [problem for name in gateway.GUARDS.values() for problem in name_problems(name)] == []


def test_a_gateway_of_ollama_that_is_to_go_is_there_until_the_clients_are_elsewhere() -> None:
    live = {"gateway": {"port": 11443, "sources": ["192.0.2.7"]}}
    found = values(host(guards=live), ollama_sources=[], api_sources=["192.0.2.0/24"])
    assert (found["ollama"], found["tokens"], found["guards"][0]["state"]) == ({}, [], "absent")
    meanwhile = found["meanwhile"]
    assert (meanwhile["ollama"]["port"], [one["name"] for one in meanwhile["tokens"]]) == (11443, ["validator01"])
    assert meanwhile["guards"][0]["sources"] == ["192.0.2.7"]
    # Nothing of this where it stays, where there was none, and where it cannot be seen.
    assert values(host(guards=live))["meanwhile"] == {}
    for guards in ({}, {"unseen": "no nft"}):
        assert values(host(guards=guards), ollama_sources=[], api_sources=["192.0.2.0/24"])["meanwhile"] == {}


def test_a_program_that_the_distribution_has_replaced_is_started_anew() -> None:
    running = {"gizzi-gateway.service": {"active": "active"}}
    for replaced in (False, True):
        processes = {NGINX: [OTHER | {"replaced": True}, OWN | {"replaced": replaced}]}
        found = values(host(NGINX, SCRIPT, units=UNITS | running, processes=processes))
        assert (found["running"], found["replaced"]) == (True, replaced)


METRICS = "/var/lib/prometheus/node-exporter"


def test_what_is_measured() -> None:
    seen = host(paths=dict.fromkeys(PATHS) | {METRICS: {"kind": "folder"}})
    addresses = {"validator01": ["192.0.2.1", "2001:db8::1"]}
    found = values(seen, metrics_dir=METRICS, addresses=addresses, validators=["validator01", "validator02"])
    assert found["measured"] is False
    assert found["metrics"] == {
        "listeners": ["ollama=127.0.0.1:11443", "ollama=[::1]:11443"],
        "clients": ["validator01=192.0.2.1,2001:db8::1", "validator02"],
    }
    assert METRICS in gateway.look(found)["paths"]


def test_the_api_alone_is_measured_too() -> None:
    seen = host(
        system={"service_manager": "systemd", "systemd": 252, "time": time.time(), "ipv6": False},
        units=UNITS | {"gizzi-gateway-metrics.timer": {"active": "active"}},
    )
    found = values(seen, ollama_sources=[], api_sources=["192.0.2.0/24"])
    assert found["metrics"]["listeners"] == ["api=127.0.0.1:8443"]
    assert found["measured"] is True


def test_a_metrics_folder_that_is_none_is_refused() -> None:
    for kind in ({"kind": "file"}, {"unseen": "why"}, None):
        _values, problems = judge(host(paths=dict.fromkeys(PATHS) | {METRICS: kind}), metrics_dir=METRICS)
        assert f'gateway_metrics_dir is "{METRICS}", and the host has no such folder' in problems[-1]
