# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at one endpoint: Ollama's stream with deadlines, and its failures as typed errors."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import ollama

from ollama_client import errors
from ollama_client.answer import Answer, Question
from ollama_client.deadline import Deadline, Pace, retry_after, transport
from ollama_client.settings import Deadlines, Endpoint

Kind = TypeVar("Kind", bound=errors.OllamaError)
# Of an error page, so much is told.
TOLD = 200


@dataclass
class Attempt:
    """Iterate over it for the pieces of text; ``answer()`` has the whole when they have ended."""

    endpoint: Endpoint
    question: Question
    deadlines: Deadlines
    whole: Deadline
    _pieces: list[str] = field(default_factory=list)
    _last: ollama.GenerateResponse | None = None
    _after: float | None = None

    def __iter__(self) -> Iterator[str]:
        """Ask. Errors: OllamaError, SettingsError."""
        own = Deadline(self.whole.remaining())
        pace = Pace(self.deadlines.first_token, self.deadlines.stall, self.whole)
        with self._typed(own), self._client(pace) as client, closing(self._parts(client)) as parts:
            for part in parts:
                pace.token()
                self._check_model(part, own)
                if part.response:
                    self._pieces.append(part.response)
                    yield part.response
                    # The time that the caller takes is not the server's.
                    pace.token()
                if part.done:
                    self._last = part
                    break
        if self._last is None:
            raise self._cut_off(own)
        if not "".join(self._pieces).strip():
            raise self._error(errors.EmptyAnswerError, "the answer is empty", own)

    def answer(self) -> Answer:
        """Return the whole answer, after the last piece."""
        assert self._last is not None
        return Answer(
            text="".join(self._pieces).strip(),
            model=self.question.model,
            endpoint=self.endpoint.name,
            seconds=self.whole.elapsed(),
            tokens_in=self._last.prompt_eval_count or 0,
            tokens_out=self._last.eval_count or 0,
            complete=self._last.done_reason != "length",
        )

    @contextmanager
    def _client(self, pace: Pace) -> Iterator[ollama.Client]:
        # One for each attempt: its connection knows this attempt's deadline. The environment has no say in where a
        # prompt goes or what goes along, and neither has a redirect.
        headers = self.endpoint.headers()
        client = ollama.Client(
            self.endpoint.address,
            headers=headers,
            event_hooks={"request": [] if headers else [_without_key], "response": [self._heed]},
            transport=transport(pace, self.endpoint.tls),
            timeout=httpx.Timeout(None, connect=self.deadlines.connect),
            follow_redirects=False,
            trust_env=False,
        )
        with client:
            yield client

    def _heed(self, response: httpx.Response) -> None:
        # The library's error has no headers.
        self._after = retry_after(response.headers.get("retry-after"))

    def _parts(self, client: ollama.Client) -> Generator[ollama.GenerateResponse]:
        asked = self.question
        yield from client.generate(
            model=asked.model,
            prompt=asked.prompt,
            system=asked.system,
            format=dict(asked.schema) if asked.schema is not None else None,
            options=dict(asked.options),
            stream=True,
        )

    def _check_model(self, part: ollama.GenerateResponse, own: Deadline) -> None:
        if not part.model:
            raise self._cut_off(own)
        if _tagged(part.model) != _tagged(self.question.model):
            text = f"asked for the model {self.question.model}, and {part.model} answered"
            raise self._error(errors.WrongModelError, text, own)

    @contextmanager
    def _typed(self, own: Deadline) -> Iterator[None]:
        """Turn what the libraries raise into this package's errors."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            text = "no connection" + (" in time" if isinstance(error, httpx.ConnectTimeout) else "")
            raise self._error(errors.UnreachableError, text, own) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            waited = "the answer stopped coming" if self._pieces else "no token came"
            raise self._error(errors.SlowError, waited, own) from error
        except ollama.ResponseError as error:
            raise self._answered(error, own) from error
        except httpx.HTTPStatusError as error:
            raise self._error(errors.NotOllamaError, f"HTTP {error.response.status_code}", own) from error
        except httpx.HTTPError as error:
            if self._pieces:
                raise self._cut_off(own) from error
            raise self._error(errors.UnreachableError, "the connection broke before the first token", own) from error
        except (ValueError, TypeError, AttributeError) as error:
            # What the library says about lines that are no JSON, or not Ollama's.
            raise self._cut_off(own) from error

    def _cut_off(self, own: Deadline) -> errors.OllamaError:
        if self._pieces:
            return self._error(errors.CutOffError, "the answer broke off", own)
        return self._error(errors.NotOllamaError, "what answers there is not Ollama, or broke off at once", own)

    def _answered(self, error: ollama.ResponseError, own: Deadline) -> errors.OllamaError:
        told = " ".join(error.error.split())[:TOLD]
        match error.status_code:
            case 429 | 503:
                busy = self._error(errors.BusyError, f"its queue is full (HTTP {error.status_code})", own)
                busy.after = self._after
                return busy
            case 401 | 403:
                return self._error(errors.RefusedError, f"it refuses (HTTP {error.status_code})", own)
            case 404 if "model" in told:
                return self._error(errors.ModelMissingError, f"it does not have the model: {told}", own)
            case status if 300 <= status < 500:
                return self._error(errors.NotOllamaError, f"HTTP {status}: {told}", own)
            case -1:
                return self._error(errors.ServerError, f"it failed in the middle of the answer: {told}", own)
            case status:
                return self._error(errors.ServerError, f"HTTP {status}: {told}", own)

    def _error(self, kind: type[Kind], text: str, own: Deadline) -> Kind:
        return kind(text, endpoint=self.endpoint.name, elapsed=own.elapsed())


def _without_key(request: httpx.Request) -> None:
    """Take out the key of the environment, which the library adds: it is Ollama's cloud's, not this endpoint's."""
    request.headers.pop("authorization", None)


def _tagged(model: str) -> str:
    """Return a model's name with its tag: x is x:latest."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"
