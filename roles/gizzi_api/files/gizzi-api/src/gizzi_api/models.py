# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["offline", "isolated", "lagging", "syncing", "unknown", "healthy"]

# The order of the page: what needs a person first.
WORST_FIRST: tuple[Status, ...] = ("offline", "isolated", "lagging", "unknown", "syncing", "healthy")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Validator(Model):
    number: Annotated[int, Field(description="Its number in the inventory and its label in Prometheus.", examples=[1])]
    name: Annotated[str, Field(examples=["validator01"])]
    status: Annotated[Status, Field(examples=["lagging"])]
    reason: Annotated[
        str, Field(description="Why it has this status.", examples=["34 blocks behind the best (limit 10)"])
    ]
    block_height: Annotated[int | None, Field(description="Its best block; null when unknown.", examples=[1403422])]
    finalized_height: Annotated[int | None, Field(description="Null when unknown.", examples=[1403419])]
    peers: Annotated[int | None, Field(description="Connected peers; null when unknown.", examples=[18])]
    lag: Annotated[
        int | None,
        Field(description="Blocks behind the best of the network; null when that is unknown.", examples=[34]),
    ]
    age_seconds: Annotated[
        float | None,
        Field(description="Since Prometheus last tried to read it; null when it never did.", examples=[3.2]),
    ]


class Summary(Model):
    validators: Annotated[int, Field(description="How many the inventory has.", examples=[21])]
    by_status: Annotated[
        dict[Status, int],
        Field(examples=[{"offline": 0, "isolated": 0, "lagging": 1, "unknown": 0, "syncing": 0, "healthy": 20}]),
    ]
    best_height: Annotated[
        int | None,
        Field(
            description="The highest that more than a third of those with fresh facts, and at least two, have reached.",
            examples=[1403456],
        ),
    ]
    finalized_height: Annotated[int | None, Field(description="The same of finalized blocks.", examples=[1403453])]
    spread: Annotated[int | None, Field(description="Blocks between the best and the lowest.", examples=[34])]


class Source(Model):
    """How good the data is."""

    generated_at: Annotated[datetime, Field(description="When this answer was put together.")]
    age_seconds: Annotated[
        float | None, Field(description="Since Prometheus answered; null when it never did.", examples=[1.4])
    ]
    stale: Annotated[bool, Field(description="Too old to judge by: every status is `unknown`.", examples=[False])]
    error: Annotated[
        str | None,
        Field(description="Why the latest attempt to renew the data failed.", examples=[None]),
    ]


class NetworkStatus(Source):
    summary: Summary
    validators: list[Validator]


Point = tuple[int, int]


class History(Model):
    """Of the last hour; where nothing is known there is no point."""

    age_seconds: Annotated[float, Field(examples=[12.5])]
    start: Annotated[int, Field(description="Unix time.", examples=[1795341600])]
    end: Annotated[int, Field(description="Unix time.", examples=[1795345200])]
    step_seconds: Annotated[int, Field(examples=[60])]
    block_height: Annotated[
        list[Point], Field(description="Pairs of Unix time and value.", examples=[[(1795345140, 1403421)]])
    ]
    peers: Annotated[list[Point], Field(examples=[[(1795345140, 18)]])]


class ValidatorDetails(Source, Validator):
    """One validator. ``age_seconds`` is its own, as in the network's status."""

    sync_target: Annotated[int | None, Field(description="Where a major sync leads to.", examples=[1403456])]
    metrics: Annotated[
        dict[str, float] | None,
        Field(
            description="Its metrics as Prometheus names them; null when they could not be read.",
            examples=[{"substrate_node_roles": 4, 'substrate_block_height{status="best"}': 1403422}],
        ),
    ]
    history: Annotated[History | None, Field(description="Null when it could not be read.")]


class Health(Model):
    status: Literal["ok"]
    version: Annotated[str, Field(examples=["1.0.0"])]


class Readiness(Model):
    ready: bool
    reasons: Annotated[list[str], Field(examples=[[]])]


class Problem(Model):
    detail: Annotated[str, Field(description="What is wrong, for a person.")]


class UnknownValidator(Problem):
    known: Annotated[list[int], Field(description="The numbers of the inventory.", examples=[[1, 2, 3]])]


class QueryAnswer(BaseModel):
    """Prometheus' own answer, unchanged."""

    status: Literal["success"]
    data: Annotated[
        dict[str, object],
        Field(
            description="resultType and result, as Prometheus' HTTP API has them.",
            examples=[
                {
                    "resultType": "vector",
                    "result": [{"metric": {"validator": "1"}, "value": [1795345200.123, "1403422"]}],
                }
            ],
        ),
    ]
