# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages for people, and their style and script."""

from __future__ import annotations

import asyncio
from importlib import resources

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

from gizzi_api.page import documentation, overview
from gizzi_api.services import services_of

router = APIRouter(include_in_schema=False)

ASSETS = {
    name: (resources.files("gizzi_api").joinpath("page", name).read_bytes(), kind)
    for name, kind in (
        ("page.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    )
}


@router.get("/")
async def page(request: Request) -> HTMLResponse:
    """The network at a glance."""
    services = services_of(request)
    status, past = await asyncio.gather(services.network.status(), services.histories.get())
    return HTMLResponse(overview.render(status, past.value if past else None, services.settings.page_refresh_seconds))


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The OpenAPI document, for reading."""
    return HTMLResponse(documentation.render(request.app.openapi()))


@router.get("/static/{name}")
async def static(name: str) -> Response:
    if name not in ASSETS:
        raise HTTPException(404)
    body, kind = ASSETS[name]
    return Response(body, media_type=kind)
