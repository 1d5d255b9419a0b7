# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Around every request: a limit, security headers, the API's own counters, and an answer when all else fails."""

from __future__ import annotations

import logging
import time

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gizzi_api.metrics import Metrics
from gizzi_api.shown import shown

log = logging.getLogger(__name__)

# More at once than a fleet has callers are refused.
MAX_REQUESTS = 500

HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Surround:
    def __init__(self, app: ASGIApp, metrics: Metrics, max_requests: int = MAX_REQUESTS) -> None:
        self._app = app
        self._metrics = metrics
        self._max = max_requests
        self._running = 0
        self._busy = JSONResponse(
            {"detail": f"{max_requests} requests are being answered already."}, 503, {"Retry-After": "1"}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status, started = 500, False
        app = self._app if self._running < self._max else self._busy
        self._running += 1

        async def surrounded(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        try:
            await app(scope, receive, surrounded)
        except Exception:
            log.exception("%s", shown(scope["path"][:200]))
            if started:
                raise
            await JSONResponse({"detail": "The API failed to answer this."}, 500)(scope, receive, surrounded)
        finally:
            self._running -= 1
            # The route's pattern, not the path: the number of series stays bounded.
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, time.perf_counter() - start)
