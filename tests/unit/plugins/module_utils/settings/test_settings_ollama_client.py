# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role ollama_client refuses, with value and remedy, and what follows from its values."""

from __future__ import annotations

from typing import Any

import pytest
import tomllib

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._tokens import token
from ansible_collections.etrid.gizzi.plugins.plugin_utils._settings import judged, options_of
from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority
from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role

PYTHON = {"version": "3.11.2", "minor_version": "3.11", "venv": True, "of_distribution": True}
LINK = {"kind": "link", "target": "/opt/validator/ollama-client/current/bin/gizzi"}
HOST: dict[str, Any] = {
    "pythons": {"/usr/bin/python3": PYTHON, "/bin/false": None},
    "paths": {"/usr/local/bin/gizzi": LINK, "/etc/gizzi/client.toml": None},
    "users": {"ops": {"uid": 1000}, "nobody-knows": None},
    "takeover": {"ollama_client": {"files": [], "left": []}},
}
# Variables that are not the role's own.
OTHERS = ("gateway_token_secret", "inventory_hostname")
SECRET = "s" * 32
CA = Authority().pem
KEY = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"
OWN = {"name": "own", "url": "http://127.0.0.1:11434"}


def judge(host: dict[str, Any] | None = None, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the values and the problems, as the action settings has them."""
    named = {name if name in OTHERS else f"ollama_client_{name}": value for name, value in given.items()}
    return judge_role("ollama_client", named, HOST if host is None else host)


def values(**given: Any) -> dict[str, Any]:
    found, problems = judge(**given)
    assert problems == []
    return found


# Each rule: values, and what is said of them.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"model": "llama 3"}, ['ollama_client_model is "llama 3". Name a model, for instance "llama3.1:8b".']),
    ({"endpoints": []}, ["ollama_client_endpoints is empty. List the servers to ask"]),
    ({"endpoints": [OWN, OWN]}, ["ollama_client_endpoints has a name twice: own, own. Give each server its own."]),
    ({"endpoints": [OWN | {"name": "../own"}]}, ["has the names ../own. A name has letters"]),
    ({"endpoints": [OWN | {"name": "a\n"}]}, ["A name has letters"]),
    ({"endpoints": [OWN | {"url": "gizzi:11434"}]}, ["has the addresses gizzi:11434. Each must start with http://"]),
    ({"endpoints": [OWN | {"keep": 1}]}, ["ollama_client_endpoints[0] has the key 'keep', which is unknown"]),
    ({"endpoints": [OWN | {"token": "two words"}]}, ["a token in ollama_client_endpoints has blanks"]),
    ({"api_url": "ftp://x"}, ['ollama_client_api_url is "ftp://x". It must start with http:// or https://.']),
    ({"api_token": "two words"}, ["ollama_client_api_token, ollama_client_anthropic_key or a token in"]),
    ({"anthropic_key": "ключ"}, ["characters that are not ASCII. Give it as it was given to you."]),
    ({"anthropic_key": "key\n\n"}, ["has blanks"]),
    ({"ca": "Fleet"}, ["ollama_client_ca is no certificate in PEM form.", "-----BEGIN CERTIFICATE-----"]),
    ({"ca": CA + KEY}, ["ollama_client_ca holds a private key. Give the certificate of the authority alone."]),
    ({"gateway_token_secret": "too short"}, ["gateway_token_secret is not at least 32 visible ASCII characters."]),
    ({"settings": {"api": {"ca_file": "/x"}}}, ["sets api.ca_file. Set ollama_client_ca instead."]),
    ({"context_length": 255}, ["ollama_client_context_length is 255. Give the tokens of the servers' context"]),
    ({"context_length": 0}, ["ollama_client_context_length is 0."]),
    ({"context_length": -1}, ["ollama_client_context_length is -1."]),
    ({"context_length": "many"}, ["ollama_client_context_length is 'many'. It must be a whole number."]),
    ({"thresholds": {"min_peers": -1}}, ["ollama_client_thresholds.min_peers is -1. It must be 0 or more."]),
    ({"settings": {"a": {"b": {"c": 1}}}}, ["ollama_client_settings must have the form", "{failover: {cooldown: 10}}"]),
    ({"settings": {"Prompt": {"x": 1}}}, ["ollama_client_settings must have the form"]),
    ({"settings": {"model": "x"}}, ["ollama_client_settings sets model. Set ollama_client_model instead."]),
    (
        {"settings": {"api": {"url": "http://x", "token_file": "/x"}, "thresholds": {"max_lag": 3}}},
        ["sets api.url and api.token_file and thresholds. Set ollama_client_api_url and ollama_client_api_token and"],
    ),
    ({"users": ["ops", "nobody-knows"]}, ["ollama_client_users names nobody-knows, and the host has no such user."]),
    ({"python": "/bin/false"}, ['ollama_client_python is "/bin/false", and no Python runs there.']),
    ({"wheelhouse": "/nowhere"}, ['ollama_client_wheelhouse is "/nowhere", and the control host has no folder']),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=lambda one: next(iter(one)) if isinstance(one, dict) else "")
def test_refused_with_value_and_remedy(given: dict[str, Any], told: list[str]) -> None:
    _found, problems = judge(**given)
    assert len(problems) == 1
    assert [part for part in told if part not in problems[0]] == []


def test_all_at_once_and_never_a_secret() -> None:
    wrong = {"model": "a b", "api_token": "hush hush", "context_length": 1, "endpoints": [OWN | {"token": "hush x"}]}
    _found, problems = judge(**wrong)
    assert len(problems) == 3
    assert "hush" not in str(problems)


def test_a_name_that_no_user_has_is_refused_before_a_host_is_asked() -> None:
    _found, problems = judge(host={}, users=["ops\nu eve - - /bin/sh"], model="a b")
    assert problems[1:] == [
        "ollama_client_users names 'ops\\nu eve - - /bin/sh', which cannot be a user. Name a login."
    ]


@pytest.mark.parametrize(
    "there",
    [{"kind": "file", "target": ""}, LINK | {"target": "/usr/bin/gizzi"}, LINK | {"target": "/opt/validator/ollama"}],
)
def test_what_others_have_at_the_links_is_left_alone(there: dict[str, Any]) -> None:
    host = HOST | {"paths": {"/usr/local/bin/gizzi": there, "/etc/gizzi/client.toml": there}}
    assert judge(host=host)[1] == [
        "This role has not made what is at /usr/local/bin/gizzi and /etc/gizzi/client.toml. Move it away, and run the "
        "role again."
    ]


def test_what_cannot_be_seen_is_not_taken_for_nothing() -> None:
    host = HOST | {"paths": {"/usr/local/bin/gizzi": {"unseen": "no right"}, "/etc/gizzi/client.toml": None}}
    assert judge(host=host)[1] == [
        "What is at /usr/local/bin/gizzi (no right) could not be seen. Run the role as root."
    ]


def test_the_programs_file() -> None:
    found = values(
        endpoints=[OWN, {"name": "fleet", "url": "https://gizzi:8443", "token": "t-1"}],
        api_token="t-2",
        anthropic_key="t-3",
        thresholds={"max_lag": 7},
        settings={"prompt": {"temperature": 0.5}, "cache": {"seconds": 5}, "failover": {"cooldown": 10}},
    )
    assert tomllib.loads(found["config"]) == {
        "model": "llama3.1:8b",
        "endpoints": [
            OWN,
            {
                "name": "fleet",
                "url": "https://gizzi:8443",
                "token_file": "/etc/gizzi/client-endpoint-fleet.token",
            },
        ],
        "api": {"url": "http://127.0.0.1:8080", "token_file": "/etc/gizzi/client-api.token"},
        "prompt": {"context_tokens": 4096, "temperature": 0.5},
        "claude": {"api_key_file": "/etc/gizzi/client-anthropic.key"},
        # The API's, but for the time that only the alerts know.
        "thresholds": {"max_lag": 7, "max_finality_lag": 50, "min_peers": 3, "stale_seconds": 90.0},
        "cache": {"folder": "/var/cache/gizzi", "root_folder": "/var/cache/gizzi-root", "seconds": 5},
        "ledger": {"folder": "/var/lib/gizzi", "root_folder": "/var/lib/gizzi-root"},
        "failover": {"cooldown": 10},
    }
    assert not any(secret in found["config"] for secret in ("t-1", "t-2", "t-3"))
    assert [(one["path"], one["content"]) for one in found["files"]] == [
        ("/etc/gizzi/client-endpoint-fleet.token", "t-1\n"),
        ("/etc/gizzi/client-api.token", "t-2\n"),
        ("/etc/gizzi/client-anthropic.key", "t-3\n"),
    ]
    assert {(one["group"], one["mode"], one["secret"]) for one in found["files"]} == {("gizzi", "0640", True)}


GATEWAY = {"name": "gizzi", "url": "https://192.0.2.1:11443"}


def through(**given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the program's settings and its files by path, on a validator of a fleet with gateways."""
    found = values(**{"inventory_hostname": "validator-07", "gateway_token_secret": SECRET, "ca": CA, **given})
    return tomllib.loads(found["config"]), {one["path"]: one for one in found["files"]}


def test_through_gateways() -> None:
    other = {"name": "other", "url": "https://192.0.2.2", "token": "t-1"}
    settings, files = through(endpoints=[GATEWAY, other, OWN], api_url="https://192.0.2.1:8443")
    ca = {"ca_file": "/etc/gizzi/fleet-ca.pem"}
    assert settings["endpoints"] == [
        GATEWAY | ca | {"token_file": "/etc/gizzi/client-gateway.token"},
        {"name": "other", "url": "https://192.0.2.2", "token_file": "/etc/gizzi/client-endpoint-other.token"} | ca,
        # In plain text nothing is shown.
        OWN,
    ]
    # There the address decides.
    assert settings["api"] == {"url": "https://192.0.2.1:8443"} | ca
    own = files["/etc/gizzi/client-gateway.token"]
    assert own["content"] == f"{token(SECRET, 'validator-07')}\n"
    assert (own["group"], own["mode"], own["secret"]) == ("gizzi", "0640", True)
    authority = files["/etc/gizzi/fleet-ca.pem"]
    assert (authority["content"], authority["mode"], authority.get("secret")) == (CA, "0644", None)


def test_the_token_is_there_for_modules_too() -> None:
    given = {"inventory_hostname": "validator-07", "gateway_token_secret": SECRET}
    assert values(**given)["gateway_token"] == token(SECRET, "validator-07")
    # A host that asks no gateway keeps none.
    assert values(**given)["files"] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"gateway_token_secret": ""}, {"ca_file": "/etc/gizzi/fleet-ca.pem"}),
        ({"ca": ""}, {"token_file": "/etc/gizzi/client-gateway.token"}),
    ],
)
def test_either_alone(given: dict[str, str], kept: dict[str, str]) -> None:
    settings, files = through(endpoints=[GATEWAY], **given)
    assert settings["endpoints"] == [GATEWAY | kept]
    assert list(files) == list(kept.values())


def test_without_secrets_no_file_of_one() -> None:
    found = values()
    assert found["files"] == []
    assert found["gateway_token"] == ""
    assert "token_file" not in found["config"]
    assert "claude" not in found["config"]


def test_removal_asks_for_nothing() -> None:
    found, problems = judge(state="absent", model="a b", endpoints=[], users=["a b"], wheelhouse="/nowhere")
    assert (problems, found["files"], found["config"]) == ([], [], "")


def test_without_the_client_the_host_still_has_a_token_to_wait_for_the_servers_answer() -> None:
    found = values(state="absent", inventory_hostname="validator-07", gateway_token_secret=SECRET)
    assert found["gateway_token"] == token(SECRET, "validator-07")


# Ubuntu 22.04's.
OLD = {"version": "3.10.12", "minor_version": "3.10", "venv": False, "of_distribution": True}
NOTHING = {"/usr/local/bin/gizzi": None, "/etc/gizzi/client.toml": None}
TOO_OLD = (
    "ollama_client_python /usr/bin/python3 is 3.10, and 3.11 or newer is needed. Install a newer Python beside it and "
    'name its path, for instance "/usr/bin/python3.12".'
)


def in_fleet(host: dict[str, Any], **given: Any) -> Any:
    """Return the judgement of a run over the whole fleet."""
    named = {f"ollama_client_{name}": value for name, value in ({"model": "phi3", "endpoints": [OWN]} | given).items()}
    others = {"gateway_token_secret": SECRET, "inventory_hostname": "validator-07"}
    return judged("ollama_client", options_of("ollama_client"), named | others, {}, {}).on(HOST | host, fleet=True)


def test_the_fleet_goes_on_without_the_client_where_python_is_too_old() -> None:
    found = in_fleet({"pythons": {"/usr/bin/python3": OLD}, "paths": NOTHING}, users=["nobody-knows"])
    assert found.problems == []
    assert found.notes == [
        f"The run goes on without the client (gizzi). {TOO_OLD} Or set ollama_client_state to absent."
    ]
    assert (found.values["state"], found.values["files"], found.values["config"]) == ("absent", [], "")
    assert found.values["gateway_token"] == token(SECRET, "validator-07")


@pytest.mark.parametrize("python", [PYTHON, PYTHON | {"version": "3.13.5", "minor_version": "3.13"}])
def test_the_fleet_has_the_client_where_python_is_new_enough(python: dict[str, Any]) -> None:
    found = in_fleet({"pythons": {"/usr/bin/python3": python}, "paths": NOTHING})
    assert (found.problems, found.notes, found.values["state"]) == ([], [], "present")


def test_the_role_alone_refuses_a_python_that_is_too_old() -> None:
    assert judge(host=HOST | {"pythons": {"/usr/bin/python3": OLD}, "paths": NOTHING})[1] == [TOO_OLD]


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        # A client that is there has a newer Python, which the variable no longer names.
        ({"pythons": {"/usr/bin/python3": OLD}}, TOO_OLD),
        ({"pythons": {"/usr/bin/python3": None}, "paths": NOTHING}, 'is "/usr/bin/python3", and no Python runs there.'),
        (
            {"pythons": {"/usr/bin/python3": {"unseen": "it hangs"}}, "paths": NOTHING},
            "no Python runs there (it hangs)",
        ),
    ],
    ids=["client is there", "no Python", "unseen"],
)
def test_the_fleet_does_not_go_on_where_the_client_is_there_or_the_python_is_not(
    host: dict[str, Any], problem: str
) -> None:
    found = in_fleet(host)
    assert len(found.problems) == 1
    assert problem in found.problems[0]
