"""The alerts of role gizzi_api: promtool reads them, and each fires when it should, and not before."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from half_hour import (
    API,
    CERTIFICATE,
    GATEWAY,
    LISTENER,
    LOG_READ,
    MTIME,
    OTHER_HEIGHT,
    OTHER_UP,
    STEPS,
    UPDATE,
    UPDATED,
    Alert,
    Series,
    always,
    asked,
    at,
    called,
    height,
    model,
    ollama,
    page_gone,
    peers,
    rising,
    syncing,
    turns,
    up,
    without,
)
from rendering import PROJECT, alerts, promtool

# Each just beyond the limit, and just long enough when it is looked at.
FIRING: list[tuple[Series, list[Alert]]] = [
    (page_gone(1), [("ValidatorOffline", at(1), f"{called(1)} is offline")]),
    (
        {key: values for number in (*range(10, 20), 21) for key, values in page_gone(number).items()},
        [("ValidatorOffline", at(number), f"{called(number)} is offline") for number in (*range(10, 20), 21)],
    ),
    *(
        (
            {missing: f"1x47 stale _x{STEPS - 48}"},
            [("ValidatorMetricsMissing", at(1), f"{called(1)} cannot be judged, metrics are missing")],
        )
        for missing in (up(1), height(1), height(1, "finalized"), peers(1), syncing(1))
    ),
    (
        {height(1): f"1000+5x53 1259+5x{STEPS - 54}"},
        [("ValidatorLagging", at(1), f"{called(1)} is 11 blocks behind the best")],
    ),
    (
        # It stands still long enough to be noticed, and not so long that it lags.
        {
            height(1): f"1000+5x52 1260x{STEPS - 53}",
            **{height(number): f"1000+5x52 1261+1x{STEPS - 53}" for number in range(2, 22)},
        },
        [("ValidatorStalled", at(1), f"{called(1)} stands still at block 1260")],
    ),
    # A height that falls is no new block.
    (
        {
            height(1): f"1000+5x52 1255x{STEPS - 53}",
            **{height(number): f"1000+5x52 1261+1x{STEPS - 53}" for number in range(2, 22)},
        },
        [("ValidatorStalled", at(1), f"{called(1)} stands still at block 1255")],
    ),
    # For so long that its metrics would be missed, if nobody had told that it is offline.
    (
        {up(1): turns(1, 0, 30)} | {key: f"1000+5x29 stale _x{STEPS - 30}" for key in page_gone(1) if key != up(1)},
        [("ValidatorOffline", at(1), f"{called(1)} is offline")],
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
        [
            ("ValidatorStalled", at(number), f"{called(number)} stands still at block 1000150")
            for number in range(1, 22)
        ],
    ),
    # No third of them makes the others lag, whatever it says.
    (
        {height(1): rising(11_000_000)},
        [
            ("ValidatorAhead", at(1), f"{called(1)} is 10999000 blocks above the others"),
            ("ValidatorFinalityStalled", at(1), "Finality of validator 1 (validator01) is 10999003 blocks behind"),
        ],
    ),
    (
        {height(n): f"1000+5x53 1281+5x{STEPS - 54}" for n in range(1, 8)},
        [("ValidatorAhead", at(n), f"{called(n)} is 11 blocks above the others") for n in range(1, 8)],
    ),
    (
        {height(n): f"1000+5x53 1281+5x{STEPS - 54}" for n in range(1, 9)},
        [("ValidatorLagging", at(n), f"{called(n)} is 11 blocks behind the best") for n in range(9, 22)],
    ),
    # A dead node and another on its host with the same label.
    (
        page_gone(1) | {OTHER_UP: always(1), OTHER_HEIGHT: rising(1000)},
        [("ValidatorContradictory", at(1), f"{called(1)} cannot be judged, series for one metric 2")],
    ),
    # Two chains on one page, one of them far ahead.
    (
        {OTHER_HEIGHT: f"_x48 5000000+5x{STEPS - 48}"},
        [("ValidatorContradictory", at(1), f"{called(1)} cannot be judged, series for one metric 2")],
    ),
    # Two targets with the same labels: of one validator there are twice as many samples as of the others.
    (
        {up(n): "1x41" + " _ 1" * 9 for n in range(2, 22)},
        [
            (
                "ValidatorScrapedTwice",
                at(1, "substrate"),
                f"{called(1)} cannot be judged, two targets have its labels",
            )
        ],
    ),
    ({peers(1): turns(3, 2, 48)}, [("ValidatorIsolated", at(1), f"{called(1)} is isolated, peers 2")]),
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
