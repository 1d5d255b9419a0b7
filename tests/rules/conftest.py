from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from half_hour import LOOK, Alert, sound
from rendering import alerts, promtool, render


@pytest.fixture(scope="session")
def rules() -> str:
    return render("rules")


@pytest.fixture
def judge(tmp_path: Path, rules: str) -> Callable[..., None]:
    """Return a function that checks that of all alerts exactly these fire after half an hour."""

    def run(
        changes: Mapping[str, str],
        firing: Iterable[Alert],
        rules: str = rules,
        named: Callable[[str], str] = lambda series: series,
    ) -> None:
        listed = alerts(rules)
        expected: dict[str, list[dict[str, Any]]] = {alert: [] for alert in listed}
        for alert, labels, summary in firing:
            rule = listed[alert]
            texts = rule["annotations"] | {"summary": summary}
            expected[alert].append({"exp_labels": rule["labels"] | labels, "exp_annotations": texts})
        series = {key: values for key, values in (sound() | dict(changes)).items() if values}
        test = {
            "interval": "30s",
            "input_series": [{"series": named(key), "values": values} for key, values in series.items()],
            "alert_rule_test": [
                {"alertname": alert, "eval_time": LOOK, "exp_alerts": fires} for alert, fires in expected.items()
            ],
        }
        (tmp_path / "rules.yml").write_text(rules)
        path = tmp_path / "test.yml"
        # JSON is YAML.
        path.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": [test]}))
        promtool("test", "rules", path)

    return run
