# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client as commands use it: with the cache that all of them share, and in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ollama_client import prices
from ollama_client.answer import Answer
from ollama_client.cache import DiskCache
from ollama_client.client import OllamaClient
from ollama_client.deadline import Deadline
from ollama_client.errors import GizziError
from ollama_client.ledger import Ledger
from ollama_client.prompts import Data
from ollama_client.settings import Settings, load


def client(settings: Settings | None = None, model: str | None = None) -> OllamaClient:
    """Return a client. Errors: SettingsError."""
    found = settings or load()
    return OllamaClient(model=model, settings=found, cache=DiskCache(found.cache.of_this_user, found.cache.seconds))


@dataclass
class Asking:
    """A question of a command; ``answer`` is there when it has been answered in full."""

    client: OllamaClient
    prompt: str
    system: str | None
    data: Sequence[Data]
    fresh: bool
    timeout: float | None
    answer: Answer | None = None

    @property
    def seconds(self) -> float:
        """The most that it may take."""
        return self.timeout or self.client.settings.deadlines.total

    def pieces(self) -> Iterator[str]:
        """Yield the answer as it comes, and count it in the ledger. Errors: as ``OllamaClient.query``."""
        ledger = Ledger(self.client.settings)
        whole = Deadline(self.seconds)
        try:
            yield from self.client.stream(
                self.prompt, self.system, data=self.data, fresh=self.fresh, timeout=self.timeout, done=self._done
            )
        except GizziError as error:
            ledger.record("ollama", self.client.model, until=whole, seconds=error.elapsed or 0.0, failed=True)
            raise
        answer = self.answer
        assert answer is not None
        saved = prices.saved(self.client.settings.claude, answer.tokens_in, answer.tokens_out)
        if answer.cached:
            ledger.record("cache", answer.model, until=whole, saved=saved)
        else:
            ledger.record(
                "ollama",
                answer.model,
                until=whole,
                tokens_in=answer.tokens_in,
                tokens_out=answer.tokens_out,
                seconds=answer.seconds,
                saved=saved,
            )

    def whole(self) -> Answer:
        """Return the whole answer. Errors: as ``OllamaClient.query``."""
        for _unused in self.pieces():
            pass
        assert self.answer is not None
        return self.answer

    def _done(self, answer: Answer) -> None:
        self.answer = answer
