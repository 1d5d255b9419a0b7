"""Text from outside: what cannot be seen is shown as an escape."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from gizzi_api.metrics import Metrics
from gizzi_api.middleware import Surround
from gizzi_api.prometheus import PrometheusError
from gizzi_api.shared import Shared
from gizzi_api.shown import shown
from starlette.types import Receive, Scope, Send

# Common to all that show text from outside.
CASES = json.loads((Path(__file__).parents[1] / "recorded" / "shown.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"]))
def test_the_common_table(case: dict[str, str]) -> None:
    assert shown(case["text"]) == case["shown"]


@pytest.mark.anyio
async def test_the_log_has_one_line_for_what_prometheus_says(caplog: pytest.LogCaptureFixture) -> None:
    async def fetch() -> None:
        raise PrometheusError("no\nGizzi API: all is well\x1b[2J")

    await Shared("status", fetch, keep=1, wait=1, metrics=Metrics()).get()
    assert caplog.messages == ["status: no\\nGizzi API: all is well\\x1b[2J"]


@pytest.mark.anyio
async def test_the_log_has_one_line_for_a_path_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a fault of ours")

    transport = httpx.ASGITransport(Surround(fail, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await client.get("/a%0Aall%20is%20well%1B")).status_code == 500
    assert [record.getMessage() for record in caplog.records if record.name == "gizzi_api.middleware"] == [
        "/a\\nall is well\\x1b"
    ]
