"""The files that role gizzi_api makes for Prometheus: promtool reads them, and each alert fires when it should."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml
from gizzi_api import rules as api_rules
from gizzi_api import settings as api_settings
from ollama_client import settings as client_settings
from ollama_client.monitoring import rules as client_rules

from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge as judge_role

PROJECT = Path(__file__).parents[2]
RENDER = Path(__file__).with_name("render.py")
VALIDATORS = [
    {"number": number, "name": f"validator{number:02d}", "address": f"192.0.2.{number}"} for number in range(1, 22)
]
# Prometheus scrapes and evaluates every 30 s in these tests, for half an hour; a sound node has 5 new blocks by then.
STEPS = 60
LOOK = "29m"  # step 58

Series = dict[str, str]
# An alert's name, the labels that tell which one it is, and its summary.
Alert = tuple[str, dict[str, str], str]


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


@pytest.fixture(scope="session")
def rules() -> str:
    return render("rules")


def alerts(rules: str) -> dict[str, dict[str, Any]]:
    """Return the alerts by their names."""
    found = [rule for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in found if "alert" in rule}


# --- half an hour of a fleet ------------------------------------------------------------


def of(job: str, number: int) -> str:
    return f'job="{job}",validator="{number}",instance="validator{number:02d}"'


def up(number: int, job: str = "substrate") -> str:
    return f"up{{{of(job, number)}}}"


def height(number: int, status: str = "best") -> str:
    return f'substrate_block_height{{{of("substrate", number)},chain="flare",status="{status}"}}'


def peers(number: int) -> str:
    return f'substrate_sub_libp2p_peers_count{{{of("substrate", number)},chain="flare"}}'


def syncing(number: int) -> str:
    return f'substrate_sub_libp2p_is_major_syncing{{{of("substrate", number)},chain="flare"}}'


def ollama(name: str, number: int = 1, labels: str = "") -> str:
    return f"{name}{{{of('node', number)}{labels}}}"


def model(name: str) -> str:
    return ollama(name, labels=',model="llama3.1:8b"')


OTHER_UP = 'up{job="substrate",validator="1",instance="192.0.2.1:9616"}'
OTHER_HEIGHT = f'substrate_block_height{{{of("substrate", 1)},chain="relay",status="best"}}'
UPDATE = ollama("gizzi_model_update_unit_success")
UPDATED = ollama("gizzi_model_update_last_success_timestamp_seconds")
MTIME = ollama("node_textfile_mtime_seconds", labels=',file="/var/lib/prometheus/node-exporter/ollama.prom"')
API = 'up{job="gizzi-api",instance="127.0.0.1:8080"}'
LISTENER = {"listener": "ollama", "address": "127.0.0.1:11443"}
GATEWAY = ollama("gizzi_gateway_up", labels=',listener="ollama",address="127.0.0.1:11443"')
LOG_READ = ollama("gizzi_gateway_log_read_timestamp_seconds")
CERTIFICATE = ollama("gizzi_gateway_certificate_expiry_timestamp_seconds", labels=',certificate="ollama"')


def asked(status: str, client: str = "validator02") -> str:
    """Return the count of a client's requests with this status."""
    return ollama("gizzi_gateway_requests_total", labels=f',listener="ollama",client="{client}",status="{status}"')


def always(value: float) -> str:
    return f"{value}x{STEPS}"


def turns(before: float, after: float, step: int) -> str:
    """Return a value that is another one from that step on."""
    return f"{before}x{step - 1} {after}x{STEPS - step}"


def rising(start: int, step: int = 5) -> str:
    return f"{start}+{step}x{STEPS}"


def sound() -> Series:
    """Return everything as it should be: 21 validators, an Ollama on the first one, and the API."""
    series = {API: always(1)}
    for validator in VALIDATORS:
        number = int(str(validator["number"]))
        series |= {
            up(number): always(1),
            height(number): rising(1000),
            height(number, "finalized"): rising(997),
            height(number, "sync_target"): rising(1000),
            peers(number): always(3),
            syncing(number): always(0),
            up(number, "node"): always(1),
            ollama("node_textfile_scrape_error", number): always(0),
        }
    return series | {
        MTIME: rising(0, 30),
        UPDATE: always(1),
        UPDATED: always(0),
        ollama("ollama_up"): always(1),
        model("ollama_model_present"): always(1),
        model("ollama_model_loaded"): always(1),
        ollama("ollama_oom_kills_total"): always(3),
        model("ollama_probe_success"): always(1),
        model("ollama_probe_tokens_per_second"): always(1),
        ollama("ollama_store_free_bytes"): always(10_000_000_000),
        ollama("ollama_store_size_bytes"): always(100_000_000_000),
        GATEWAY: always(1),
        LOG_READ: rising(0, 30),
        CERTIFICATE: always(29 * 60 + 14 * 86400),
        asked("2xx"): rising(100, 4),
        # A fifth is told to wait; one was refused once.
        asked("429"): rising(100, 1),
        asked("401", "validator03"): always(1),
    }


def page_gone(number: int) -> Series:
    """Return what is left of a validator that cannot be scraped any more."""
    ends = f"1000+5x53 stale _x{STEPS - 54}"
    names = (height(number), height(number, "finalized"), height(number, "sync_target"), peers(number), syncing(number))
    return {up(number): turns(1, 0, 54)} | dict.fromkeys(names, ends)


def without(*series: str) -> Series:
    return dict.fromkeys(series, "")


def at(number: int, job: str = "") -> dict[str, str]:
    labels = {"validator": str(number), "instance": f"validator{number:02d}"}
    return labels | ({"job": job} if job else {})


def name(number: int) -> str:
    return f"Validator {number} (validator{number:02d})"


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


# Each just beyond the limit, and just long enough when it is looked at.
FIRING: list[tuple[Series, list[Alert]]] = [
    (page_gone(1), [("ValidatorOffline", at(1), f"{name(1)} is offline")]),
    (
        {key: values for number in (*range(10, 20), 21) for key, values in page_gone(number).items()},
        [("ValidatorOffline", at(number), f"{name(number)} is offline") for number in (*range(10, 20), 21)],
    ),
    *(
        (
            {missing: f"1x47 stale _x{STEPS - 48}"},
            [("ValidatorMetricsMissing", at(1), f"{name(1)} cannot be judged, metrics are missing")],
        )
        for missing in (up(1), height(1), height(1, "finalized"), peers(1), syncing(1))
    ),
    (
        {height(1): f"1000+5x53 1259+5x{STEPS - 54}"},
        [("ValidatorLagging", at(1), f"{name(1)} is 11 blocks behind the best")],
    ),
    (
        # It stands still long enough to be noticed, and not so long that it lags.
        {
            height(1): f"1000+5x52 1260x{STEPS - 53}",
            **{height(number): f"1000+5x52 1261+1x{STEPS - 53}" for number in range(2, 22)},
        },
        [("ValidatorStalled", at(1), f"{name(1)} stands still at block 1260")],
    ),
    # A height that falls is no new block.
    (
        {
            height(1): f"1000+5x52 1255x{STEPS - 53}",
            **{height(number): f"1000+5x52 1261+1x{STEPS - 53}" for number in range(2, 22)},
        },
        [("ValidatorStalled", at(1), f"{name(1)} stands still at block 1255")],
    ),
    # For so long that its metrics would be missed, if nobody had told that it is offline.
    (
        {up(1): turns(1, 0, 30)} | {key: f"1000+5x29 stale _x{STEPS - 30}" for key in page_gone(1) if key != up(1)},
        [("ValidatorOffline", at(1), f"{name(1)} is offline")],
    ),
    (
        {
            key: values
            for number in range(1, 22)
            for key, values in {
                height(number): f"1000000+5x30 1000150x{STEPS - 31}",
                height(number, "finalized"): f"1000000+5x30 1000150x{STEPS - 31}",
            }.items()
        },
        [("ValidatorStalled", at(number), f"{name(number)} stands still at block 1000150") for number in range(1, 22)],
    ),
    # No third of them makes the others lag, whatever it says.
    (
        {height(1): rising(11_000_000)},
        [
            ("ValidatorAhead", at(1), f"{name(1)} is 10999000 blocks above the others"),
            ("ValidatorFinalityStalled", at(1), "Finality of validator 1 (validator01) is 10999003 blocks behind"),
        ],
    ),
    (
        {height(n): f"1000+5x53 1281+5x{STEPS - 54}" for n in range(1, 8)},
        [("ValidatorAhead", at(n), f"{name(n)} is 11 blocks above the others") for n in range(1, 8)],
    ),
    (
        {height(n): f"1000+5x53 1281+5x{STEPS - 54}" for n in range(1, 9)},
        [("ValidatorLagging", at(n), f"{name(n)} is 11 blocks behind the best") for n in range(9, 22)],
    ),
    # A dead node and another on its host with the same label.
    (
        page_gone(1) | {OTHER_UP: always(1), OTHER_HEIGHT: rising(1000)},
        [("ValidatorContradictory", at(1), f"{name(1)} cannot be judged, series for one metric 2")],
    ),
    # Two chains on one page, one of them far ahead.
    (
        {OTHER_HEIGHT: f"_x48 5000000+5x{STEPS - 48}"},
        [("ValidatorContradictory", at(1), f"{name(1)} cannot be judged, series for one metric 2")],
    ),
    # Two targets with the same labels: of one validator there are twice as many samples as of the others.
    (
        {up(n): "1x41" + " _ 1" * 9 for n in range(2, 22)},
        [
            (
                "ValidatorScrapedTwice",
                at(1, "substrate"),
                f"{name(1)} cannot be judged, two targets have its labels",
            )
        ],
    ),
    ({peers(1): turns(3, 2, 48)}, [("ValidatorIsolated", at(1), f"{name(1)} is isolated, peers 2")]),
    (
        {height(1, "finalized"): f"997+5x53 1219+5x{STEPS - 54}"},
        [("ValidatorFinalityStalled", at(1), "Finality of validator 1 (validator01) is 51 blocks behind")],
    ),
    *(
        (changes, [("HostMetricsMissing", at(2), "Host validator02 of validator 2 has no metrics")])
        for changes in (
            {up(2, "node"): turns(1, 0, 48)},
            without(up(2, "node")),
            {ollama("node_textfile_scrape_error", 2): turns(0, 1, 48)},
        )
    ),
    (
        {ollama("ollama_up"): turns(1, 0, 48)},
        [("OllamaDown", at(1, "node"), "Ollama on validator01 does not answer")],
    ),
    (
        {MTIME: f"0+30x37 1110x{STEPS - 38}"},
        [
            (
                "OllamaMetricsStale",
                at(1, "node") | {"file": "/var/lib/prometheus/node-exporter/ollama.prom"},
                "The metrics of Ollama on validator01 are 10m 30s old",
            )
        ],
    ),
    (
        {model("ollama_model_present"): turns(1, 0, 28)},
        [
            (
                "OllamaModelMissing",
                at(1, "node") | {"model": "llama3.1:8b"},
                "Ollama on validator01 does not have the model llama3.1:8b",
            )
        ],
    ),
    *(
        (
            {ollama("ollama_oom_kills_total"): changes},
            [
                (
                    "OllamaOutOfMemory",
                    at(1, "node"),
                    f"Ollama on validator01 has used more memory than it may, processes killed {kills}",
                )
            ],
        )
        # One, just now and a quarter of an hour ago; two after a new start of the unit, which counts from 0.
        for changes, kills in ((turns(3, 4, 58), 1), (turns(3, 4, 30), 1), (f"3x48 0x4 2x{STEPS - 54}", 2))
    ),
    *(
        (
            changes,
            [
                (
                    "OllamaModelSlow",
                    at(1, "node") | {"model": "llama3.1:8b"},
                    f"Model llama3.1:8b on validator01 is slow, tokens per second {speed}",
                )
            ],
        )
        for changes, speed in (
            ({model("ollama_probe_tokens_per_second"): turns(1, 0.987, 18)}, "0.99"),
            (
                {
                    model("ollama_probe_success"): turns(1, 0, 18),
                    **without(model("ollama_probe_tokens_per_second")),
                },
                "0",
            ),
        )
    ),
    (
        {ollama("ollama_store_free_bytes"): turns(10_000_000_000, 9_900_000_000, 28)},
        [
            (
                "OllamaStoreFilling",
                at(1, "node"),
                "The disk of Ollama's models on validator01 has 9.9% left",
            )
        ],
    ),
    (
        {GATEWAY: turns(1, 0, 48)},
        [
            (
                "GatewayDown",
                at(1, "node") | LISTENER,
                "The gateway's listener ollama on validator01 does not answer at 127.0.0.1:11443",
            )
        ],
    ),
    (
        {LOG_READ: f"0+30x37 1110x{STEPS - 38}"},
        [("GatewayMetricsStale", at(1, "node"), "The metrics of the gateway on validator01 are 10m 30s old")],
    ),
    (
        # The tests begin at the epoch.
        {CERTIFICATE: always(13 * 60 + 14 * 86400)},
        [
            (
                "GatewayCertificateExpiring",
                at(1, "node") | {"certificate": "ollama"},
                "The certificate of ollama at the gateway on validator01 has 13d 23h 44m 0s left",
            )
        ],
    ),
    *(
        (
            # Once every five minutes.
            {asked("401", client): " ".join(f"{n}x9" for n in range(1, 7))},
            [
                (
                    "GatewayRefusesClient",
                    at(1, "node") | {"listener": "ollama", "client": client, "status": "401"},
                    f"The gateway on validator01 refuses {client} again and again, requests in 15 min 3",
                )
            ],
        )
        for client in ("validator02", "unknown")
    ),
    (
        {asked("429"): rising(100, 1), asked("2xx"): rising(100, 3)},
        [
            (
                "GatewayFull",
                at(1, "node") | {"listener": "ollama"},
                "The gateway on validator01 tells 25% of the requests for ollama to wait",
            )
        ],
    ),
    (
        {UPDATE: turns(1, 0, 56)},
        [("ModelUpdateFailed", at(1, "node"), "The update of the models from validator01 has failed")],
    ),
    (
        # The tests begin at the epoch.
        {UPDATED: always(29 * 60 - 40 * 86400 - 16 * 60)},
        [
            (
                "ModelUpdateOverdue",
                at(1, "node"),
                "The models were last found current from validator01 40d 0h 16m 0s ago",
            )
        ],
    ),
    (
        {API: turns(1, 0, 54)},
        [("GizziApiDown", {"job": "gizzi-api", "instance": "127.0.0.1:8080"}, "The Gizzi API is down")],
    ),
    (without(API), [("GizziApiDown", {"job": "gizzi-api"}, "The Gizzi API is down")]),
]

# What comes close to an alert when it is looked at, and is none: just within the limit, or not for long enough.
SILENT: list[tuple[str, Series]] = [
    ("ValidatorOffline", {up(1): turns(1, 0, 55)}),
    ("ValidatorMetricsMissing", {height(1): f"1000+5x48 stale _x{STEPS - 49}"}),
    ("ValidatorLagging", {height(1): rising(990), height(1, "finalized"): rising(987)}),
    ("ValidatorLagging", {height(1): f"1000+5x54 1264+5x{STEPS - 55}"}),
    ("ValidatorContradictory", {OTHER_HEIGHT: f"_x49 1245+5x{STEPS - 49}"}),
    ("ValidatorScrapedTwice", {up(n): "1x42" + " _ 1" * 8 + " _" for n in range(2, 22)}),
    # A third more of them, as where targets are scraped at different paces.
    ("ValidatorScrapedTwice", {up(n): "1x2" + " _ 1x2" * 14 + " 1" for n in range(2, 22)}),
    ("ValidatorAhead", {height(1): rising(1010), height(1, "finalized"): rising(1007)}),
    ("ValidatorAhead", {height(1): f"1000+5x54 1286+5x{STEPS - 55}"}),
    ("ValidatorStalled", {height(1): f"1000+5x53 1265x{STEPS - 54}"}),
    ("ValidatorIsolated", {peers(1): turns(3, 0, 49)}),
    ("ValidatorFinalityStalled", {height(1, "finalized"): rising(950)}),
    ("ValidatorFinalityStalled", {height(1, "finalized"): f"997+5x54 1224+5x{STEPS - 55}"}),
    ("HostMetricsMissing", {up(1, "node"): turns(1, 0, 49)}),
    ("OllamaDown", {ollama("ollama_up"): turns(1, 0, 49)}),
    ("OllamaMetricsStale", {MTIME: f"0+30x38 1140x{STEPS - 39}"}),
    # The files of others.
    ("OllamaMetricsStale", {MTIME.replace("ollama.prom", name): always(0) for name in ("apt.prom", "ollama-2.prom")}),
    ("OllamaModelMissing", {model("ollama_model_present"): turns(1, 0, 29)}),
    # While the server does not answer, nothing is said of its models.
    ("OllamaModelMissing", without(model("ollama_model_present"), model("ollama_model_loaded"))),
    ("OllamaOutOfMemory", {ollama("ollama_oom_kills_total"): turns(3, 4, 27)}),
    ("OllamaOutOfMemory", {ollama("ollama_oom_kills_total"): turns(3, 0, 50)}),
    ("OllamaOutOfMemory", without(ollama("ollama_oom_kills_total"))),
    # One failed probe counts until the next, a quarter of an hour later.
    ("OllamaModelSlow", {model("ollama_probe_success"): turns(1, 0, 19)}),
    ("OllamaModelSlow", without(model("ollama_probe_success"), model("ollama_probe_tokens_per_second"))),
    ("OllamaStoreFilling", {ollama("ollama_store_free_bytes"): always(10_000_000_000)}),
    ("OllamaStoreFilling", {ollama("ollama_store_free_bytes"): turns(10_000_000_000, 0, 29)}),
    ("GatewayDown", {GATEWAY: turns(1, 0, 49)}),
    ("GatewayDown", without(GATEWAY)),
    ("GatewayMetricsStale", {LOG_READ: f"0+30x38 1140x{STEPS - 39}"}),
    ("GatewayCertificateExpiring", {CERTIFICATE: always(15 * 60 + 14 * 86400)}),
    # Twice; and three times, but the last of them only just now.
    ("GatewayRefusesClient", {asked("401"): f"1x29 2x1 3x{STEPS - 32}"}),
    ("GatewayRefusesClient", {asked("401"): f"1x44 5x{STEPS - 45}"}),
    # Many, and few of all; half of all, and few.
    ("GatewayFull", {asked("429"): rising(100, 100), asked("2xx"): rising(100, 400)}),
    ("GatewayFull", {asked("2xx"): always(100), asked("429"): f"1x29 10x9 20x{STEPS - 40}"}),
    # A quarter of all, but not for ten minutes.
    ("GatewayFull", {asked("429"): rising(100, 1), asked("2xx"): f"100+4x45 283+3x{STEPS - 46}"}),
    ("ModelUpdateFailed", {UPDATE: turns(1, 0, 57)}),
    ("ModelUpdateFailed", without(UPDATE, UPDATED)),
    ("ModelUpdateOverdue", {UPDATED: always(29 * 60 - 40 * 86400 - 14 * 60)}),
    ("GizziApiDown", {API: turns(1, 0, 55)}),
]


def test_rules_are_sound(tmp_path: Path, rules: str) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(rules)
    promtool("check", "rules", "--lint-fatal", path)


def test_each_alert_is_tested_firing_and_silent(rules: str) -> None:
    assert {alert for _changes, firing in FIRING for alert, _labels, _summary in firing} == alerts(rules).keys()
    assert {alert for alert, _changes in SILENT} == alerts(rules).keys()


def test_each_alert_says_how_bad_it_is_and_where_to_look(rules: str) -> None:
    severities = {name: alert["labels"]["severity"] for name, alert in alerts(rules).items()}
    critical = {
        "ValidatorOffline",
        "ValidatorContradictory",
        "ValidatorScrapedTwice",
        "ValidatorStalled",
        "ValidatorIsolated",
        "ValidatorFinalityStalled",
    }
    critical |= {"OllamaDown", "GatewayDown", "GatewayCertificateExpiring", "GizziApiDown"}
    assert {name for name, severity in severities.items() if severity == "critical"} == critical
    assert set(severities.values()) == {"warning", "critical"}
    for alert in alerts(rules).values():
        assert re.search(r"\b[Ll]ook\b|\bRun\b", alert["annotations"]["description"]), alert["alert"]


def test_each_alert_leads_to_its_entry_in_the_runbook(rules: str) -> None:
    found = re.findall(r"^## (.*)$", (PROJECT / "docs/runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(found) == sorted(alerts(rules))
    galaxy = yaml.safe_load((PROJECT / "galaxy.yml").read_text(encoding="utf-8"))
    for name, alert in alerts(rules).items():
        url = f"{galaxy['repository']}/blob/main/docs/runbook.md#{name.lower()}"
        assert alert["annotations"]["runbook_url"] == url


def test_sound_fleet(judge: Callable[..., None]) -> None:
    judge({}, [])


@pytest.mark.parametrize(("changes", "firing"), FIRING, ids=[firing[0][0] for _changes, firing in FIRING])
def test_fires(judge: Callable[..., None], changes: Series, firing: list[Alert]) -> None:
    judge(changes, firing)


@pytest.mark.parametrize(("alert", "changes"), SILENT)
def test_stays_silent(judge: Callable[..., None], alert: str, changes: Series) -> None:
    judge(changes, [])


# --- the same values as the API ---------------------------------------------------------


def expression(rules: str, alert: str) -> str:
    return str(alerts(rules)[alert]["expr"])


def thresholds(**variables: Any) -> dict[str, list[dict[str, float]]]:
    """Return what the API, the alerts and the client judge by, each as its program reads its file."""
    api = api_settings.Thresholds(**tomllib.loads(settings(**variables)["config"])["thresholds"])
    # As the playbooks give it to the client.
    given = {"ollama_client_thresholds": variables.get("gizzi_api_thresholds", {})}
    values, _problems = judge_role("ollama_client", given)
    client = client_settings.Thresholds(**tomllib.loads(values["config"])["thresholds"])
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
    missing = f"{name(2)} cannot be judged, metrics are missing"
    behind = "Finality of validator 1 (validator01) is 51 blocks behind"
    judge(
        {height(1, "finalized"): rising(949), **without(height(2))},
        [("ValidatorFinalityStalled", at(1), behind), ("ValidatorMetricsMissing", at(2), missing)],
        rules,
    )


# --- the scrape configuration -----------------------------------------------------------


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
        (page_gone(1), [("ValidatorOffline", at(1), f"{name(1)} is offline")]),
        (
            page_gone(1) | {OTHER_UP: always(1), OTHER_HEIGHT: rising(1000)},
            [("ValidatorContradictory", at(1), f"{name(1)} cannot be judged, series for one metric 2")],
        ),
        (
            {up(n): "1x41" + " _ 1" * 9 for n in range(2, 22)},
            [("ValidatorScrapedTwice", twice, f"{name(1)} cannot be judged, two targets have its labels")],
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
