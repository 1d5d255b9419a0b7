# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of all validators, and of one."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from gizzi_api.models import History, NetworkStatus, UnknownValidator, ValidatorDetails
from gizzi_api.network import Past
from gizzi_api.problems import ProblemError, document
from gizzi_api.services import services_of
from gizzi_api.shared import Stamped

router = APIRouter(prefix="/api", tags=["network"])


@router.get(
    "/network/status",
    summary="The state of every validator",
    response_model=NetworkStatus,
    response_description="As far as it is known",
)
async def network_status(request: Request) -> Response:
    """Every validator of the inventory, with its status and the reason for it, and a summary.

    The answer is kept for a few seconds and shared. When Prometheus is slow or gone, the last answer comes with its
    age; when that is too old, every status is `unknown`. A number that is not known is null, never 0.
    """
    return Response(await services_of(request).network.status_body(), media_type="application/json")


@router.get(
    "/validator/{number}",
    summary="One validator in detail",
    response_model=ValidatorDetails,
    response_description="As far as it is known",
    responses={
        404: {
            "model": UnknownValidator,
            "description": "No such validator in the inventory; the answer names those there are.",
        },
        **document(_422="Not a validator's number at all"),
    },
)
async def validator(
    request: Request,
    number: Annotated[str, Path(max_length=32, description="Its number in the inventory.", examples=["1"])],
) -> ValidatorDetails:
    """Its status and why, its metrics as Prometheus names them, and the last hour of height and peers."""
    services = services_of(request)
    one = services.listed(number)
    if one is None:
        known = [listed.number for listed in services.settings.validators]
        text = f"No validator {number!r}. There are: {', '.join(map(str, known))}."
        raise ProblemError(404, UnknownValidator(detail=text, known=known))
    status, past, metrics = await asyncio.gather(
        services.network.status(), services.histories.get(), services.details.get(one)
    )
    own = next(validator for validator in status.validators if validator.number == one.number)
    target = services.network.fact(one, "sync_target")
    return ValidatorDetails(
        **{**dict(services.network.source()), **dict(own)},
        sync_target=None if target is None else int(target),
        metrics=metrics,
        history=_history(past, number),
    )


def _history(past: Stamped[Past] | None, label: str) -> History | None:
    if past is None:
        return None
    span = past.value
    return History(
        age_seconds=round(past.age(), 1),
        start=span.start,
        end=span.end,
        step_seconds=span.step,
        block_height=list(span.heights.get(label, ())),
        peers=list(span.peers.get(label, ())),
    )
