# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For those who run the API: alive, ready, measured."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gizzi_api import __version__
from gizzi_api.models import Health, Readiness
from gizzi_api.services import services_of

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="The process is alive", response_description="Alive")
async def healthz() -> Health:
    """Says nothing about Prometheus: a restart of this process would not help there."""
    return Health(status="ok", version=__version__)


@router.get(
    "/readyz",
    summary="Prometheus is reachable and its data fresh",
    response_model=Readiness,
    response_description="Ready",
    responses={503: {"model": Readiness, "description": "Not ready, and why"}},
)
async def readyz(request: Request) -> Response:
    """Ready when Prometheus answered the latest attempt and has scraped at least one validator recently."""
    services = services_of(request)
    status = await services.network.status()
    limit = services.settings.thresholds.stale_seconds
    reasons = [status.error] if status.error else []
    if status.age_seconds is None:
        reasons = reasons or ["Prometheus has not answered yet"]
    elif status.stale:
        reasons.append(f"Prometheus last answered {status.age_seconds:.0f} s ago (limit {limit:g} s)")
    elif all(one.age_seconds is None or one.age_seconds > limit for one in status.validators):
        job = services.settings.prometheus.job
        reasons.append(f"Prometheus has scraped none of the validators in the last {limit:g} s under job {job!r}")
    readiness = Readiness(ready=not reasons, reasons=reasons)
    return JSONResponse(readiness.model_dump(), 200 if readiness.ready else 503)


@router.get(
    "/metrics",
    summary="The API's own metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format"}
    },
)
async def metrics(request: Request) -> Response:
    """Requests, latency, cache, upstream errors, age of the data, validators by status."""
    return Response(generate_latest(services_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
