"""The network's status from recorded answers: right, from few queries, and at hand when Prometheus is not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from gizzi_api.network import merged, named
from gizzi_api.prometheus import Sample, Series
from recorded_prometheus import Serve, Upstream

pytestmark = pytest.mark.anyio
FRESH = {"cache_seconds": 0.01}


async def statuses(client: httpx.AsyncClient) -> dict[int, str]:
    return {one["number"]: one["status"] for one in (await client.get("/api/network/status")).json()["validators"]}


async def test_every_fault_shows_as_its_status(serve: Serve) -> None:
    async with serve(Upstream("faults")) as client:
        answer = (await client.get("/api/network/status")).json()
    found = {one["number"]: one["status"] for one in answer["validators"]}
    assert found == dict.fromkeys(range(1, 22), "healthy") | {
        1: "offline",
        2: "lagging",
        3: "isolated",
        4: "syncing",
        5: "unknown",
        6: "unknown",
        7: "lagging",
        21: "isolated",
    }
    reasons = {one["number"]: one["reason"] for one in answer["validators"]}
    assert reasons[2].startswith("no new block for 3 s")
    assert reasons[5] == "Prometheus has no number of peers for it"
    assert reasons[6] == "Prometheus has no block height for it"
    assert answer["summary"]["by_status"] == {
        "offline": 1,
        "isolated": 2,
        "lagging": 2,
        "unknown": 2,
        "syncing": 1,
        "healthy": 13,
    }


async def test_a_sound_fleet_is_healthy_with_numbers(serve: Serve) -> None:
    async with serve(Upstream("sound")) as client:
        answer = (await client.get("/api/network/status")).json()
    assert [one["number"] for one in answer["validators"]] == list(range(1, 22))
    assert answer["summary"]["by_status"]["healthy"] == 21
    assert answer["error"] is None
    assert not answer["stale"]
    for one in answer["validators"]:
        for key in ("block_height", "finalized_height", "peers", "lag"):
            assert isinstance(one[key], int)
        assert one["block_height"] > one["finalized_height"] > 28_000_000
        assert 0 <= one["age_seconds"] < 60


async def test_validator_1_is_never_another(serve: Serve) -> None:
    """The recorded Prometheus also has series of ``01``, ``1`` with a blank, and ``121``."""
    upstream = Upstream("sound")
    upstream.edit('"peers"', lambda found: [one.update(value=[one["value"][0], "4"]) for one in found])

    def mark(found: list[dict[str, Any]]) -> None:
        for one in found:
            if one["metric"]["validator"] == "1":
                one["value"][1] = "7"

    upstream.edit('"peers"', mark)
    async with serve(upstream) as client:
        answer = (await client.get("/api/network/status")).json()
    assert {one["number"]: one["peers"] for one in answer["validators"]} == dict.fromkeys(range(1, 22), 4) | {1: 7}

    upstream.edit('"', lambda found: found.__setitem__(slice(None), [one for one in found if not is_1(one)]))
    async with serve(upstream) as client:
        answer = (await client.get("/api/network/status")).json()
    first = answer["validators"][0]
    assert (first["status"], first["peers"], first["block_height"]) == ("unknown", None, None)
    assert answer["summary"]["by_status"]["healthy"] == 20


def is_1(one: dict[str, Any]) -> bool:
    return bool(one["metric"].get("validator") == "1")


async def test_a_dead_target_that_another_hides_is_unknown_with_the_reason(serve: Serve) -> None:
    """The recorded Prometheus cannot scrape validator 2, and has another target with its label."""
    async with serve(Upstream("doubled")) as client:
        answer = (await client.get("/api/network/status")).json()
    second = answer["validators"][1]
    assert second["status"] == "unknown"
    assert second["reason"].startswith("Prometheus has more than one scrape target for it (2 series)")
    assert answer["summary"]["by_status"]["healthy"] == 20


def test_what_two_series_say_of_one_time_is_no_history() -> None:
    one = Series({"validator": "1", "instance": "a"}, ((60, 7), (120, 8), (180, 9)))
    other = Series({"validator": "1", "instance": "b"}, ((0, 6), (120, 8)))
    assert merged([one, other], "validator") == {"1": [(0, 6), (60, 7), (180, 9)]}


def test_details_of_two_targets_keep_what_tells_them_apart() -> None:
    samples = [
        Sample({"__name__": "up", "validator": "1", "job": "substrate", "instance": instance}, 1.0, value)
        for instance, value in (("a", 0.0), ("b", 1.0), ("c", float("nan")))
    ]
    assert named(samples, "validator") == {'up{instance="a"}': 0.0, 'up{instance="b"}': 1.0}
    assert named(samples[:1], "validator") == {"up": 0.0}


async def test_the_inventory_says_who_is_there(serve: Serve) -> None:
    listed = [{"number": 2, "name": "two"}, {"number": 3, "name": "three"}, {"number": 22, "name": "not in Prometheus"}]
    async with serve(Upstream("sound"), validators=listed) as client:
        assert await statuses(client) == {2: "healthy", 3: "healthy", 22: "unknown"}


async def test_one_cold_answer_asks_at_most_six_times_and_together(serve: Serve) -> None:
    upstream = Upstream("sound")
    upstream.delay = 0.05
    async with serve(upstream) as client:
        await client.get("/api/network/status")
    assert 1 <= len(upstream.asked) <= 6
    assert upstream.busiest == len(upstream.asked)


async def test_a_hundred_callers_share_one_set_of_queries(serve: Serve) -> None:
    upstream = Upstream("sound")
    upstream.delay = 0.2
    async with serve(upstream) as client:
        answers = await asyncio.gather(*(client.get("/api/network/status") for _unused in range(100)))
        assert {answer.json()["summary"]["by_status"]["healthy"] for answer in answers} == {21}
        assert len(upstream.asked) <= 6
        await client.get("/api/network/status")
        assert len(upstream.asked) <= 6


async def test_an_answer_is_kept_for_the_set_time(serve: Serve) -> None:
    upstream = Upstream("sound")
    async with serve(upstream, cache_seconds=0.3) as client:
        await client.get("/api/network/status")
        once = len(upstream.asked)
        await client.get("/api/network/status")
        assert len(upstream.asked) == once
        await asyncio.sleep(0.35)
        await client.get("/api/network/status")
        assert len(upstream.asked) == 2 * once


async def test_a_caller_who_leaves_does_not_stop_the_others(serve: Serve) -> None:
    upstream = Upstream("sound")
    upstream.delay = 0.3
    async with serve(upstream) as client:
        leaving = asyncio.create_task(client.get("/api/network/status"))
        await asyncio.sleep(0.05)
        leaving.cancel()
        assert set((await statuses(client)).values()) == {"healthy"}
    assert len(upstream.asked) <= 6


async def test_a_slow_prometheus_makes_no_caller_wait_two_seconds(serve: Serve) -> None:
    upstream = Upstream("sound")
    async with serve(upstream, **FRESH) as client:
        await client.get("/api/network/status")
        upstream.delay = 10
        await asyncio.sleep(0.1)
        for longest in (2, 0.2):
            start = time.monotonic()
            answer = (await client.get("/api/network/status")).json()
            # The second caller finds the attempt under way for long, and does not wait at all.
            assert time.monotonic() - start < longest
            assert answer["summary"]["by_status"]["healthy"] == 21
            assert answer["age_seconds"] >= 0.1


async def test_a_prometheus_slow_from_the_start_is_unknown_within_two_seconds(serve: Serve) -> None:
    upstream = Upstream("sound")
    upstream.delay = 10
    async with serve(upstream) as client:
        start = time.monotonic()
        answers = await asyncio.gather(*(client.get(path) for path in ("/api/network/status", "/api/validator/1", "/")))
        assert time.monotonic() - start < 2
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert set(answers[0].json()["summary"]["by_status"].items()) >= {("unknown", 21), ("healthy", 0)}
    assert answers[0].json()["age_seconds"] is None


async def test_without_prometheus_the_last_answer_goes_on_until_it_is_too_old(serve: Serve) -> None:
    upstream = Upstream("sound")
    async with serve(upstream, **FRESH, thresholds={"stale_seconds": 2.5}) as client:
        before = (await client.get("/api/network/status")).json()
        assert before["summary"]["by_status"]["healthy"] == 21
        upstream.down = True
        await asyncio.sleep(0.3)
        during = (await client.get("/api/network/status")).json()
        assert during["summary"]["by_status"]["healthy"] == 21
        assert during["error"] == "Prometheus cannot be reached"
        assert not during["stale"]
        assert 0.3 <= during["age_seconds"] < 2.5
        await asyncio.sleep(2.5)
        after = (await client.get("/api/network/status")).json()
        assert after["summary"]["by_status"]["unknown"] == 21
        assert after["stale"]
        assert [one["block_height"] for one in after["validators"]] == [
            one["block_height"] for one in before["validators"]
        ]
        upstream.down = False
        await asyncio.sleep(0.1)
        assert set((await statuses(client)).values()) == {"healthy"}


@pytest.mark.parametrize(
    "instead",
    [
        httpx.Response(200, text="<html>It works!</html>"),
        httpx.Response(200, json={"status": "success"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": [{"metric": 3}]}}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": 7, "result": []}}),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(502, text="Bad Gateway"),
        httpx.Response(500, json={"status": "error", "errorType": "internal", "error": "disk full"}),
        httpx.Response(302, headers={"Location": "http://elsewhere/"}),
    ],
)
async def test_what_is_not_prometheus_is_no_answer(serve: Serve, instead: httpx.Response) -> None:
    upstream = Upstream("sound")
    upstream.instead = lambda _: instead
    async with serve(upstream) as client:
        answer = (await client.get("/api/network/status")).json()
        assert answer["summary"]["by_status"]["unknown"] == 21
        assert "Prometheus" in answer["error"]
        assert (await client.get("/readyz")).status_code == 503


async def test_values_that_are_no_numbers_are_unknown(serve: Serve) -> None:
    upstream = Upstream("sound")
    upstream.edit('"peers"', lambda found: [one.update(value=[one["value"][0], "NaN"]) for one in found])
    async with serve(upstream) as client:
        answer = (await client.get("/api/network/status")).json()
    assert {(one["status"], one["peers"]) for one in answer["validators"]} == {("unknown", None)}


async def test_a_refused_expression_takes_only_its_own_facts(serve: Serve) -> None:
    refused = {"peers": "max by (validator (", "syncing": "substrate_build_info[5m]"}
    async with serve(Upstream("refused"), expressions=refused, thresholds={"stall_seconds": 120}) as client:
        answer = (await client.get("/api/network/status")).json()
    healthy = next(one for one in answer["validators"] if one["number"] == 9)
    assert healthy["status"] == "unknown"
    assert healthy["block_height"] > 0
    assert "parse error" in healthy["reason"]


async def test_a_job_that_prometheus_does_not_have_is_unknown_and_not_ready(serve: Serve) -> None:
    async with serve(Upstream("elsewhere"), prometheus={"job": "another"}, thresholds={"stall_seconds": 120}) as client:
        assert set((await statuses(client)).values()) == {"unknown"}
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == [
        "Prometheus has scraped none of the validators in the last 90 s under job 'another'"
    ]


async def test_readiness_follows_prometheus(serve: Serve) -> None:
    upstream = Upstream("sound")
    async with serve(upstream, **FRESH) as client:
        assert (await client.get("/readyz")).json() == {"ready": True, "reasons": []}
        upstream.down = True
        await asyncio.sleep(0.05)
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["Prometheus cannot be reached"])
        assert (await client.get("/healthz")).json()["status"] == "ok"


async def test_a_fault_of_our_own_does_not_reach_the_callers(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream("sound")
    async with serve(upstream, **FRESH) as client:
        await client.get("/api/network/status")
        monkeypatch.setattr("gizzi_api.network.collect", lambda *_: 1 / 0)
        await asyncio.sleep(0.05)
        answer = await client.get("/api/network/status")
    assert answer.status_code == 200
    assert answer.json()["error"] == "the API failed to read Prometheus' answer"


async def test_one_validator_with_its_metrics_and_its_hour(serve: Serve) -> None:
    async with serve(Upstream("faults")) as client:
        answer = (await client.get("/api/validator/5")).json()
    assert answer["status"] == "unknown"
    assert answer["reason"] == "Prometheus has no number of peers for it"
    assert answer["peers"] is None
    assert answer["block_height"] == answer["metrics"]['substrate_block_height{status="best"}']
    assert answer["finalized_height"] == answer["metrics"]['substrate_block_height{status="finalized"}']
    assert answer["metrics"]["substrate_node_roles"] == 4
    assert "substrate_sub_libp2p_peers_count" not in answer["metrics"]
    heights = answer["history"]["block_height"]
    # It was not seen for some of the hour: no points there, none of them 0.
    assert 40 < len(heights) < 60
    assert all(height > 28_000_000 for _unused, height in heights)
    assert answer["history"]["end"] - answer["history"]["start"] == 3600


async def test_details_that_fail_leave_the_status(serve: Serve) -> None:
    upstream = Upstream("sound")
    upstream.instead = lambda request: (
        httpx.Response(500)
        if "query_range" in request.url.path or b"VALIDATOR" in request.content or b"node_roles" in request.content
        else answer(request)
    )
    sound = Upstream("sound")

    def answer(request: httpx.Request) -> httpx.Response:
        form = dict(httpx.QueryParams(request.content.decode()))
        status, body = sound._answers[request.url.path, form["query"]]
        return httpx.Response(status, json=body)

    async with serve(upstream) as client:
        found = (await client.get("/api/validator/5")).json()
    assert (found["status"], found["metrics"], found["history"]) == ("healthy", None, None)


@pytest.mark.parametrize("number", ["0", "22", "01", "1 ", "+1", "-1", "1.0", "validator01", "%D9%A1"])
async def test_an_unknown_validator_is_told_the_known_ones(serve: Serve, number: str) -> None:
    upstream = Upstream("sound")
    async with serve(upstream) as client:
        answer = await client.get(f"/api/validator/{number}")
    assert answer.status_code == 404
    assert answer.json()["known"] == list(range(1, 22))
    assert "19, 20, 21" in answer.json()["detail"]
    assert not upstream.asked


async def test_own_metrics_have_few_series_and_no_paths(serve: Serve) -> None:
    upstream = Upstream("sound")
    async with serve(upstream) as client:
        for path in (
            "/api/network/status",
            "/api/network/status",
            "/api/validator/5",
            "/nothing/here",
            "/api/validator/x",
        ):
            await client.get(path)
        text = (await client.get("/metrics")).text
    assert 'gizzi_api_requests_total{route="/api/network/status",status="200"} 2.0' in text
    assert 'gizzi_api_requests_total{route="/api/validator/{number}",status="404"} 1.0' in text
    assert 'gizzi_api_requests_total{route="other",status="404"} 1.0' in text
    assert 'gizzi_api_upstream_requests_total{kind="query",outcome="ok"}' in text
    assert 'gizzi_api_cache_total{result="hit",source="network"} 2.0' in text
    assert 'gizzi_api_validators{status="healthy"} 21.0' in text
    assert "gizzi_api_data_age_seconds" in text
    assert "/nothing/here" not in text


async def test_a_route_that_fails_says_so_with_the_headers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("gizzi_api.page.overview.render", fail)
    async with serve(Upstream("sound")) as client:
        answer = await client.get("/")
        text = (await client.get("/metrics")).text
    assert (answer.status_code, answer.json()) == (500, {"detail": "The API failed to answer this."})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "a secret of ours" in caplog.text
    assert 'gizzi_api_requests_total{route="/",status="500"} 1.0' in text
