# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at one endpoint: Ollama's stream with deadlines, and its failures as typed errors."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from ollama_client import cause, errors, fault, wire
from ollama_client.answer import Answer, Question
from ollama_client.deadline import Deadline, LimitedTransport, Pace, retry_after
from ollama_client.settings import Deadlines, Endpoint
from ollama_client.thoughts import Thoughts
from ollama_client.wire import Part

Kind = TypeVar("Kind", bound=errors.PromptError | errors.OllamaError)
# Ollama stops a model at the piece that is the 31st to equal the one before it, blanks around them aside, and does not
# send that one: 31 equal ones came, or 30 if they are the first and blank. 0.34.2 waits longer, and says so.
# https://github.com/ollama/ollama/blob/v0.9.3/llm/server.go (tokenRepeat)
EQUAL_PIECES = 30


@dataclass
class Attempt:
    """Iterate over it for the pieces of text; ``answer()`` has the whole when they have ended.

    Attributes:
        patience: seconds for the first token, if that is less than the settings say: the next server needs time too.
    """

    endpoint: Endpoint
    question: Question
    deadlines: Deadlines
    whole: Deadline
    patience: float
    _thoughts: Thoughts = field(default_factory=Thoughts)
    _pieces: list[str] = field(default_factory=list)
    _thought: bool = False
    # The latest piece, and how many equal ones it is the last of. 0: nothing came yet.
    _latest: str = ""
    _equal: int = 0
    _last: Part | None = None

    def __iter__(self) -> Iterator[str]:
        """Ask. Errors: OllamaError, PromptError, SettingsError."""
        own = Deadline(self.whole.remaining())
        pace = Pace(min(self.deadlines.first_token, self.patience), self.deadlines.stall, self.whole)
        with self._typed(own), self._client(pace) as client, closing(self._parts(client)) as parts:
            for part in parts:
                pace.token()
                self._check_model(part, own)
                self._look(part)
                if said := self._said(part):
                    self._pieces.append(said)
                    yield said
                    # The time that the caller takes is not the server's.
                    pace.token()
                if part.done:
                    self._last = part
                    break
        if self._last is None:
            raise self._without_end(own)
        if not "".join(self._pieces).strip():
            raise self._empty(self._last, own)

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
    def _client(self, pace: Pace) -> Iterator[httpx.Client]:
        # One for each attempt: its connection knows this attempt's deadline. The environment has no say in where a
        # prompt goes or what goes along, and neither has a redirect.
        with httpx.Client(
            headers=self.endpoint.headers(),
            transport=LimitedTransport(pace, self.endpoint.tls),
            timeout=httpx.Timeout(None, connect=self.deadlines.connect),
            follow_redirects=False,
            trust_env=False,
        ) as client:
            yield client

    def _parts(self, client: httpx.Client) -> Generator[Part]:
        return wire.parts(client, self.endpoint.address, self.question)

    def _check_model(self, part: Part, own: Deadline) -> None:
        if not part.model:
            raise self._cut_off(own)
        if _tagged(part.model) != _tagged(self.question.model):
            text = f"asked for the model {self.question.model}, and {part.model} answered"
            raise self._error(errors.WrongModelError, text, own)

    def _said(self, part: Part) -> str:
        said = self._thoughts.said(part.response)
        return said + self._thoughts.rest() if part.done else said

    def _look(self, part: Part) -> None:
        """Keep in mind what tells a model that was stopped from an answer that broke off."""
        self._thought = self._thought or bool(part.thinking)
        piece = (part.response or part.thinking or "").strip()
        self._equal = self._equal + 1 if piece == self._latest else 1
        self._latest = piece

    @contextmanager
    def _typed(self, own: Deadline) -> Iterator[None]:
        """Turn what comes of the network and of Ollama into this package's errors."""
        try:
            yield
        except wire.AnsweredError as error:
            raise self._answered(error, own) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            text = f"no connection to {self.endpoint.address}: {cause.of(error)}"
            unreachable = self._error(errors.UnreachableError, text, own, cause.hint(error))
            unreachable.restarts = cause.is_refusal(error)
            raise unreachable from error
        except (TimeoutError, httpx.TimeoutException) as error:
            waited = "the answer stopped coming" if self._equal else "no token came, as from a server that is busy"
            raise self._error(errors.SlowError, waited, own) from error
        except httpx.HTTPError as error:
            if self._equal:
                raise self._cut_off(own) from error
            broken = self._error(errors.UnreachableError, "the connection broke before the first token", own)
            broken.restarts = isinstance(error, httpx.NetworkError)
            raise broken from error
        except ValueError as error:
            # Lines that are no JSON, or not Ollama's.
            raise self._cut_off(own) from error

    def _without_end(self, own: Deadline) -> errors.OllamaError:
        """The stream ended in good order, and Ollama did not say that the answer had ended."""
        if self._equal >= EQUAL_PIECES:
            return self._error(errors.RepeatedError, errors.REPEATED, own)
        return self._cut_off(own)

    def _cut_off(self, own: Deadline) -> errors.OllamaError:
        if self._equal:
            return self._error(errors.CutOffError, "the answer broke off", own)
        return self._error(errors.NotOllamaError, "what answers there is not Ollama, or broke off at once", own)

    def _empty(self, last: Part, own: Deadline) -> errors.OllamaError:
        if not (self._thought or self._thoughts.any):
            return self._error(errors.EmptyAnswerError, "the answer is empty", own)
        cut = ", and prompt.answer_tokens was used up by that" if last.done_reason == "length" else ""
        text = f"the model {self.question.model} only thought{cut}; the answer is empty"
        return self._error(errors.OnlyThoughtError, text, own)

    def _answered(self, error: wire.AnsweredError, own: Deadline) -> errors.PromptError | errors.OllamaError:
        found = fault.judge(error.status, error.body, error.headers.get("location"))
        made = self._error(found.kind, found.message, own, fault.hint(found, self.endpoint))
        if isinstance(made, errors.BusyError):
            made.after = retry_after(error.headers.get("retry-after"))
        return made

    def _error(self, kind: type[Kind], text: str, own: Deadline, hint: str | None = None) -> Kind:
        return kind(text, endpoint=self.endpoint.name, elapsed=own.elapsed(), hint=hint)


def _tagged(model: str) -> str:
    """Return a model's name with its tag: x is x:latest."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"
