"""Against a real Prometheus with another label: what the API shows, and what the role finds missing beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from gizzi_api.settings import Settings
from served import served

from ansible_collections.etrid.gizzi.plugins.module_utils._settings._prometheus import addresses, missing
from ansible_collections.etrid.gizzi.plugins.module_utils._state import _asked
from ansible_collections.etrid.gizzi.tests.unit.plugins.judging import judge
from lab.validator.fleet import Fleet

pytestmark = pytest.mark.live
NUMBERS = (1, 2, 3)
VALIDATORS = [{"number": number, "name": f"validator{number:02d}", "address": "127.0.0.1"} for number in NUMBERS]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), len(NUMBERS), interval=1.0, label="node_id") as fleet:
        fleet.scrapes(3)
        yield fleet


def lacks(fleet: Fleet, **given: Any) -> list[str]:
    """Return what the role finds missing in this Prometheus."""
    named = {"prometheus_url": fleet.url, "validator_label": "node_id", "validators": VALIDATORS} | given
    values, problems = judge("gizzi_api", {f"gizzi_api_{name}": value for name, value in named.items()})
    assert problems == []
    return missing(values, _asked.urls(addresses(values), {}, ""))


def test_api_knows_the_validators_by_that_label(fleet: Fleet, settings: Callable[..., Settings]) -> None:
    own = settings(
        cache_seconds=0.1,
        prometheus={"url": fleet.url, "label": "node_id"},
        # Asked together with others, which a comment must not hide.
        expressions={"finalized": 'substrate_block_height{job="$JOB",status="finalized"} # of each'},
        thresholds={"max_lag": 5, "stall_seconds": 3, "stale_seconds": 4},
        validators=[{"number": one["number"], "name": one["name"]} for one in VALIDATORS],
    )
    with served(own) as url, httpx.Client(base_url=url, timeout=10) as client:

        def status() -> dict[int, str]:
            return {one["number"]: one["status"] for one in client.get("/api/network/status").json()["validators"]}

        fleet.wait(lambda: status() == dict.fromkeys(NUMBERS, "healthy"), "all are healthy")
        one = client.get("/api/validator/2").json()
    # The label is the same in all of them, and is not shown.
    assert one["metrics"]["substrate_sub_libp2p_peers_count"] == one["peers"]


def test_nothing_is_missing_and_a_stopped_node_is_no_reason(fleet: Fleet) -> None:
    assert lacks(fleet) == []
    fleet.fault(2, stop=True)
    try:
        fleet.wait(lambda: not {one["metric"]["node_id"] for one in fleet.query("up == 0")} ^ {"2"}, "it is down")
        assert lacks(fleet) == []
    finally:
        fleet.fault(2)
        fleet.wait(lambda: len(fleet.query("substrate_sub_libp2p_peers_count")) == len(NUMBERS), "all are up")


def test_a_missing_metric_is_named(fleet: Fleet) -> None:
    fleet.fault(3, drop=["substrate_sub_libp2p_peers_count"])
    try:
        fleet.wait(lambda: len(fleet.query("substrate_sub_libp2p_peers_count")) == len(NUMBERS) - 1, "it is gone")
        (said,) = lacks(fleet)
        assert 'finds no substrate_sub_libp2p_peers_count{job="substrate"} of validator03.' in said
    finally:
        fleet.fault(3)
        fleet.wait(lambda: len(fleet.query("substrate_sub_libp2p_peers_count")) == len(NUMBERS), "all are there")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"validator_label": "validator"}, "Targets of this job have no such label."),
        ({"validator_label": "chain"}, "Targets of this job have no such label."),
        ({"node_job": "nodes"}, "Nothing is scraped under this job."),
        ({"settings": {"expressions": {"peers": "max by ("}}}, "parse error"),
        ({"prometheus_url": "http://127.0.0.1:9"}, "connection refused"),
        ({"prometheus_dir": "/etc/prometheus/gizzi", "node_job": "nodes"}, "Add these lines to scrape_configs"),
        ({"validators": [*VALIDATORS, {"number": 4, "name": "new", "address": "127.0.0.1"}]}, 'for new (node_id="4").'),
    ],
)
def test_what_is_missing_is_said(fleet: Fleet, given: dict[str, Any], said: str) -> None:
    (text,) = lacks(fleet, **given)
    assert said in text
