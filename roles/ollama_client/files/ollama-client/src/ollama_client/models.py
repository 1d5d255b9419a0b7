# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models a server has, and which of them are loaded."""

from __future__ import annotations

import re
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
# A Modelfile as the server writes it names files of its store.
_WEIGHTS = re.compile(r"^(?:FROM|DRAFT|ADAPTER) .{0,4096}\bsha256[-:]([0-9a-f]{64})$", re.MULTILINE)


class Held(BaseModel):
    """A model that a server has. ``size`` in bytes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    size: Annotated[int, Field(ge=0)]
    digest: str = ""

    @property
    def known_by(self) -> str:
        return self.digest or self.name


class Shown(BaseModel):
    """An answer of /api/show: of which files a model is."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    modelfile: str

    @property
    def weights(self) -> frozenset[str]:
        """What is read into memory for it: weights, projectors, draft and adapters; empty where they are not named."""
        return frozenset(_WEIGHTS.findall(self.modelfile))


class Listing(BaseModel):
    """An answer of /api/tags or /api/ps."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    models: list[Held]


def listed(endpoint: Endpoint) -> list[tuple[Held, bool]]:
    """Return each model of a server, and whether it is loaded.

    A model made from another shares its weights and may be loaded under that one's name: it is loaded, too. Where the
    server does not say which weights a model has, they are nobody else's.

    Errors: OllamaError, PromptError, SettingsError.
    """
    deadline = Deadline(PATIENCE)
    held = sorted(_asked(endpoint, "/api/tags", Listing, deadline).models, key=lambda one: one.name)
    entries = {one.known_by for one in _asked(endpoint, "/api/ps", Listing, deadline).models}
    if not entries:
        return [(one, False) for one in held]
    weights = {one: _weights(endpoint, one, deadline) for one in held}
    loaded = {weights[one] for one in held if one.known_by in entries} - {frozenset()}
    return [(one, one.known_by in entries or weights[one] in loaded) for one in held]


def _weights(endpoint: Endpoint, held: Held, deadline: Deadline) -> frozenset[str]:
    try:
        return _asked(endpoint, "/api/show", Shown, deadline, {"model": held.name}).weights
    except errors.GizziError:
        return frozenset()


def _asked(endpoint: Endpoint, path: str, answer: type[Answered], deadline: Deadline, body: object = None) -> Answered:
    def failed(
        kind: type[errors.PromptError | errors.OllamaError], text: str, hint: str | None = None
    ) -> errors.GizziError:
        return kind(text, endpoint=endpoint.name, elapsed=deadline.elapsed(), hint=hint)

    try:
        status, said = fetch(endpoint.address + path, deadline, endpoint.tls, endpoint.headers(), body)
    except (httpx.HTTPError, OSError, ValueError) as error:
        text = f"no connection to {endpoint.address}: {cause.of(error)}"
        raise failed(errors.UnreachableError, text, cause.hint(error)) from error
    if status != httpx.codes.OK:
        found = fault.judge(status, said.decode("utf-8", "replace"))
        raise failed(found.kind, found.message, fault.hint(found, endpoint))
    try:
        return answer.model_validate_json(said)
    except ValidationError as error:
        raise failed(errors.NotOllamaError, f"what answers at {endpoint.address} is not Ollama") from error
