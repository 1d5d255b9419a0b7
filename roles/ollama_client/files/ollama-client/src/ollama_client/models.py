# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models a server has, and which of them are loaded."""

from __future__ import annotations

from typing import Annotated, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ollama_client import cause, errors, fault
from ollama_client.deadline import Deadline
from ollama_client.fetch import fetch
from ollama_client.settings import Endpoint

Answered = TypeVar("Answered", bound=BaseModel)
# What a server knows without a look at its models takes no longer.
PATIENCE = 10.0  # seconds


class Held(BaseModel):
    """A model that a server has. ``size`` in bytes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    size: Annotated[int, Field(ge=0)]
    digest: str = ""


class Listing(BaseModel):
    """An answer of /api/tags or /api/ps."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    models: list[Held]


def listed(endpoint: Endpoint) -> list[tuple[Held, bool]]:
    """Return each model of a server, and whether it is loaded.

    A model made from another shares its weights and may be loaded under that one's name: it counts as not loaded.

    Errors: OllamaError, PromptError, SettingsError.
    """
    deadline = Deadline(PATIENCE)
    held = _get(endpoint, "/api/tags", deadline)
    loaded = {(one.name, one.digest) for one in _get(endpoint, "/api/ps", deadline).models}
    return [(one, (one.name, one.digest) in loaded) for one in sorted(held.models, key=lambda one: one.name)]


def _get(endpoint: Endpoint, path: str, deadline: Deadline) -> Listing:
    def failed(
        kind: type[errors.PromptError | errors.OllamaError], text: str, hint: str | None = None
    ) -> errors.GizziError:
        return kind(text, endpoint=endpoint.name, elapsed=deadline.elapsed(), hint=hint)

    try:
        status, body = fetch(endpoint.address + path, deadline, endpoint.tls, endpoint.headers())
    except (httpx.HTTPError, OSError, ValueError) as error:
        text = f"no connection to {endpoint.address}: {cause.of(error)}"
        raise failed(errors.UnreachableError, text, cause.hint(error)) from error
    if status != httpx.codes.OK:
        found = fault.judge(status, body.decode("utf-8", "replace"))
        raise failed(found.kind, found.message, fault.hint(found, endpoint))
    try:
        return Listing.model_validate_json(body)
    except ValidationError as error:
        raise failed(errors.NotOllamaError, f"what answers at {endpoint.address} is not Ollama") from error
