# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's POST /api/generate: what is sent, and what comes back line by line."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict

from ollama_client.answer import Question

# The longest line is the last one: it has the number of every token of the context.
MAX_LINE = 4_000_000
# Of an answer that is an error, so much is read.
MAX_ERROR = 65_536


class Part(BaseModel):
    """One line of an answer: https://github.com/ollama/ollama/blob/main/docs/api.md."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = ""
    response: str = ""
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


class AnsweredError(Exception):
    """Ollama, or what stands in its place, answered with an error.

    Attributes:
        status: of HTTP; None for an error in the middle of an answer.
        body: what came, as text.
        headers: those of the answer.
    """

    def __init__(self, status: int | None, body: str, headers: httpx.Headers) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.headers = headers


def request(asked: Question) -> dict[str, Any]:
    """Return the body of the request."""
    return {
        "model": asked.model,
        "prompt": asked.prompt,
        "system": asked.system,
        "options": dict(asked.options),
        "stream": True,
        # Unset, a model that thinks puts all it says into its thoughts, even the JSON of a schema.
        "think": False,
        # Unset, a prompt longer than the context loses its first half in silence. (Ollama 0.9 does not know it.)
        "truncate": False,
    } | ({"format": dict(asked.schema)} if asked.schema is not None else {})


def parts(client: httpx.Client, address: str, asked: Question) -> Generator[Part]:
    """Ask, and yield each line that came.

    Args:
        client: with its deadlines.
        address: the server's URL, without a slash at its end.
        asked: the question.

    Errors: AnsweredError, httpx.HTTPError, TimeoutError, ConnectionError; ValueError for what is not Ollama's.
    """
    # In ASCII, so that no text is too odd to be sent; and as it is, so that a few bytes do not become many.
    body = json.dumps(request(asked)).encode("ascii")
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    with client.stream("POST", f"{address}/api/generate", content=body, headers=headers) as answer:
        if answer.status_code != httpx.codes.OK:
            raise AnsweredError(answer.status_code, _text(answer), answer.headers)
        for line in _lines(answer):
            part = Part.model_validate_json(line)
            if isinstance(part.error, str):
                raise AnsweredError(None, line.decode("utf-8", "replace"), answer.headers)
            yield part


def _lines(answer: httpx.Response) -> Iterator[bytes]:
    rest = b""
    for data in answer.iter_raw():
        *whole, rest = (rest + data).split(b"\n")
        yield from filter(bytes.strip, whole)
        if len(rest) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE} bytes")
    if rest.strip():
        yield rest


def _text(answer: httpx.Response) -> str:
    read = b""
    for data in answer.iter_raw():
        read += data
        if len(read) >= MAX_ERROR:
            break
    return read[:MAX_ERROR].decode("utf-8", "replace")
