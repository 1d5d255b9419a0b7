# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role gizzi_api refuses, with value and remedy, and what follows from its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomllib

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import gizzi_api
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._program import merged, toml_of
from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.settings.prometheus_pages import (
    Pages,
    answer,
    series,
)

ONE = {"number": 1, "name": "validator01", "address": "192.0.2.1"}
OTHER = {"number": 2, "name": "validator02", "address": "2001:db8::2"}
PYTHON = {"version": "3.11.2", "minor_version": "3.11", "venv": True, "of_distribution": True}
LIVE = {"port": 8081, "sources": ["192.0.2.7"], "effective": False, "unseen": False, "reason": "no unit"}
GUARD = {
    "name": "gizzi-api",
    "state": "present",
    "port": 8081,
    "sources": ["192.0.2.7"],
    "units": ["gizzi-api.service"],
}
NO_GUARD = {"name": "gizzi-api", "state": "absent"}
HOST: dict[str, Any] = {
    "system": {"service_manager": "systemd", "systemd": 252},
    "pythons": {"/usr/bin/python3": PYTHON},
    "units": {"gizzi-api.service": {"active": "active", "documentation": "http://[fd42::1]:8081/docs"}},
    "guards": {"gizzi-api": LIVE},
    "commands": {"promtool": "/usr/bin/promtool"},
    "takeover": {"gizzi_api": {"files": [], "left": []}},
    "urls": Pages(answer([*series("1"), *series("2")])),
}


def judge(**given: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the values and the problems, as the action settings has them."""
    given = {"validators": [ONE, OTHER]} | given
    named = {f"gizzi_api_{name}": value for name, value in given.items()}
    return judge_role("gizzi_api", named, HOST)


def values(**given: Any) -> dict[str, Any]:
    found, problems = judge(**given)
    assert problems == []
    return found


# Each rule: values, and what is said of them.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"listen": "8080"}, ['gizzi_api_listen is "8080". Write an address and a port from 1024 up', '"[::]:8080"']),
    ({"listen": "127.0.0.1:80"}, ['gizzi_api_listen is "127.0.0.1:80"']),
    ({"listen": "::1:8080"}, ['gizzi_api_listen is "::1:8080"']),
    ({"listen": "256.0.0.1:8080"}, ["gizzi_api_listen"]),
    ({"listen": "gizzi:8080"}, ["gizzi_api_listen"]),
    ({"listen": "[::]:65536"}, ["gizzi_api_listen"]),
    ({"token": "short"}, ["gizzi_api_token is not at least 16 visible ASCII characters. Make one", "openssl"]),
    ({"token": "with a blank in the middle"}, ["gizzi_api_token is not"]),
    ({"token": "with-a-line-end-in-it\nand-more"}, ["gizzi_api_token is not"]),
    ({"validators": []}, ["gizzi_api_validators is empty. List the validators", "address: 192.0.2.1"]),
    ({"validators": [ONE, OTHER | {"number": 1}]}, ["gizzi_api_validators has a number twice: 1. Give each"]),
    ({"validators": [ONE, OTHER | {"name": "validator01"}]}, ["has a name twice: validator01. Give each"]),
    ({"validators": [ONE | {"number": -1}]}, ["gizzi_api_validators has the number -1. It must be 0 or more."]),
    ({"validators": [ONE | {"name": "two\nlines"}]}, ["has the name 'two\\nlines'. It must have 1 to 64"]),
    ({"validators": [ONE | {"name": "x" * 65}]}, ["It must have 1 to 64 characters"]),
    ({"validators": [ONE | {"address": "not here"}]}, ["has the address 'not here', which is none. Write it as in"]),
    ({"thresholds": {"min_peers": -1}}, ["gizzi_api_thresholds.min_peers is -1. It must be 0 or more."]),
    ({"thresholds": {"stall_seconds": 0}}, ["gizzi_api_thresholds.stall_seconds is 0. It must be 1 or more."]),
    ({"thresholds": {"stale_seconds": 1e6}}, ["gizzi_api_thresholds.stale_seconds is 1e+06. It must be 86400, a day"]),
    ({"thresholds": {"max_lags": 3}}, ["gizzi_api_thresholds has the key 'max_lags', which is unknown", "max_lag,"]),
    ({"settings": {"a": {"b": {"c": 1}}}}, ["gizzi_api_settings must have the form", '{query: {mode: "off"}}']),
    ({"settings": {"Query": {"mode": "off"}}}, ["gizzi_api_settings must have the form"]),
    ({"settings": {"port": 80}}, ["gizzi_api_settings sets port. Set gizzi_api_listen instead."]),
    (
        {"settings": {"host": "::", "port": 80, "thresholds": {"max_lag": 3}, "query": {"token_file": "/x"}}},
        ["sets host and port and thresholds and query.token_file. Set gizzi_api_listen and gizzi_api_thresholds and"],
    ),
    ({"settings": {"prometheus": {"url": "http://x"}}}, ["sets prometheus.url. Set gizzi_api_prometheus_url instead"]),
    ({"settings": {"prometheus": {"preset": "../x"}}}, ["has the preset '../x'. It must be etrid or substrate."]),
    ({"settings": {"prometheus": {"job": "nodes"}}}, ["sets prometheus.job. Set gizzi_api_node_job instead."]),
    ({"settings": {"prometheus": {"label": "id"}}}, ["sets prometheus.label. Set gizzi_api_validator_label instead."]),
    ({"validator_label": "validator-id"}, ["gizzi_api_validator_label is 'validator-id'. Name a label with letters"]),
    ({"validator_label": "__address__"}, ["gizzi_api_validator_label is '__address__'"]),
    ({"validator_label": "instance"}, ["gizzi_api_validator_label is 'instance'", "neither job nor instance"]),
    ({"node_job": ""}, ["gizzi_api_node_job is ''. It must have 1 to 64 characters on one line."]),
    ({"node_exporter_job": "two\nlines"}, ["gizzi_api_node_exporter_job is 'two\\nlines'."]),
    (
        {"node_job": "node"},
        ["gizzi_api_node_job is 'node' and gizzi_api_node_exporter_job is 'node'. They must differ"],
    ),
    ({"node_exporter_job": "gizzi-api"}, ["neither may be gizzi-api"]),
    ({"settings": {"prometheus": "substrate"}}, ["has a prometheus that is no table"]),
    ({"settings": {"expressions": {"peers": 3}}}, ["gizzi_api_settings has expressions that are no texts"]),
    ({"allowed_sources": ["validator01"]}, ["gizzi_api_allowed_sources: source 'validator01' is not an IP address"]),
    ({"allowed_sources": ["0.0.0.0/0"]}, ["source '0.0.0.0/0' would open the port to everybody"]),
    ({"start_timeout": 0}, ["gizzi_api_start_timeout is 0. It must be 1 or more."]),
    ({"node_port": 0}, ["gizzi_api_node_port is 0. It goes from 1 to 65535."]),
    ({"node_exporter_port": 65536}, ["gizzi_api_node_exporter_port is 65536. It goes from 1 to 65535."]),
    ({"prometheus_url": "9090"}, ['gizzi_api_prometheus_url is "9090". It must start with http://']),
    ({"prometheus_url": "http://me:secret@x:9090"}, ['gizzi_api_prometheus_url is "http://…@x:9090". It must', "user"]),
    ({"prometheus_url": "http://x/prom?a=1"}, ["have no user, password, query or blank"]),
    ({"prometheus_dir": "/etc"}, ['gizzi_api_prometheus_dir is "/etc". Name an absolute path to a folder of its own']),
    ({"prometheus_dir": "/etc/../root"}, ['gizzi_api_prometheus_dir is "/etc/../root"']),
    ({"prometheus_dir": "/etc/my rules"}, ["gizzi_api_prometheus_dir"]),
    ({"prometheus_service": "prometheus"}, ['gizzi_api_prometheus_service is "prometheus". Name a unit']),
    # What is removed is still named by a path.
    ({"state": "absent", "prometheus_dir": "/etc/../root"}, ["gizzi_api_prometheus_dir"]),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused(given: dict[str, Any], said: list[str]) -> None:
    (problem,) = judge(**given)[1]
    assert all(part in problem for part in said), problem


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"listen": "[::]:8081", "token": "0123456789abcdef"},
        {"listen": "localhost:65535", "prometheus_dir": "/etc/prometheus/gizzi"},
        {"settings": {"log_level": "debug", "query": {"mode": "named", "metrics": ["up"]}, "cache_seconds": 1.0}},
        {"thresholds": {"min_peers": 0, "stale_seconds": "90"}, "start_timeout": "5"},
        # Nothing of it is used.
        {"state": "absent", "validators": [], "token": "short", "start_timeout": 0},
    ],
    ids=str,
)
def test_taken(given: dict[str, Any]) -> None:
    assert judge(**given)[1] == []


def test_everything_is_said_at_once() -> None:
    _values, problems = judge(listen="8080", token="short", validators=[], settings={"port": 80}, start_timeout="soon")
    assert len(problems) == 5
    assert "short" not in " ".join(problems)


def test_the_sandbox_needs_its_systemd() -> None:
    old = HOST | {"system": {"service_manager": "systemd", "systemd": 245}}
    (problem,) = gizzi_api.host_problems(values(), old)
    assert "does not run systemd 247 or newer" in problem
    none = HOST | {"system": {"service_manager": "sysvinit", "systemd": None}}
    assert gizzi_api.host_problems(values(), none) == [problem]
    assert gizzi_api.look(values(state="absent")) == {"takeover": ["gizzi_api"]}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (None, 'gizzi_api_python is "/usr/bin/python3", and no Python runs there. Install one of version 3.11'),
        ({"unseen": "it hangs"}, "no Python runs there (it hangs)."),
        (PYTHON | {"venv": False, "of_distribution": False}, "cannot make virtual environments, as it has no module"),
        (PYTHON | {"venv": False}, ""),
        (PYTHON | {"minor_version": "3.13"}, ""),
    ],
)
def test_the_hosts_python(seen: Any, said: str) -> None:
    found = gizzi_api.host_problems(values(), HOST | {"pythons": {"/usr/bin/python3": seen}})
    assert (len(found), said in "".join(found)) == (bool(said), True)


# Ubuntu 22.04's.
OLD = {"/usr/bin/python3": PYTHON | {"version": "3.10.12", "minor_version": "3.10", "venv": False}}
TOO_OLD = (
    "gizzi_api_python /usr/bin/python3 is 3.10, and 3.11 or newer is needed. Install a newer Python beside it and name "
    'its path, for instance "/usr/bin/python3.12".'
)


def test_a_python_that_is_too_old_stops_the_api_alone_and_is_said_before() -> None:
    host = HOST | {"pythons": OLD}
    assert gizzi_api.host_problems(values(), host) == []
    assert gizzi_api.host_derived(values(), host)["lacks"] == [TOO_OLD]
    (note,) = gizzi_api.host_notes(values(), host)
    assert note.startswith(f"{TOO_OLD}\nUntil this is solved, the Gizzi API is not installed")


def test_without_the_api_the_python_is_no_matter() -> None:
    absent = values(state="absent")
    assert "pythons" not in gizzi_api.look(absent)
    host = {"system": HOST["system"], "takeover": HOST["takeover"]}
    assert (gizzi_api.host_problems(absent, host), gizzi_api.host_notes(absent, host)) == ([], [])


def test_wheels_are_on_the_control_host(tmp_path: Path) -> None:
    assert f'gizzi_api_wheelhouse is "{tmp_path}", and the control host has no' in judge(wheelhouse=str(tmp_path))[1][0]
    assert "gizzi_api_wheelhouse" in judge(wheelhouse="wheels")[1][0]
    (tmp_path / "one-1.0-py3-none-any.whl").touch()
    assert judge(wheelhouse=str(tmp_path))[1] == []


def test_what_ran_before_is_noted() -> None:
    found = values(listen="[::]:8080")
    assert found["running"]
    assert found["note"] == {"url": "http://[fd42::1]:8081/healthz", "guards": [GUARD]}
    assert found["guards"] == [GUARD | {"port": 8080, "sources": []}]


@pytest.mark.parametrize(
    ("unit", "guards", "noted", "closed"),
    [
        ({"active": "inactive", "documentation": ""}, {}, [NO_GUARD], []),
        ({"active": "inactive", "documentation": "man:gizzi(1)"}, {"ollama": LIVE}, [NO_GUARD], []),
        # What cannot be seen is not touched.
        ({"unseen": "no systemctl"}, {"unseen": "no nft"}, [], [NO_GUARD]),
        ({"unseen": "no systemctl"}, {"gizzi-api": LIVE | {"port": None, "sources": None}}, [], [NO_GUARD]),
    ],
)
def test_what_did_not_run_before_is_not_asked(unit: Any, guards: Any, noted: Any, closed: Any) -> None:
    host = HOST | {"units": {"gizzi-api.service": unit}, "guards": guards}
    assert gizzi_api.host_derived(values(), host) == {
        "lacks": [],
        "running": False,
        "guards": closed,
        "promtool": "/usr/bin/promtool",
        "note": {"url": "", "guards": noted},
        "replaced": {"paths": [], "programs": [], "files": []},
        "old_left": [],
    }


@pytest.mark.parametrize(
    ("listen", "url", "on_loopback"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("localhost:8080", "http://localhost:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("[::]:8081", "http://127.0.0.1:8081", False),
        ("0.0.0.0:8080", "http://127.0.0.1:8080", False),
        ("[fd42::1]:8080", "http://[fd42::1]:8080", False),
    ],
)
def test_where_it_is_reached(listen: str, url: str, on_loopback: bool) -> None:
    found = values(listen=listen)
    assert (found["url"], found["on_loopback"], found["target"]) == (url, on_loopback, url[len("http://") :])
    config = tomllib.loads(found["config"])
    assert f"{config['host']}:{config['port']}" == listen.replace("[", "").replace("]", "")


def test_the_file_of_the_program() -> None:
    found = values(
        token="0123456789abcdef",
        thresholds={"max_lag": 4},
        settings={"log_level": "debug", "query": {"mode": "off"}, "prometheus": {"timeout": 2.0}, "history": {}},
        node_job="nodes",
        validator_label="id",
    )
    assert tomllib.loads(found["config"]) == {
        "host": "127.0.0.1",
        "port": 8080,
        "log_level": "debug",
        "validators": [{"number": 1, "name": "validator01"}, {"number": 2, "name": "validator02"}],
        "prometheus": {
            "url": "http://127.0.0.1:9090",
            "preset": "substrate",
            "job": "nodes",
            "label": "id",
            "timeout": 2.0,
        },
        "thresholds": found["thresholds"],
        "query": {"token_file": "/etc/gizzi/api.token", "mode": "off"},
    }
    assert found["thresholds"]["max_lag"] == 4
    assert "0123456789abcdef" not in found["config"]
    assert "token_file" not in values()["config"]


def test_targets_have_ipv6_addresses_in_brackets() -> None:
    assert values()["targets"] == [
        {"host": "192.0.2.1", "number": "1", "name": "validator01"},
        {"host": "[2001:db8::2]", "number": "2", "name": "validator02"},
    ]


def test_alerts_ask_what_the_api_asks() -> None:
    expressions = {"peers": 'my_peers{job="$JOB"}\n', "finalized": ""}
    found = values(
        settings={"prometheus": {"preset": "etrid"}, "expressions": expressions},
        node_job='my "nodes"',
        thresholds={"stall_seconds": 7},
    )
    # This preset knows no metric for a major sync.
    assert [(one["fact"], one["record"]) for one in found["facts"]] == [
        ("up", "validator:up"),
        ("best", "validator:best_height"),
        ("peers", "validator:peers"),
    ]
    assert found["facts"][2]["expression"] == 'my_peers{job="my \\"nodes\\""}'
    assert [one["fact"] for one in values()["facts"]] == ["up", "best", "finalized", "peers", "syncing"]
    offset = values(settings={"expressions": {"best": "height offset $STALLs"}}, thresholds={"stall_seconds": 7})
    assert offset["facts"][1]["expression"] == "height offset 7s"


@pytest.mark.parametrize(
    "settings",
    [
        {"a": 1, "b": "x", "c": [1, 2], "d": True, "e": 0.5, "t": {"u": "v", "w": []}, "l": [{"n": 1}, {"n": 2}]},
        {"a": 'quote " back \\ line \n tab \t nul \x00 del \x7f', "b": "Ëtrid \U0001f600"},
        # What stands alone must stand before the first table.
        {"t": {"u": 1}, "l": [{"n": 1}], "a": 2},
    ],
)
def test_toml_says_what_the_settings_say(settings: dict[str, Any]) -> None:
    assert tomllib.loads(toml_of(settings)) == settings


def test_further_settings_go_over_the_own_ones() -> None:
    own = {"a": 1, "t": {"u": 1, "v": 2}}
    assert merged(own, {"t": {"v": 3, "w": 4}, "b": 5}) == {"a": 1, "b": 5, "t": {"u": 1, "v": 3, "w": 4}}
    assert own == {"a": 1, "t": {"u": 1, "v": 2}}
