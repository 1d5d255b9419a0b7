# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gizzi API: what it says, as long as it is the Gizzi API that says it, and in time."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from ollama_client import cause
from ollama_client.deadline import Deadline
from ollama_client.errors import ApiAnswerError, ApiRefusedError, ApiUnreachableError, StaleDataError
from ollama_client.fetch import fetch
from ollama_client.settings import Api

STATUS = "/api/network/status"
VALIDATOR = "/api/validator/"
# The only path that wants the token, and so the only one that gets it.
QUERY = "/api/prometheus/query"
Answered = TypeVar("Answered", bound="Model")
Status = Literal["offline", "isolated", "lagging", "unknown", "syncing", "healthy"]
WORST_FIRST: tuple[Status, ...] = ("offline", "isolated", "lagging", "unknown", "syncing", "healthy")


class Model(BaseModel):
    # A later API may say more.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Validator(Model):
    """Null is not known. Heights in blocks, ages in seconds."""

    number: int
    name: str
    status: Status
    reason: str
    block_height: int | None
    finalized_height: int | None
    peers: int | None
    lag: int | None
    age_seconds: float | None


class Summary(Model):
    best_height: int | None
    finalized_height: int | None
    spread: int | None


class Source(Model):
    """``stale``: too old to judge by; ``error``: why the API could not renew it."""

    stale: bool
    error: str | None


class History(Model):
    """Of the last hour: pairs of Unix time and value. ``age_seconds``: since it was read."""

    age_seconds: float
    block_height: list[tuple[int, float]]
    peers: list[tuple[int, float]]


class Details(Source, Validator):
    """One validator; what could not be had is null."""

    sync_target: int | None
    metrics: dict[str, float] | None
    history: History | None


class NetworkStatus(Source):
    generated_at: str
    age_seconds: float | None
    summary: Summary
    validators: list[Validator]

    def worst_first(self) -> list[Validator]:
        return sorted(self.validators, key=lambda one: (WORST_FIRST.index(one.status), one.number))


def get(api: Api, path: str) -> Any:
    """Return an answer of the API.

    Args:
        api: where it is.
        path: with its query, such as "/api/network/status".

    Errors: GizziApiError, SettingsError.
    """
    deadline = Deadline(api.timeout)
    if not path.startswith("/") or path.startswith("//"):
        raise ApiRefusedError(f"not a path of the API: {path!r}", 0, endpoint=api.address, elapsed=0.0)
    try:
        headers = api.headers() if path.partition("?")[0] == QUERY else {}
        status, body = fetch(api.address + path, deadline, api.tls, headers)
    except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
        text = f"no connection: {cause.of(error)}"
        elapsed, hint = deadline.elapsed(), cause.hint(error)
        raise ApiUnreachableError(text, endpoint=api.address, elapsed=elapsed, hint=hint) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        text = f"no answer: {cause.of(error)}"
        raise ApiUnreachableError(text, endpoint=api.address, elapsed=deadline.elapsed()) from error
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        text = f"HTTP {status}, and no JSON: it is not the Gizzi API that answers"
        raise ApiAnswerError(text, endpoint=api.address, elapsed=deadline.elapsed()) from error
    if status != 200:
        told = answer.get("detail") if isinstance(answer, dict) else None
        text = f"HTTP {status}" + (f": {str(told)[:200]}" if told else "")
        raise ApiRefusedError(text, status, endpoint=api.address, elapsed=deadline.elapsed())
    return answer


def refuse_stale(answer: Any, api: Api) -> None:
    """Raise StaleDataError if the API says itself that its data is too old to judge by."""
    if isinstance(answer, dict) and answer.get("stale"):
        why = f": {answer['error']}" if answer.get("error") else ""
        raise StaleDataError(f"its data is too old to judge by{why}", endpoint=api.address)


def network_status(api: Api) -> NetworkStatus:
    """Return the state of every validator. Errors: GizziApiError, SettingsError."""
    return _checked(NetworkStatus, get(api, STATUS), api)


def validator(api: Api, which: str) -> Details:
    """Return the state of one validator.

    Args:
        api: where it is.
        which: its number, or its name.

    Errors: GizziApiError (ApiRefusedError for one that there is not), SettingsError.
    """
    number = which
    if not (which.isascii() and which.isdecimal()):
        deadline = Deadline(api.timeout)
        there = {one.name: str(one.number) for one in network_status(api).validators}
        if which not in there:
            text = f"there is no validator {which!r}; there are {', '.join(there) or 'none'}"
            raise ApiRefusedError(text, 404, endpoint=api.address, elapsed=deadline.elapsed())
        number = there[which]
    return _checked(Details, get(api, VALIDATOR + number), api)


def _checked(model: type[Answered], answer: Any, api: Api) -> Answered:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApiAnswerError(f"not the answer of a Gizzi API: {where}: {first['msg']}", endpoint=api.address) from error
