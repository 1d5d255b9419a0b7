"""/api/prometheus/query: only with the token, and bounded in every way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from recorded_prometheus import AUTHORIZATION, Serve, Upstream

pytestmark = pytest.mark.anyio
HEIGHT = 'substrate_block_height{status="best"}'


async def ask(client: httpx.AsyncClient, query: str) -> httpx.Response:
    return await client.get("/api/prometheus/query", params={"query": query}, headers=AUTHORIZATION)


async def test_prometheus_answer_comes_unchanged(serve: Serve) -> None:
    async with serve(Upstream("queries")) as client:
        answer = await ask(client, HEIGHT)
        assert answer.status_code == 200
        assert answer.json()["data"]["resultType"] == "vector"
        assert {one["metric"]["validator"] for one in answer.json()["data"]["result"]} >= {"2", "21"}
        assert (await ask(client, "1 + 1")).json()["data"]["result"][1] == "2"
        assert (await ask(client, "no_such_metric")).json()["data"]["result"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer 0f3c9"},
        {"Authorization": "Bearer 0f3c9aa"},
        {"Authorization": "bearer 0F3C9A"},
        {"Authorization": "Basic 0f3c9a"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"X-Token": "0f3c9a"},
    ],
)
async def test_without_the_token_there_is_no_promql(serve: Serve, headers: dict[str, str]) -> None:
    upstream = Upstream("queries")
    async with serve(upstream) as client:
        for path in ("/api/prometheus/query", "/api/prometheus/query?query=up", "/api/prometheus/query?token=0f3c9a"):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert not upstream.asked


async def test_without_a_token_file_and_when_off_nobody_may(serve: Serve) -> None:
    upstream = Upstream("queries")
    async with serve(upstream, query={"token_file": None}) as client:
        answer = await client.get("/api/prometheus/query?query=up", headers={"Authorization": "Bearer "})
        assert (answer.status_code, answer.json()["detail"]) == (
            403,
            "Queries need a token, and none is set (query.token_file).",
        )
    async with serve(upstream, query={"mode": "off"}) as client:
        assert (await ask(client, HEIGHT)).status_code == 403
    assert not upstream.asked


async def test_an_empty_token_file_opens_nothing(serve: Serve, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        async with serve(Upstream(), query={"token_file": empty}):
            pass


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        (HEIGHT, True),
        (' substrate_block_height { status = "best", } ', True),
        ("substrate_block_height", True),
        ('substrate_block_height{validator!="1"}', True),
        ("up", False),
        ("substrate_block_height or up", False),
        ('substrate_block_height{status=~"b.*"}', False),
        ('substrate_block_height{__name__="up"}', False),
        ('{__name__="substrate_block_height"}', False),
        ("count(substrate_block_height)", False),
        ("substrate_block_height[5m]", False),
        ('substrate_block_height{status="a\\"} or up{b="c"}', False),
        ("substrate_block_height # comment", False),
        ("substrate_block_height\nor up", False),
    ],
)
async def test_named_metrics_only(serve: Serve, query: str, allowed: bool) -> None:
    upstream = Upstream()
    upstream.instead = lambda _: httpx.Response(
        200, json={"status": "success", "data": {"resultType": "vector", "result": []}}
    )
    async with serve(upstream, query={"mode": "named", "metrics": ["substrate_block_height"]}) as client:
        assert (await ask(client, query)).status_code == (200 if allowed else 403)
    assert bool(upstream.asked) == allowed


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("substrate_block_height{", "parse error: unexpected end of input inside braces"),
        ('{__name__=~"((a{1,1000}){1,1000}){1,1000}"}', "error parsing regexp: invalid repeat count"),
    ],
)
async def test_prometheus_own_words_pass(serve: Serve, query: str, words: str) -> None:
    async with serve(Upstream("queries")) as client:
        answer = await ask(client, query)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_a_query_that_runs_out_of_time_is_the_callers_fault(serve: Serve) -> None:
    async with serve(Upstream("costly")) as client:
        answer = await ask(client, 'count by (__name__) (rate({__name__=~"substrate.+"}[1m]))')
    assert answer.status_code == 422
    assert answer.json()["detail"] == "Prometheus: query timed out in expression evaluation"


async def test_a_long_query_is_refused_without_being_repeated(serve: Serve) -> None:
    upstream = Upstream("queries")
    async with serve(upstream) as client:
        answer = await ask(client, "a" * 60_000)
        assert answer.status_code == 422
        assert answer.json()["detail"] == "The query has 60000 characters; 4096 are allowed."
        assert (await ask(client, "")).status_code == 422
        assert (await client.get("/api/prometheus/query", headers=AUTHORIZATION)).json()["detail"] == (
            "query: Field required"
        )
    assert not upstream.asked


async def test_too_many_series_are_refused(serve: Serve) -> None:
    async with serve(Upstream("queries"), query={"max_series": 5}) as client:
        answer = await ask(client, HEIGHT)
    assert answer.status_code == 422
    assert "fewer series or aggregate" in answer.json()["detail"]


class Endless(httpx.AsyncByteStream):
    """A million series and more; counts what was taken."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"status":"success","data":{"resultType":"vector","result":['
        while True:
            self.taken += 1
            yield b'{"metric":{"a":"b"},"value":[0,"1"]},' * 1000
            await asyncio.sleep(0)


async def test_an_endless_answer_is_cut_off(serve: Serve) -> None:
    stream = Endless()
    upstream = Upstream()
    upstream.instead = lambda _: httpx.Response(200, stream=stream)
    async with serve(upstream, query={"max_bytes": 200_000}) as client:
        answer = await ask(client, '{__name__=~".+"}')
        assert answer.status_code == 422
        assert answer.json()["detail"] == "Ask for fewer series or aggregate: the answer is larger than 200000 bytes."
        assert stream.taken < 10
        # The API's own queries are bounded too.
        status = await client.get("/api/network/status")
        assert status.json()["summary"]["by_status"]["unknown"] == 21


async def test_a_silent_prometheus_is_given_up(serve: Serve) -> None:
    upstream = Upstream("queries")
    upstream.delay = 60
    async with serve(upstream, query={"timeout": 0.1}) as client:
        start = time.monotonic()
        answer = await ask(client, HEIGHT)
        assert answer.status_code == 504
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("kind", ["down", "page", "error"])
async def test_prometheus_address_stays_inside(serve: Serve, kind: str) -> None:
    upstream = Upstream("queries")
    upstream.down = kind == "down"
    if kind == "page":
        upstream.instead = lambda request: httpx.Response(502, text=f"nginx: {request.url} is down")
    if kind == "error":
        upstream.instead = lambda _: httpx.Response(
            503, json={"status": "error", "errorType": "unavailable", "error": "TSDB not ready"}
        )
    async with serve(upstream, prometheus={"url": "http://prometheus.secret:9099/path"}) as client:
        answer = await ask(client, HEIGHT)
        assert answer.status_code == 502
        texts = [answer.text]
        paths = ("/api/network/status", "/api/validator/1", "/readyz", "/", "/metrics", "/openapi.json", "/docs")
        texts += [(await client.get(path)).text for path in paths]
    assert not [text for text in texts if "secret" in text or ":9099" in text]


async def test_only_so_many_queries_at_once(serve: Serve) -> None:
    upstream = Upstream("queries", "sound")
    upstream.delay = 0.3
    async with serve(upstream, query={"concurrency": 2}) as client:
        codes = [answer.status_code for answer in await asyncio.gather(*(ask(client, HEIGHT) for _unused in range(10)))]
        assert sorted(set(codes)) == [200, 503]
        assert codes.count(200) == 2
        assert (await ask(client, HEIGHT)).status_code == 200
