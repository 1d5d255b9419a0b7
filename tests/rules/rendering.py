"""The files that role gizzi_api makes for Prometheus, and the tool that reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role

PROJECT = Path(__file__).parents[2]
RENDER = Path(__file__).with_name("render.py")
VALIDATORS = [
    {"number": number, "name": f"validator{number:02d}", "address": f"192.0.2.{number}"} for number in range(1, 22)
]


def render(template: str, **variables: Any) -> str:
    """Return one of the files for Prometheus as the role makes it of its variables."""
    port = variables.pop("port", None)
    return rendered("gizzi_api", f"prometheus/{template}.yml.j2", __gizzi_api=settings(**variables), port=port)


def settings(**variables: Any) -> dict[str, Any]:
    """Return what the role makes of its variables."""
    given = {"gizzi_api_validators": VALIDATORS} | variables
    values, problems = judge_role("gizzi_api", given)
    assert problems == []
    return values


def rendered(role: str, template: str, **variables: Any) -> str:
    """Return a template of a role as Ansible renders it."""
    result = subprocess.run(
        [sys.executable, RENDER, role, template],
        input=json.dumps(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def promtool(*arguments: str | Path) -> str:
    """Run promtool; that it is missing, or finds a problem, fails."""
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def alerts(rules: str) -> dict[str, dict[str, Any]]:
    """Return the alerts by their names."""
    found = [rule for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in found if "alert" in rule}


def expression(rules: str, alert: str) -> str:
    return str(alerts(rules)[alert]["expr"])
