# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The app, made from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from gizzi_api import __version__, problems
from gizzi_api.metrics import Metrics
from gizzi_api.middleware import Surround
from gizzi_api.routes import network, operations, pages, promql
from gizzi_api.services import Services
from gizzi_api.settings import Settings

DESCRIPTION = """
The state of a network of Substrate validators. The validators are those of the inventory; what is known about them
comes from Prometheus, with its age. What is missing or stale is unknown: null as a number, `unknown` as a status.

A validator's status is the first of these that applies: `unknown` (no recent data), `offline` (cannot be scraped),
`unknown` (a metric is missing), `isolated` (too few peers), `syncing` (a major sync), `lagging` (behind the best, no
new block, or finality far behind), `healthy`.
"""


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Return the app; ``transport`` replaces the network to Prometheus."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services.create(settings, metrics, transport)
        app.state.services = services
        try:
            yield
        finally:
            await services.close()

    app = FastAPI(
        title="Gizzi API",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        # Both load their scripts from a CDN; /docs is ours.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The measurements are ours, and nothing is sent anywhere.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    problems.install(app)
    app.add_middleware(Surround, metrics=metrics)
    for subject in (network, promql, operations, pages):
        app.include_router(subject.router)
    return app
