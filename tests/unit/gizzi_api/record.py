"""Record answers of a real Prometheus that scrapes 21 stand-in validators, for the unit tests.

Run it where ``prometheus`` and ``promtool`` are on the PATH:
    PYTHONPATH=.:roles/gizzi_api/files/gizzi-api/src python tests/unit/gizzi_api/record.py
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
from gizzi_api.app import create_app
from gizzi_api.settings import Settings
from recorded_prometheus import THRESHOLDS

from lab.validator.fleet import Fleet

RECORDED = Path(__file__).with_name("recorded")
# What callers ask for in the tests of /api/prometheus/query.
QUERIES = (
    'substrate_block_height{status="best"}',
    "substrate_block_height{",
    "no_such_metric",
    "1 + 1",
    '{__name__=~"((a{1,1000}){1,1000}){1,1000}"}',
)
# Other expressions than with THRESHOLDS.
LONGER = THRESHOLDS | {"stall_seconds": 120}
COSTLY = 'count by (__name__) (rate({__name__=~"substrate.+"}[1m]))'


class Recorder(httpx.AsyncBaseTransport):
    """Passes requests on and keeps the answers."""

    def __init__(self) -> None:
        self._network = httpx.AsyncHTTPTransport()
        self.kept: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = dict(httpx.QueryParams(request.content.decode()))
        response = await self._network.handle_async_request(request)
        body = await response.aread()
        self.kept.append(
            {
                "path": request.url.path,
                "query": form["query"],
                "status": response.status_code,
                "body": json.loads(body),
            }
        )
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    async def aclose(self) -> None:
        await self._network.aclose()


async def record(name: str, url: str, paths: list[str], token: Path, **settings: Any) -> None:
    """Ask our own app for ``paths``; keep what Prometheus answered to it."""
    recorder = Recorder()
    app = create_app(
        Settings(
            validators=[{"number": number, "name": f"validator{number:02d}"} for number in range(1, 22)],
            **({"prometheus": {"url": url}, "query": {"token_file": token}, "thresholds": THRESHOLDS} | settings),
        ),
        recorder,
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", timeout=30) as client,
    ):
        for path in paths:
            await client.get(path, headers={"Authorization": "Bearer t"})
    text = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in recorder.kept)
    (RECORDED / f"{name}.json").write_text(f"[\n{text}\n]\n")


def past(number: int, moment: float) -> tuple[int, int] | None:
    """An hour in which validator 5 was not seen for a while and validator 3 lost its peers."""
    minute = int(moment / 60) % 60
    if number == 5 and 20 <= minute < 35:
        return None
    return int(moment - 1_767_225_600), max(0, 18 - minute // 4) if number == 3 else 18


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token = folder / "token"
        token.write_text("t")
        with Fleet(folder, extra_targets={"01": 7, "121": 8, "1 ": 9}, past=past) as fleet:
            fleet.scrapes(6)
            routes = ["/api/network/status", "/api/validator/5"]
            asyncio.run(record("sound", fleet.url, routes, token))
            fleet.fault(1, stop=True)
            fleet.fault(2, stall=True)
            fleet.fault(3, peers=0)
            fleet.fault(4, syncing=True)
            fleet.fault(5, drop=["substrate_sub_libp2p_peers_count"])
            fleet.fault(6, rename={"substrate_block_height": "substrate_block_height_v2"})
            fleet.fault(7, lag=60)
            fleet.fault(8, finality_stall=True)
            fleet.fault(21, peers=2)
            fleet.scrapes(6)
            asyncio.run(record("faults", fleet.url, routes, token))
            another = {"prometheus": {"url": fleet.url, "job": "another"}, "thresholds": LONGER}
            asyncio.run(record("elsewhere", fleet.url, routes, token, **another))
            asyncio.run(
                record(
                    "refused",
                    fleet.url,
                    routes[:1],
                    token,
                    thresholds=LONGER,
                    expressions={"peers": "max by (validator (", "syncing": "substrate_build_info[5m]"},
                )
            )
            asyncio.run(
                record(
                    "queries",
                    fleet.url,
                    [f"/api/prometheus/query?{httpx.QueryParams(query=query)}" for query in QUERIES],
                    token,
                )
            )
            asyncio.run(
                record(
                    "costly",
                    fleet.url,
                    [f"/api/prometheus/query?{httpx.QueryParams(query=COSTLY)}"],
                    token,
                    query={"token_file": token, "timeout": 0.001},
                )
            )
        # A second target with the label of a dead one, as a relay chain's on the same host.
        second = folder / "doubled"
        second.mkdir()
        with Fleet(second, extra_targets={"2": 9}) as fleet:
            fleet.fault(2, stop=True)
            fleet.scrapes(6)
            asyncio.run(record("doubled", fleet.url, routes[:1], token))


if __name__ == "__main__":
    main()
