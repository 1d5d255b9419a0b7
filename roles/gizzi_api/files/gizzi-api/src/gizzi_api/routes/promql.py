# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers' own PromQL: with the token, and bounded in every way."""

from __future__ import annotations

import hmac
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gizzi_api.models import QueryAnswer
from gizzi_api.problems import document, problem
from gizzi_api.prometheus import RejectedError, SlowError, TooLargeError, UnavailableError
from gizzi_api.services import services_of

router = APIRouter(prefix="/api/prometheus", tags=["prometheus"])
bearer = HTTPBearer(auto_error=False, description="The token of query.token_file.")

# In mode `named`: one metric, with plain equalities. What is more than this cannot be judged without a PromQL parser.
LABEL = r'[a-zA-Z][a-zA-Z0-9_]*\s*!?=\s*"[^"\\]*"'
SELECTOR = re.compile(rf"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{{\s*({LABEL}\s*(,\s*{LABEL}\s*)*,?)?\s*\}})?\s*")


async def allowed(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> None:
    """Let a caller with the token through."""
    services = services_of(request)
    if services.token is None:
        raise problem(403, "Queries need a token, and none is set (query.token_file).")
    given = credentials.credentials.encode() if credentials else b""
    if not hmac.compare_digest(given, services.token):
        raise problem(401, "This needs the header 'Authorization: Bearer <token>'.", {"WWW-Authenticate": "Bearer"})
    if services.settings.query.mode == "off":
        raise problem(403, "Queries are switched off (query.mode).")


@router.get(
    "/query",
    summary="An instant query to Prometheus",
    response_model=QueryAnswer,
    response_description="Prometheus' answer",
    dependencies=[Depends(allowed)],
    responses=document(
        _401="No token, or another one",
        _403="Switched off, no token set, or not a selector of a named metric",
        _414="The whole request is too long",
        _422="Prometheus refuses the query, in its own words; or it is too long, too slow or has too large an answer",
        _502="Prometheus cannot be reached, or does not answer like Prometheus",
        _503="Too many queries at once",
        _504="Prometheus does not answer in time",
    ),
)
async def query(
    request: Request,
    query: Annotated[str, Query(min_length=1, description="PromQL.", examples=["substrate_block_height"])],
) -> Response:
    """Prometheus' own answer, unchanged, for callers with the token.

    Limits of the settings: length of the query, time, number of series and size of the answer. In mode `named` only
    plain selectors of the named metrics pass, such as `substrate_block_height{validator="1"}`.
    """
    services = services_of(request)
    limits = services.settings.query
    if len(query) > limits.max_length:
        raise problem(422, f"The query has {len(query)} characters; {limits.max_length} are allowed.")
    if limits.mode == "named":
        match = SELECTOR.fullmatch(query)
        if match is None or match[1] not in limits.metrics:
            raise problem(403, f"Only plain selectors of these metrics are allowed: {', '.join(limits.metrics)}.")
    if services.queries.locked():
        raise problem(503, f"{limits.concurrency} queries are running already.", {"Retry-After": "1"})
    async with services.queries:
        try:
            answer = await services.client.instant(query, timeout=limits.timeout, max_bytes=limits.max_bytes)
        except RejectedError as error:
            raise problem(422, f"Prometheus: {error}") from error
        except TooLargeError as error:
            raise problem(422, f"Ask for fewer series or aggregate: {error}.") from error
        except SlowError as error:
            raise problem(504, f"{error}.") from error
        except UnavailableError as error:
            raise problem(502, f"{error}.") from error
    if answer.results() > limits.max_series:
        raise problem(
            422, f"Ask for fewer series or aggregate: {answer.results()} came; {limits.max_series} are allowed."
        )
    return Response(answer.body, media_type="application/json")
