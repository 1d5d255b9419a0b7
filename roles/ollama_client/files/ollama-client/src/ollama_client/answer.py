# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question as it goes to Ollama, and an answer with where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that shapes an answer."""

    model: str
    prompt: str
    system: str
    schema: Mapping[str, Any] | None
    options: Mapping[str, int | float]
    servers: tuple[str, ...]

    def key(self) -> str:
        """Return the hash under which its answer is kept."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1)]
    model: str
    endpoint: Annotated[str, Field(description="Name of the endpoint that answered.")]
    seconds: Annotated[float, Field(ge=0, description="From the question to the last token.")]
    tokens_in: Annotated[int, Field(ge=0, description="Tokens of the prompt, as Ollama counted them.")]
    tokens_out: Annotated[int, Field(ge=0)]
    complete: Annotated[bool, Field(description="False: it ends where prompt.answer_tokens cut it.")]
    cached: Annotated[bool, Field(description="It was given before, at most cache.seconds ago.")] = False
