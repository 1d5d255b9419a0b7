# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus lacks for the Gizzi API: each kind with its validators and remedy, and what is no reason to stop."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from ansible_collections.etrid.gizzi.plugins.module_utils._settings import gizzi_api
from ansible_collections.etrid.gizzi.plugins.module_utils._settings._prometheus import addresses, missing
from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge
from ansible_collections.etrid.gizzi.tests.unit.plugins.module_utils.settings.prometheus_pages import (
    FACTS,
    Pages,
    answer,
    series,
)

VALIDATORS = [
    {"number": 1, "name": "validator01", "address": "192.0.2.1"},
    {"number": 2, "name": "validator02", "address": "2001:db8::2"},
]
FOLDER = "/etc/prometheus/gizzi"
ALL = [*series("1"), *series("2")]


def values(**given: Any) -> dict[str, Any]:
    """Return the role's values with the computed ones."""
    named = {f"gizzi_api_{name}": value for name, value in ({"validators": VALIDATORS} | given).items()}
    found, problems = judge("gizzi_api", named)
    assert problems == []
    return found


def config(*jobs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return Prometheus' page with its configuration."""
    return {
        "status": 200,
        "json": {"status": "success", "data": {"yaml": yaml.safe_dump({"scrape_configs": [*jobs], **more})}},
    }


def reads(*files: str, job: str = "substrate") -> dict[str, Any]:
    return {"job_name": job, "file_sd_configs": [{"files": [*files], "refresh_interval": "30s"}]}


def test_one_query_asks_for_what_the_api_needs() -> None:
    (url,) = addresses(values(prometheus_url="http://192.0.2.9:9090/prom/"))
    assert url.startswith("http://192.0.2.9:9090/prom/api/v1/query?query=")
    (query,) = parse_qs(urlsplit(url).query)["query"]
    assert query.startswith('max by (validator, gizzi_fact) (label_replace((up{job="substrate"}\n), "gizzi_fact", "up"')
    assert all(f'"gizzi_fact", "{fact}", "", "")' in query for fact in FACTS)
    assert addresses(values(prometheus_dir=FOLDER))[1] == "http://127.0.0.1:9090/api/v1/status/config"
    (named,) = addresses(values(validator_label="id", node_job='my "nodes"'))
    (query,) = parse_qs(urlsplit(named).query)["query"]
    assert query.startswith('max by (id, gizzi_fact) (label_replace((up{job="my \\"nodes\\""}')


@pytest.mark.parametrize(
    "found",
    [
        ALL,
        # A node that is down has no metrics; that is what the API is there to tell.
        [*series("1"), *series("2", up="0", without=FACTS[1:])],
        [*ALL, *series("22"), *series("02"), *series("")],
    ],
    ids=["all", "one is down", "others too"],
)
def test_nothing_is_missing(found: list[dict[str, Any]]) -> None:
    assert missing(values(), Pages(answer(found))) == []


def test_a_name_that_the_preset_does_not_have_is_not_missed() -> None:
    etrid = values(settings={"prometheus": {"preset": "etrid"}})
    assert missing(etrid, Pages(answer([*series("1", without=("syncing",)), *series("2", without=("syncing",))]))) == []


def test_a_validator_without_a_target_is_named_with_the_lines_for_it() -> None:
    (said,) = missing(values(), Pages(answer(series("1"))))
    assert said.splitlines() == [
        'Prometheus has no target under job "substrate" for validator02 (validator="2").',
        'Give job "substrate" a target for each, as in these lines for validator02:',
        '  - targets: ["[2001:db8::2]:9615"]',
        '    labels: {validator: "2", instance: "validator02"}',
        "If the nodes are scraped already, set gizzi_api_node_job and gizzi_api_validator_label, or let Prometheus "
        "make the label: see docs/production.md, Nodes with other labels.",
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "Nothing is scraped under this job."),
        (
            [*series("01"), *series('validator-"2"')],
            'Other values of the label under this job: "01", "validator-\\"2\\"".',
        ),
        (series(""), "Targets of this job have no such label."),
        ([{"metric": {"gizzi_fact": "up"}, "value": [0, "1"]}], "Targets of this job have no such label."),
    ],
)
def test_what_is_there_instead_is_said(found: list[dict[str, Any]], said: str) -> None:
    (text,) = missing(values(), Pages(answer(found)))
    first, second = text.splitlines()[:2]
    assert first.endswith('for validator01 (validator="1"), validator02 (validator="2").')
    assert second == said


def test_other_names_of_job_and_label() -> None:
    own = values(node_job="nodes", validator_label="id")
    assert missing(own, Pages(answer([*series("1", label="id"), *series("2", label="id")]))) == []
    (said,) = missing(own, Pages(answer(series("1", label="id"))))
    assert 'under job "nodes" for validator02 (id="2").' in said
    assert '    labels: {id: "2", instance: "validator02"}' in said


def test_missing_metrics_are_named_with_their_validators() -> None:
    found = [*series("1", without=("finalized", "peers")), *series("2", without=("peers",))]
    (said,) = missing(values(), Pages(answer(found)))
    assert said == (
        'Prometheus reads these validators, and finds no substrate_block_height{job="substrate",status="finalized"} of '
        'validator01; no substrate_sub_libp2p_peers_count{job="substrate"} of validator01, validator02. If the nodes '
        "have other names for their metrics, set gizzi_api_settings: prometheus.preset to etrid, or expressions."
    )


def test_each_kind_has_its_own_text() -> None:
    assert len(missing(values(), Pages(answer(series("1", without=("best",)))))) == 2


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ({"unseen": "GET http://127.0.0.1:9090/api/v1/query: connection refused"}, "connection refused"),
        (
            {"unseen": 'GET http://127.0.0.1:9090/api/v1/query answered 400: invalid parameter "query": parse error'},
            'answered 400: invalid parameter "query": parse error',
        ),
        ({"status": 200, "json": {"hello": "world"}}, "what answers there is not Prometheus"),
        ({"status": 200, "json": ["up"]}, "what answers there is not Prometheus"),
        ({"status": 200, "json": {"data": {"result": [{"metric": {}}]}}}, "what answers there is not Prometheus"),
        (answer([{"metric": {"gizzi_fact": "up"}, "value": "x"}]), "what answers there is not Prometheus"),
    ],
)
def test_a_prometheus_that_does_not_answer(page: dict[str, Any], why: str) -> None:
    (said,) = missing(values(), Pages(page))
    assert said.startswith(
        "Prometheus at http://127.0.0.1:9090 (gizzi_api_prometheus_url) does not answer the query for the validators' "
        f"metrics: {why}. Start it, write its address"
    )


@pytest.mark.parametrize(
    ("page", "come"),
    [
        (config(reads(f"{FOLDER}/targets/substrate.yml")), True),
        (config(reads("/etc/other/*.yml", f"{FOLDER}/targets/*.yml")), True),
        (config(scrape_config_files=[f"{FOLDER}/scrape.yml"]), True),
        (config(reads("/etc/prometheus/*.yml")), False),
        (config(reads(f"{FOLDER}/targets/substrate.yml", job="others")), False),
        (config({"job_name": "substrate", "static_configs": []}), False),
        (config(), False),
        ({"unseen": "GET http://127.0.0.1:9090/api/v1/status/config answered 404"}, False),
        ({"status": 200, "json": {"data": {"yaml": "a: [b"}}}, False),
        ({"status": 200, "json": {"data": {"yaml": "- a"}}}, False),
        ({"status": 200, "json": {"data": None}}, False),
        ({"status": 200, "json": {"data": {"yaml": "scrape_config_files: ['']"}}}, False),
    ],
    ids=str,
)
def test_targets_that_come_with_the_role_are_not_missed(page: dict[str, Any], come: bool) -> None:
    said = missing(values(prometheus_dir=FOLDER), Pages(answer(series("1")), page))
    assert [text.splitlines()[1:4] for text in said] == [
        [
            "Add these lines to scrape_configs of prometheus.yml and reload Prometheus; the role writes the targets:",
            '  - job_name: "substrate"',
            f'    file_sd_configs: [{{files: ["{FOLDER}/targets/substrate.yml"], refresh_interval: 30s}}]',
        ]
    ] * (not come)
    # The others are scraped already.
    (metrics,) = [
        text
        for text in missing(values(prometheus_dir=FOLDER), Pages(answer(series("1", ("best",))), page))
        if "finds no" in text
    ]
    assert "of validator01." in metrics


def test_many_are_not_all_named() -> None:
    many = [{"number": number, "name": f"v{number}", "address": "192.0.2.1"} for number in range(40)]
    (said,) = missing(values(validators=many), Pages(answer([])))
    assert 'v24 (validator="24") and 15 more.' in said


def test_it_is_said_beforehand_and_stops_nothing_then() -> None:
    python = {"pythons": {"/usr/bin/python3": {"minor_version": "3.11"}}}
    host = {
        "urls": Pages(answer(series("1"))),
        "takeover": {"gizzi_api": {"files": ["/opt/gizzi"], "left": []}},
        **python,
    }
    (note,) = gizzi_api.host_notes(values(), host)
    assert note == "\n".join(
        [
            *missing(values(), host["urls"]),
            "Until this is solved, the Gizzi API is not installed and not changed. Everything else of the run is done.",
        ]
    )
    sound = {"urls": Pages(answer(ALL)), "takeover": {"gizzi_api": {"files": [], "left": []}}, **python}
    assert gizzi_api.host_notes(values(), sound) == []
    assert gizzi_api.host_notes(values(state="absent"), {"takeover": sound["takeover"]}) == []
