"""What happens to the network shows as the right status, in time, and goes when it is over.

Each test breaks something and mends it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import tomllib
import yaml
from testinfra.host import Host

from lab.network import (
    ask,
    fault,
    heal,
    own_metric,
    prometheus,
    prometheus_hanging,
    prometheus_stopped,
    query,
    statuses,
    url,
    wait_for,
)
from lab.testing import Lab, wait_until

RULES = "/etc/prometheus/gizzi/rules.yml"
# Seconds between two scrapes of the lab's Prometheus, and for a question to go over SSH, at the least.
SCRAPE = 1
ASKING = 1
# Seconds until a Prometheus that was started or woken has scraped everything again.
AGAIN = 30


@dataclass(frozen=True)
class Limits:
    """What the API was told on this host, and how long a question takes on this machine now, in seconds."""

    cache: float
    stall: float
    stale: float
    asking: float

    @property
    def shown(self) -> float:
        """When a fault must show: two scrapes and the API's cache."""
        return 2 * SCRAPE + self.cache + self.asking


@pytest.fixture
def limits(gizzi: Host) -> Limits:
    began = time.monotonic()
    statuses(gizzi)
    asking = max(ASKING, 3 * (time.monotonic() - began))
    settings = tomllib.loads(gizzi.file("/etc/gizzi/api.toml").content_string)
    thresholds = settings["thresholds"]
    return Limits(settings["cache_seconds"], thresholds["stall_seconds"], thresholds["stale_seconds"], asking)


@pytest.fixture(autouse=True)
def sound(gizzi: Host) -> None:
    """Begin with a network in which all is well."""
    wait_for(gizzi, {}, AGAIN)


@contextmanager
def ill(validators: list[Host], **wanted: Any) -> Iterator[None]:
    for validator in validators:
        fault(validator, **wanted)
    try:
        yield
    finally:
        for validator in validators:
            heal(validator)


@pytest.mark.parametrize(
    ("number", "wanted", "status"),
    [
        (1, {"stop": True}, "offline"),
        (10, {"lag": 40}, "lagging"),
        (21, {"peers": 0}, "isolated"),
        (2, {"syncing": True}, "syncing"),
        (21, {"drop": ["substrate_sub_libp2p_is_major_syncing"]}, "unknown"),
        (1, {"rename": {"substrate_block_height": "substrate_height"}}, "unknown"),
    ],
    ids=["silent", "behind", "no peers", "major sync", "metric gone", "metric renamed"],
)
def test_a_fault_shows_within_two_scrapes_and_goes(
    fleet: dict[str, Host], gizzi: Host, limits: Limits, number: int, wanted: dict[str, Any], status: str
) -> None:
    with ill([fleet[f"validator{number:02d}"]], **wanted):
        wait_for(gizzi, {number: status}, limits.shown)
    wait_for(gizzi, {}, limits.shown)


def test_a_height_that_stands_still_is_lagging(fleet: dict[str, Host], gizzi: Host, limits: Limits) -> None:
    with ill([fleet["validator10"]], stall=True):
        wait_for(gizzi, {10: "lagging"}, limits.stall + limits.shown)
        assert f"no new block for {limits.stall} s" in ask(gizzi, "/api/validator/10")[1]["reason"]
    wait_for(gizzi, {}, limits.shown)


def test_a_stopped_node_is_offline(fleet: dict[str, Host], gizzi: Host, limits: Limits) -> None:
    fleet["validator02"].check_output("systemctl stop flare-node.service")
    try:
        wait_for(gizzi, {2: "offline"}, limits.shown)
        validator = ask(gizzi, "/api/validator/2")[1]
        assert (validator["block_height"], validator["peers"], validator["lag"]) == (None, None, None)
    finally:
        fleet["validator02"].check_output("systemctl start flare-node.service")
    wait_for(gizzi, {}, limits.shown)


def test_validator_1_is_not_taken_for_10_or_21(fleet: dict[str, Host], gizzi: Host, limits: Limits) -> None:
    # A number of peers of its own, since the nodes' change with time.
    with ill([fleet["validator01"]], peers=17), ill([fleet["validator10"], fleet["validator21"]], peers=0):
        wait_for(gizzi, {10: "isolated", 21: "isolated"}, limits.shown)
        peers = 'substrate_sub_libp2p_peers_count{validator="1"}'
        first = wait_until(
            lambda: (found := ask(gizzi, "/api/validator/1")[1])["peers"] == 17 and found,
            limits.shown,
            "its own 17 peers",
        )
        assert first["metrics"]["substrate_sub_libp2p_peers_count"] == 17
        (series,) = query(gizzi, peers)
        assert (series["metric"]["instance"], series["value"][1]) == ("validator01", "17")
    with ill([fleet["validator01"]], peers=0):
        wait_for(gizzi, {1: "isolated"}, limits.shown)


def test_a_stopped_prometheus_leaves_the_last_answer_until_it_is_old(gizzi: Host, limits: Limits) -> None:
    with prometheus_stopped(gizzi):
        answer = wait_until(
            lambda: (found := ask(gizzi, "/api/network/status")[1])["error"] and found,
            limits.cache + limits.asking,
            "the failure is said",
        )
        assert answer["error"] == "Prometheus cannot be reached"
        assert {validator["status"] for validator in answer["validators"]} == {"healthy"}
        assert 0 < answer["age_seconds"] <= limits.stale
        assert ask(gizzi, "/readyz")[0] == 503

        wait_until(
            lambda: set(statuses(gizzi).values()) == {"unknown"}, limits.stale + limits.asking, "what is old is unknown"
        )
        answer = ask(gizzi, "/api/network/status")[1]
        # Shown all the same, with their age since the last scrape, which is rounded.
        assert all(validator["age_seconds"] >= limits.stale for validator in answer["validators"])
        assert all(validator["block_height"] > 0 for validator in answer["validators"])
        assert ask(gizzi, "/api/validator/1")[0] == 200
    wait_for(gizzi, {}, AGAIN)


def test_a_slow_prometheus_keeps_no_caller_for_two_seconds(gizzi: Host) -> None:
    slow = 10
    sound = max(answer_time(gizzi) for _unused in range(3))
    seconds: list[float] = []
    with prometheus_hanging(gizzi):
        end = time.monotonic() + slow
        while time.monotonic() < end:
            seconds.append(answer_time(gizzi))
    # Beside others an answer takes its time anyway.
    assert max(seconds) < 2 + sound, seconds
    wait_for(gizzi, {}, AGAIN)


def answer_time(gizzi: Host) -> float:
    """Return the seconds that one answer takes, as curl on the host measures them."""
    took = gizzi.check_output(
        "curl --silent --fail --output /dev/null --write-out '%%{time_total}' %s", url("/api/network/status")
    )
    return float(took)


def test_a_hundred_callers_cost_prometheus_six_queries(gizzi: Host, limits: Limits) -> None:
    wait_until(
        lambda: own_metric(gizzi, "gizzi_api_data_age_seconds") > limits.cache, 2 * limits.cache, "the cache is empty"
    )
    before = queries(gizzi)
    codes = gizzi.check_output(
        "curl --silent --parallel --parallel-immediate --parallel-max 100 --output /dev/null "
        "--write-out '%%{http_code} ' %s",
        url("/api/network/status?caller=[1-100]"),
    )
    assert codes.split() == ["200"] * 100
    assert 1 <= queries(gizzi) - before <= 6


def queries(gizzi: Host) -> int:
    """Return how many queries Prometheus has answered, by its own count."""
    page = gizzi.check_output("curl --silent --fail http://127.0.0.1:9090/metrics")
    return sum(
        int(line.split()[1])
        for line in page.splitlines()
        if line.startswith("prometheus_http_requests_total{") and 'handler="/api/v1/query' in line
    )


def test_a_stopped_node_fires_its_alert_and_no_other(fleet: dict[str, Host], gizzi: Host) -> None:
    # Their patience is minutes.
    gizzi.check_output("cp -a %s %s.kept && sed --in-place -E 's/for: [0-9]+m/for: 1s/' %s", RULES, RULES, RULES)
    try:
        gizzi.check_output("systemctl reload prometheus.service")
        assert firing(gizzi) == set()
        fleet["validator10"].check_output("systemctl stop flare-node.service")
        try:
            wait_until(lambda: firing(gizzi) == {("ValidatorOffline", "10", "validator10")}, AGAIN, "the alert fires")
        finally:
            fleet["validator10"].check_output("systemctl start flare-node.service")
        wait_until(lambda: firing(gizzi) == set(), AGAIN, "the alert ends")
    finally:
        gizzi.check_output("mv %s.kept %s && systemctl reload prometheus.service", RULES, RULES)


def firing(gizzi: Host) -> set[tuple[str, str, str]]:
    """Return the alerts that Prometheus fires: name, validator, instance."""
    return {
        (alert["labels"]["alertname"], alert["labels"].get("validator", ""), alert["labels"].get("instance", ""))
        for alert in prometheus(gizzi, "alerts")["alerts"]
        if alert["state"] == "firing"
    }


def test_the_names_of_etrid_s_own_document(
    lab: Lab, fleet: dict[str, Host], gizzi: Host, limits: Limits, converge: Callable[..., str]
) -> None:
    (play,) = yaml.safe_load((lab.project / "molecule/programs/api.yml").read_text())
    stock = play["vars"]["gizzi_api_settings"]
    with ill(list(fleet.values()), names="etrid"):
        wait_for(gizzi, dict.fromkeys((1, 2, 10, 21), "unknown"), limits.shown)
        # With the stock names the role says what is missing, before it changes anything.
        printed = converge(fails=True)
        assert 'finds no substrate_block_height{job="substrate",status="best"} of validator01, validator02,' in printed
        converge(gizzi_api_settings=stock | {"prometheus": {"preset": "etrid"}})
        wait_for(gizzi, {}, limits.shown)
        fault(fleet["validator21"], names="etrid", peers=0)
        wait_for(gizzi, {21: "isolated"}, limits.shown)
        validator = ask(gizzi, "/api/validator/2")[1]
        assert validator["finalized_height"] == validator["block_height"] - 3
    wait_until(lambda: len(query(gizzi, "substrate_sub_libp2p_peers_count")) == 4, limits.shown, "the stock names")
    converge()
    wait_for(gizzi, {}, limits.shown)
