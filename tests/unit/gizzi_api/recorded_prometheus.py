"""Prometheus for the tests: recorded answers of a real one, given one layer below our client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx

RECORDED = Path(__file__).with_name("recorded")
TOKEN = "0f3c9a"
# The recordings were made with them: the text of the expressions depends on stall_seconds.
THRESHOLDS = {"max_lag": 10, "max_finality_lag": 50, "min_peers": 3, "stall_seconds": 3, "stale_seconds": 90.0}
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}


# ``async with serve(upstream, **settings) as client``: the fixture's type.
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


class Upstream(httpx.AsyncBaseTransport):
    """Prometheus, as recorded. Counts what it is asked, and can be slow, gone or something else altogether."""

    def __init__(self, *names: str, lenient: bool = False) -> None:
        # What a query gets that was never recorded, for those who ask anything.
        self._unknown = (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}) if lenient else None
        self.asked: list[str] = []
        self.busy = 0
        self.busiest = 0
        self.down = False
        self.delay = 0.0
        self.instead: Callable[[httpx.Request], httpx.Response] | None = None
        self._answers: dict[tuple[str, str], tuple[int, Any]] = {}
        for name in names:
            self.play(name)

    def play(self, name: str) -> None:
        """Answer from this recording from now on; what it does not have stays as it was."""
        for one in json.loads((RECORDED / f"{name}.json").read_text()):
            self._answers[one["path"], one["query"]] = one["status"], one["body"]

    def edit(self, part: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change the result of the instant query that contains ``part``."""
        for (path, query), (_unused, body) in self._answers.items():
            if path.endswith("/query") and part in query:
                change(body["data"]["result"])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = dict(httpx.QueryParams(request.content.decode()))
        self.asked.append(form["query"])
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await asyncio.sleep(self.delay)
            if self.down:
                raise httpx.ConnectError(f"All connection attempts failed: {request.url}", request=request)
            if self.instead is not None:
                return self.instead(request)
            asked = request.url.path, form["query"]
            status, body = self._answers.get(asked, self._unknown) if self._unknown else self._answers[asked]
            return httpx.Response(status, json=body)
        finally:
            self.busy -= 1
