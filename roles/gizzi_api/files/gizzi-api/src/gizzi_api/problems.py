# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that say what is wrong, all of one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gizzi_api.models import Problem
from gizzi_api.shown import shown

# Beside those of the OpenAPI document.
PAGES = ("/", "/docs", "/openapi.json")


class ProblemError(Exception):
    def __init__(self, status: int, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.status = status
        self.problem = problem
        self.headers = headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemError:
    return ProblemError(status, Problem(detail=detail), headers)


def document(**answers: str) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of a route: ``document(_401="no token")``."""
    return {int(name[1:]): {"model": Problem, "description": text} for name, text in answers.items()}


def install(app: FastAPI) -> None:
    """Let the app answer what goes wrong in the one shape."""

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> JSONResponse:
        detail = error.detail
        if error.status_code == 404:
            paths = ", ".join((*PAGES, *app.openapi()["paths"]))
            detail = f"There is no {shown(request.url.path[:100])} here. There are: {paths}."
        elif error.status_code == 405:
            detail = f"{request.method} is not for this path; {(error.headers or {}).get('Allow', 'GET')} is."
        return JSONResponse({"detail": detail}, error.status_code, error.headers)

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> JSONResponse:
        return JSONResponse(error.problem.model_dump(), error.status, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input: it may be a megabyte.
        texts = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()]
        return JSONResponse({"detail": "; ".join(texts)}, 422)
