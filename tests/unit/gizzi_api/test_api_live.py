"""Against a real Prometheus that scrapes 21 stand-in validators: each fault shows within three scrapes."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gizzi_api.settings import Settings
from recorded_prometheus import AUTHORIZATION
from served import served

from lab.validator.fleet import Fleet

pytestmark = pytest.mark.live
# Four blocks a scrape: scrapes at different moments make a sound fleet differ by no more, three show a stall. On a
# busy machine a scrape may be late, and what the whole fleet is said to be has to be waited for.
LIVE = {"max_lag": 5, "stall_seconds": 3, "stale_seconds": 4}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), interval=1.0, block_time=0.25) as fleet:
        fleet.scrapes(4)
        yield fleet


@pytest.fixture
def client(fleet: Fleet, settings: Callable[..., Settings]) -> Iterator[httpx.Client]:
    with serve_live(fleet, settings) as client:
        yield client


@contextmanager
def serve_live(fleet: Fleet, settings: Callable[..., Settings], **changes: Any) -> Iterator[httpx.Client]:
    values = {"cache_seconds": 0.1, "thresholds": LIVE, "prometheus": {"url": fleet.url}, **changes}
    with served(settings(**values)) as url, httpx.Client(base_url=url, timeout=10) as client:
        yield client


def status(client: httpx.Client) -> dict[int, str]:
    return {one["number"]: one["status"] for one in client.get("/api/network/status").json()["validators"]}


def becomes(fleet: Fleet, client: httpx.Client, expected: dict[int, str]) -> None:
    fleet.wait(lambda: status(client) == expected, f"the fleet is {expected}")


SOUND = dict.fromkeys(range(1, 22), "healthy")
FAULTS: dict[int, tuple[dict[str, Any], str]] = {
    1: ({"stop": True}, "offline"),
    10: ({"stall": True}, "lagging"),
    2: ({"lag": 40}, "lagging"),
    11: ({"peers": 0}, "isolated"),
    19: ({"syncing": True}, "syncing"),
    21: ({"drop": ["substrate_sub_libp2p_peers_count"]}, "unknown"),
    12: ({"rename": {"substrate_block_height": "substrate_height"}}, "unknown"),
    3: ({"finality_stall": True}, "healthy"),
}


def test_faults_show_within_three_scrapes(fleet: Fleet, client: httpx.Client) -> None:
    becomes(fleet, client, SOUND)
    expected = {validator: word for validator, (_unused, word) in FAULTS.items()}
    for validator, (fault, _unused) in FAULTS.items():
        fleet.fault(validator, **fault)
    try:
        # On a busy machine all scrape at once, the first time right after the faults: then two scrapes are one
        # interval, in which the others get no more than four blocks ahead of the one that stalls.
        fleet.scrapes(3)
        found = status(client)
        assert {validator: found[validator] for validator in FAULTS} == expected
        becomes(fleet, client, SOUND | expected)
    finally:
        for validator in FAULTS:
            fleet.fault(validator)
    becomes(fleet, client, SOUND)


def test_the_users_names(fleet: Fleet, client: httpx.Client, settings: Callable[..., Settings]) -> None:
    for number in range(1, 22):
        fleet.fault(number, names="etrid")
    fleet.fault(10, names="etrid", peers=1)
    try:
        # As long as a stall takes: before, there is an earlier height of the stock name.
        fleet.scrapes(4)
        assert set(status(client).values()) == {"unknown"}
        with serve_live(fleet, settings, prometheus={"url": fleet.url, "preset": "etrid"}) as etrid:
            becomes(fleet, etrid, SOUND | {10: "isolated"})
            one = etrid.get("/api/validator/2").json()
            assert one["finalized_height"] == one["block_height"] - 3
    finally:
        for number in range(1, 22):
            fleet.fault(number)
        fleet.scrapes(4)


def test_real_prometheus_words_and_bounds(client: httpx.Client) -> None:
    def ask(query: str) -> httpx.Response:
        return client.get("/api/prometheus/query", params={"query": query}, headers=AUTHORIZATION)

    assert len(ask('substrate_block_height{status="best"}').json()["data"]["result"]) == 21
    everything = ask('{__name__=~".+"}')
    assert (everything.status_code, "fewer series" in everything.json()["detail"]) == (422, True)
    assert "parse error" in ask("substrate_block_height{").json()["detail"]
    # As many steps as Prometheus would ever have to take: it is stopped, and told why.
    start = time.monotonic()
    costly = ask("count_over_time(substrate_tasks_polling_duration_bucket[1h:1ms])")
    assert costly.status_code in (422, 504)
    assert time.monotonic() - start < 7


def test_a_hundred_callers_make_prometheus_answer_six_times_at_most(
    fleet: Fleet, settings: Callable[..., Settings]
) -> None:
    async def all_at_once(url: httpx.URL) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=10) as many:
            return await asyncio.gather(*(many.get("/api/network/status") for _unused in range(100)))

    # Kept as long as by default, so that all of them fit into one refresh.
    with serve_live(fleet, settings, cache_seconds=5) as client:
        answers = asyncio.run(all_at_once(client.base_url))
        lines = client.get("/metrics").text.splitlines()
    counts = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("gizzi_api_upstream_requests_total")]
    assert {len(answer.json()["validators"]) for answer in answers} == {21}
    assert 1 <= sum(float(count) for count in counts) <= 6


def test_a_hanging_prometheus_delays_nobody(fleet: Fleet, client: httpx.Client) -> None:
    becomes(fleet, client, SOUND)
    fleet.prometheus_hang(True)
    try:
        time.sleep(0.2)
        seconds = []
        for _unused in range(5):
            start = time.monotonic()
            answer = client.get("/api/network/status").json()
            seconds.append(time.monotonic() - start)
        assert max(seconds) < 2
        assert statistics.median(seconds) < 0.2
        assert answer["age_seconds"] >= 0.2
        time.sleep(4)
        assert set(status(client).values()) == {"unknown"}
    finally:
        fleet.prometheus_hang(False)
    becomes(fleet, client, SOUND)


def test_a_stopped_prometheus_leaves_the_last_answer_until_it_is_old(fleet: Fleet, client: httpx.Client) -> None:
    becomes(fleet, client, SOUND)
    fleet.prometheus_stop()
    try:
        time.sleep(0.3)
        during = client.get("/api/network/status").json()
        assert (during["summary"]["by_status"]["unknown"], during["error"]) == (0, "Prometheus cannot be reached")
        assert client.get("/readyz").status_code == 503
        time.sleep(LIVE["stale_seconds"])
        after = client.get("/api/network/status").json()
        assert after["summary"]["by_status"]["unknown"] == 21
        assert after["age_seconds"] > LIVE["stale_seconds"]
        assert client.get("/api/validator/1").status_code == 200
        assert client.get("/").status_code == 200
    finally:
        fleet.prometheus_start()
    becomes(fleet, client, SOUND)


def test_one_validator_has_its_hour(tmp_path: Path, settings: Callable[..., Settings]) -> None:
    def past(number: int, moment: float) -> tuple[int, int]:
        return int(moment), number

    with Fleet(tmp_path, validators=3, past=past) as fleet, serve_live(fleet, settings) as client:
        fleet.wait(lambda: client.get("/api/validator/2").json()["history"], "a history")
        history = client.get("/api/validator/2").json()["history"]
    assert len(history["peers"]) >= 55
    assert {peers for _unused, peers in history["peers"][:-6]} == {2}
    heights = [height for _unused, height in history["block_height"][:-6]]
    assert heights == sorted(heights)
