"""The alerts judge by the same values as the Gizzi API and the client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml
from gizzi_api import rules as api_rules
from gizzi_api import settings as api_settings
from half_hour import at, called, height, rising, up, without
from ollama_client import settings as client_settings
from ollama_client.monitoring import rules as client_rules
from rendering import PROJECT, alerts, expression, promtool, render, settings

from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role


def thresholds(**variables: Any) -> dict[str, list[dict[str, float]]]:
    """Return what the API, the alerts and the client judge by, each as its program reads its file."""
    api = api_settings.Thresholds(**tomllib.loads(settings(**variables)["config"])["thresholds"])
    # As the playbooks give it to the client.
    given = {"ollama_client_thresholds": variables.get("gizzi_api_thresholds", {})}
    made, _problems = judge_role("ollama_client", given)
    client = client_settings.Thresholds(**tomllib.loads(made["config"])["thresholds"])
    rules = render("rules", **variables)
    ends = {
        "max_lag": ("ValidatorLagging", r" > (\d+)$"),
        "max_finality_lag": ("ValidatorFinalityStalled", r" > (\d+)$"),
        "min_peers": ("ValidatorIsolated", r" < (\d+)$"),
        "stall_seconds": ("ValidatorStalled", r" offset (\d+)s$"),
    }
    found = {name: re.search(end, expression(rules, alert)) for name, (alert, end) in ends.items()}
    alerting = {name: float(match[1]) for name, match in found.items() if match}
    values: dict[str, list[dict[str, float]]] = {}
    for who in (api.model_dump(), client.model_dump(), alerting):
        for name, value in who.items():
            values.setdefault(name, []).append(value)
    return values


def test_thresholds_have_one_home() -> None:
    """The defaults are those of the specification, in the file of each program and in the alerts."""
    spec = yaml.safe_load((PROJECT / "roles/gizzi_api/meta/argument_specs.yml").read_text())
    options = spec["argument_specs"]["main"]["options"]["gizzi_api_thresholds"]["options"]
    assert thresholds() == {
        "max_lag": [options["max_lag"]["default"]] * 3,
        "max_finality_lag": [options["max_finality_lag"]["default"]] * 3,
        "min_peers": [options["min_peers"]["default"]] * 3,
        # The client's rules do not know time, and the alerts leave stale data to Prometheus.
        "stall_seconds": [options["stall_seconds"]["default"]] * 2,
        "stale_seconds": [options["stale_seconds"]["default"]] * 2,
    }


@pytest.mark.parametrize("program", ["gizzi_api/files/gizzi-api", "ollama_client/files/ollama-client"])
def test_the_readme_of_a_program_shows_the_same_thresholds(program: str) -> None:
    text = (PROJECT / "roles" / program / "README.md").read_text()
    spec = yaml.safe_load((PROJECT / "roles/gizzi_api/meta/argument_specs.yml").read_text())
    options = spec["argument_specs"]["main"]["options"]["gizzi_api_thresholds"]["options"]
    blocks = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    (shown,) = [table for block in blocks if (table := tomllib.loads(block).get("thresholds"))]
    assert shown == {name: options[name]["default"] for name in shown}


@pytest.mark.parametrize("name", ["max_lag", "max_finality_lag", "min_peers", "stall_seconds", "stale_seconds"])
def test_a_changed_threshold_changes_all_that_judge_by_it(name: str) -> None:
    before, after = thresholds(), thresholds(gizzi_api_thresholds={name: 77})
    assert after == before | {name: [77] * len(before[name])}


def test_the_best_block_is_the_same_for_all_that_judge_by_it(tmp_path: Path, rules: str) -> None:
    """The highest that more than a third, and at least two, have reached: by the API, the client and the alerts."""
    tables: list[list[int]] = [
        [],
        [9],
        [9, 7],
        [9, 8, 7],
        [9, 9, 8, 8, 7],
        [9, 9, 8, 8, 7, 7],
        [9] * 7 + [8] * 14,
        [9] * 8 + [8] * 13,
    ]
    tests = []
    for heights in tables:
        best = api_rules.reached(heights)
        assert best == client_rules.reached(heights)
        series = {up(number): "1x2" for number in range(1, 22)}
        series |= {height(number): f"{value}x2" for number, value in enumerate(heights, 1)}
        samples = [] if best is None else [{"labels": "network:best_height", "value": best}]
        tests.append(
            {
                "interval": "30s",
                "input_series": [{"series": key, "values": values} for key, values in series.items()],
                "promql_expr_test": [{"expr": "network:best_height", "eval_time": "1m", "exp_samples": samples}],
            }
        )
    assert [api_rules.reached(heights) for heights in tables] == [None, None, 7, 8, 9, 8, 8, 9]
    (tmp_path / "rules.yml").write_text(rules)
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": tests}))
    promtool("test", "rules", path)


def test_settings_of_the_api_count_here_too(tmp_path: Path) -> None:
    own = {
        "prometheus": {"preset": "etrid"},
        "expressions": {"peers": 'max by (validator) (my_peers{job="$JOB"}) # the p2p ones\n', "finalized": ""},
    }
    rules = render("rules", gizzi_api_settings=own, gizzi_api_node_job='my "nodes"')
    path = tmp_path / "rules.yml"
    path.write_text(rules)
    promtool("check", "rules", "--lint-fatal", path)
    assert "ValidatorFinalityStalled" not in alerts(rules)
    assert 'substrate_block_height{job="my \\"nodes\\""}\n' in rules
    assert 'my_peers{job="my \\"nodes\\""}' in rules
    assert not {"finalized", "syncing"} & set(re.findall(r"[a-z]+", expression(rules, "ValidatorMetricsMissing")))


def test_expressions_of_the_user_may_leave_labels_on(judge: Callable[..., None]) -> None:
    own = {"up": 'up{job="$JOB"}', "best": 'substrate_block_height{job="$JOB",status="best"}'}
    rules = render("rules", gizzi_api_settings={"expressions": own})
    judge({}, [], rules)
    missing = f"{called(2)} cannot be judged, metrics are missing"
    behind = "Finality of validator 1 (validator01) is 51 blocks behind"
    judge(
        {height(1, "finalized"): rising(949), **without(height(2))},
        [("ValidatorFinalityStalled", at(1), behind), ("ValidatorMetricsMissing", at(2), missing)],
        rules,
    )
