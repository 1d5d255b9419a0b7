# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: a question goes to the first endpoint that answers, and comes back as an answer or as an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from pydantic import BaseModel

from ollama_client import gizzi_api, prompts, schema
from ollama_client.answer import Answer, Question
from ollama_client.attempt import Attempt
from ollama_client.cache import Cache, MemoryCache, NoCache
from ollama_client.deadline import Deadline
from ollama_client.endpoints import Pool
from ollama_client.prompts import Data
from ollama_client.settings import Endpoint, Settings, at, load

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


class OllamaClient:
    """For use by many threads.

    Args:
        host: the only server to ask, such as "http://10.0.0.1:11434", with the token and the CA that the settings have
            for it; without it those of the settings.
        model: in place of the settings' model.
        settings: in place of /etc/gizzi/client.toml and the environment.
        cache: in place of one in memory.

    Errors: SettingsError.
    """

    def __init__(
        self,
        host: str | None = None,
        model: str | None = None,
        *,
        settings: Settings | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.settings = settings or load()
        self.model = model or self.settings.model
        self._endpoints = (self._known(at(host)),) if host else self.settings.endpoints
        self._pool = Pool(self._endpoints, self.settings.failover)
        self._cache = cache or MemoryCache(self.settings.cache.seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing stays open between two calls."""

    def query(
        self,
        prompt: str,
        system_prompt: str | None = None,
        *,
        data: Sequence[Data] = (),
        fresh: bool = False,
        timeout: float | None = None,
    ) -> str:
        """Return the answer's text.

        Args:
            prompt: the question.
            system_prompt: instructions for the model.
            data: what to look at: fenced, and cut to what fits.
            fresh: True: not from the cache, and not kept there.
            timeout: seconds for the whole call, in place of the settings' deadlines.total.

        Errors: OllamaError, NoEndpointError, DeadlineError, PromptError, SettingsError.
        """
        return self.ask(prompt, system_prompt, data=data, fresh=fresh, timeout=timeout).text

    def ask(
        self,
        prompt: str,
        system_prompt: str | None = None,
        *,
        data: Sequence[Data] = (),
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Answer:
        """As ``query``, with where the answer came from and what it took."""
        question = self._question(prompt, system_prompt, data, None)
        answer, _unused = self._answer(question, lambda answer: None, fresh, timeout)
        return answer

    def stream(
        self,
        prompt: str,
        system_prompt: str | None = None,
        *,
        data: Sequence[Data] = (),
        fresh: bool = False,
        timeout: float | None = None,
        done: Callable[[Answer], object] = lambda answer: None,
    ) -> Iterator[str]:
        """Yield the answer as it comes. An error after the first piece is raised: the rest is not made up elsewhere.

        Args and errors as for ``query``; ``done`` is called with the whole answer after the last piece.
        """
        question = self._question(prompt, system_prompt, data, None)
        deadline = self._deadline(timeout)
        with self._kept(fresh).slot(question.key(), deadline) as slot:
            answer = slot.read()
            if answer is not None:
                answer = answer.model_copy(update={"cached": True})
                yield answer.text
            else:
                for attempt in self._pool.tries(deadline):
                    with attempt as endpoint:
                        stream = Attempt(endpoint, question, self.settings.deadlines, deadline, attempt.patience)
                        for piece in stream:
                            attempt.shown()
                            yield piece
                        answer = stream.answer()
                        slot.write(answer)
                        break
        assert answer is not None
        done(answer)

    @overload
    def query_json(
        self,
        prompt: str,
        schema: type[Model],
        system_prompt: str | None = ...,
        *,
        data: Sequence[Data] = ...,
        fresh: bool = ...,
        timeout: float | None = ...,
    ) -> Model: ...

    @overload
    def query_json(
        self,
        prompt: str,
        schema: Mapping[str, Any],
        system_prompt: str | None = ...,
        *,
        data: Sequence[Data] = ...,
        fresh: bool = ...,
        timeout: float | None = ...,
    ) -> Any: ...

    def query_json(
        self,
        prompt: str,
        schema: schema.Schema,
        system_prompt: str | None = None,
        *,
        data: Sequence[Data] = (),
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Return an object of the class ``schema``, or one that fits the JSON schema ``schema``.

        Args and errors as for ``query``, and SchemaError for an answer that does not fit, which is not kept.
        """
        return self.ask_json(prompt, schema, system_prompt, data=data, fresh=fresh, timeout=timeout)[1]

    def ask_json(
        self,
        prompt: str,
        wanted: schema.Schema,
        system_prompt: str | None = None,
        *,
        data: Sequence[Data] = (),
        fresh: bool = False,
        timeout: float | None = None,
    ) -> tuple[Answer, Any]:
        """As ``query_json``, with where the answer came from and what it took."""
        question = self._question(prompt, system_prompt, data, schema.document(wanted))
        return self._answer(question, lambda answer: schema.validate(answer, wanted), fresh, timeout)

    def query_gizzi_api(self, api_endpoint: str, analysis_prompt: str, *, fresh: bool = False) -> str:
        """Return what the model says about an answer of the Gizzi API.

        Args:
            api_endpoint: its path, such as "/api/network/status".
            analysis_prompt: what to find out.

        Errors: GizziApiError (StaleDataError for data that is too old to judge by), and those of ``query``.
        """
        found = self.api_data(api_endpoint)
        return self.query(analysis_prompt, data=[found], fresh=fresh)

    def api_data(self, api_endpoint: str) -> Data:
        """Return an answer of the Gizzi API as data for a prompt. Errors: GizziApiError."""
        answer = gizzi_api.get(self.settings.api, api_endpoint)
        gizzi_api.refuse_stale(answer, self.settings.api)
        return Data(f"Gizzi API {api_endpoint}", prompts.compact(answer))

    def network_status(self) -> gizzi_api.NetworkStatus:
        """Return the state of every validator, from the Gizzi API. Errors: GizziApiError."""
        return gizzi_api.network_status(self.settings.api)

    def _question(
        self, prompt: str, own_system: str | None, data: Sequence[Data], wanted: Mapping[str, Any] | None
    ) -> Question:
        limits = self.settings.prompt
        system = prompts.system(own_system, data)
        room = limits.context_tokens - limits.answer_tokens - prompts.tokens(system) - prompts.MARGIN
        return Question(
            model=self.model,
            prompt=prompts.compose(prompt, data, room),
            system=system,
            schema=wanted,
            options={
                "num_ctx": limits.context_tokens,
                "num_predict": limits.answer_tokens,
                "temperature": limits.temperature,
            },
            servers=tuple(endpoint.address for endpoint in self._endpoints),
        )

    def _answer(
        self, question: Question, check: Callable[[Answer], T], fresh: bool, timeout: float | None
    ) -> tuple[Answer, T]:
        """Return a whole answer that passes ``check``. Another endpoint is asked after a failure."""
        deadline = self._deadline(timeout)
        with self._kept(fresh).slot(question.key(), deadline) as slot:
            if (kept := slot.read()) is not None:
                return kept.model_copy(update={"cached": True}), check(kept)
            for attempt in self._pool.tries(deadline):
                with attempt as endpoint:
                    stream = Attempt(endpoint, question, self.settings.deadlines, deadline, attempt.patience)
                    for _unused in stream:
                        pass
                    answer = stream.answer()
                    break
            checked = check(answer)
            slot.write(answer)
            return answer, checked

    def _known(self, endpoint: Endpoint) -> Endpoint:
        """Return the settings' endpoint at the same address, if there is one: it has the token and the CA."""
        return next((one for one in self.settings.endpoints if one.address == endpoint.address), endpoint)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.settings.deadlines.total if timeout is None else timeout)

    def _kept(self, fresh: bool) -> Cache:
        return NoCache() if fresh or not self.settings.cache.seconds else self._cache
