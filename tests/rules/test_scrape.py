"""The scrape configuration of role gizzi_api, and the names of jobs and of the label in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from half_hour import OTHER_HEIGHT, OTHER_UP, always, at, called, page_gone, rising, turns, up
from rendering import PROJECT, VALIDATORS, promtool, render


@pytest.mark.parametrize(
    ("listen", "target"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::]:8081", "127.0.0.1:8081"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("[fd42::1]:8080", "[fd42::1]:8080"),
    ],
)
def test_prometheus_reads_its_configuration(tmp_path: Path, listen: str, target: str) -> None:
    """As part of a user's own, with the rules, and with the targets where the stanza looks for them."""
    own = {"global": {"scrape_interval": "15s"}, "rule_files": [str(tmp_path / "rules.yml")]}
    stanza = render("scrape", gizzi_api_prometheus_dir=str(tmp_path), gizzi_api_listen=listen)
    (tmp_path / "rules.yml").write_text(render("rules"))
    (tmp_path / "targets").mkdir()
    for job, port in (("substrate", 9615), ("node", 9100)):
        (tmp_path / "targets" / f"{job}.yml").write_text(render("targets", port=port))
    (tmp_path / "prometheus.yml").write_text(f"{yaml.safe_dump(own)}{stanza}")
    found = promtool("check", "config", tmp_path / "prometheus.yml")
    assert "WARNING" not in found, found
    jobs = {job["job_name"]: job for job in yaml.safe_load(stanza)["scrape_configs"]}
    assert jobs.keys() == {"substrate", "node", "gizzi-api"}
    assert jobs["gizzi-api"]["static_configs"] == [{"targets": [target]}]


def test_targets() -> None:
    validators = [
        {"number": 1, "name": "validator01", "address": "192.0.2.1"},
        {"number": 10, "name": "validator10", "address": "2001:db8::10"},
    ]
    assert yaml.safe_load(render("targets", gizzi_api_validators=validators, port=9615)) == [
        {"targets": ["192.0.2.1:9615"], "labels": {"validator": "1", "instance": "validator01"}},
        {"targets": ["[2001:db8::10]:9615"], "labels": {"validator": "10", "instance": "validator10"}},
    ]


def test_job_of_the_settings_is_the_job_that_is_scraped() -> None:
    stanza = render("scrape", gizzi_api_prometheus_dir="/etc/x", **NAMES)
    assert [job["job_name"] for job in yaml.safe_load(stanza)["scrape_configs"]] == ["nodes", "hosts", "gizzi-api"]


NAMES = {"gizzi_api_validator_label": "id", "gizzi_api_node_job": "nodes", "gizzi_api_node_exporter_job": "hosts"}


def test_other_names_of_jobs_and_label(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(render("rules", **NAMES))
    promtool("check", "rules", "--lint-fatal", tmp_path / "rules.yml")
    (target,) = yaml.safe_load(render("targets", gizzi_api_validators=VALIDATORS[:1], port=9615, **NAMES))
    assert target["labels"] == {"id": "1", "instance": "validator01"}


def test_alerts_name_a_validator_by_its_number_under_any_label(judge: Callable[..., None]) -> None:
    def named(series: str) -> str:
        for before, after in (
            ('job="substrate"', 'job="nodes"'),
            ('job="node"', 'job="hosts"'),
            ('validator="', 'id="'),
        ):
            series = series.replace(before, after)
        return series

    rules = render("rules", **NAMES)
    twice = at(1, "nodes") | {"id": "1"}
    for changes, firing in (
        ({}, []),
        (page_gone(1), [("ValidatorOffline", at(1), f"{called(1)} is offline")]),
        (
            page_gone(1) | {OTHER_UP: always(1), OTHER_HEIGHT: rising(1000)},
            [("ValidatorContradictory", at(1), f"{called(1)} cannot be judged, series for one metric 2")],
        ),
        (
            {up(n): "1x41" + " _ 1" * 9 for n in range(2, 22)},
            [("ValidatorScrapedTwice", twice, f"{called(1)} cannot be judged, two targets have its labels")],
        ),
        (
            {up(2, "node"): turns(1, 0, 48)},
            [("HostMetricsMissing", at(2), "Host validator02 of validator 2 has no metrics")],
        ),
    ):
        judge(changes, firing, rules, named)


@pytest.mark.parametrize(
    ("place", "target", "labels"),
    [
        (0, "192.0.2.7:9615", {"node": "validator-07"}),
        (1, "192.0.2.7:9615", {}),
        (2, "validator-07.example.org:9615", {}),
    ],
)
def test_recipe_for_nodes_with_other_labels(tmp_path: Path, place: int, target: str, labels: dict[str, str]) -> None:
    """Prometheus itself makes the label, by the guide's lines and by the labels that its user has."""
    guide = (PROJECT / "docs/production.md").read_text()
    section = guide.partition("### Nodes with other labels")[2].partition("\n## ")[0]
    documents = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]
    recipes = [one for one in documents if "relabel_configs" in one]
    assert len(recipes) == 3
    job = {"job_name": "nodes", "static_configs": [{"targets": [target], "labels": labels}], **recipes[place]}
    path = tmp_path / "prometheus.yml"
    path.write_text(json.dumps({"scrape_configs": [job]}))
    promtool("check", "config", path)
    (found,) = json.loads(promtool("check", "service-discovery", path, "nodes"))
    assert found["labels"]["validator"] == "7"
