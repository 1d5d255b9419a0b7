# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claude, through Anthropic's own library: within a deadline, within the day's budget, and checked on arrival."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ollama_client import prices, prompts
from ollama_client.deadline import Deadline, retry_after
from ollama_client.errors import (
    ClaudeAnswerError,
    ClaudeError,
    ClaudeKeyError,
    ClaudeUnavailableError,
    ClaudeUnsetError,
)
from ollama_client.ledger import Ledger
from ollama_client.settings import Claude as Settings
from ollama_client.settings import read_secret

if TYPE_CHECKING:
    import anthropic
    from anthropic.types import Message, OutputConfigParam

Model = TypeVar("Model", bound=BaseModel)
ENDPOINT = "Claude"
TRIES = 3
BACKOFF = 0.5  # seconds before the second try, doubled before the third, if Claude names no time
# The estimate of a prompt's tokens is not Claude's.
SURCHARGE = 1.5


@dataclass(frozen=True, slots=True)
class Reply(Generic[Model]):
    """What Claude answered, in ``seconds`` and for ``dollars``."""

    value: Model
    seconds: float
    dollars: float
    tokens_in: int
    tokens_out: int


class Claude:
    """Args: settings: the section [claude]; ledger: pays; api_key: in place of the settings'."""

    def __init__(self, settings: Settings, ledger: Ledger, api_key: str | None = None) -> None:
        self._settings = settings
        self._ledger = ledger
        self._api_key = api_key

    def report(self, system: str, prompt: str, wanted: type[Model], deadline: Deadline) -> Reply[Model]:
        """Ask once, with a few tries; return an object of the class ``wanted``.

        Errors: ClaudeError (BudgetError before anything is spent), LedgerError, SettingsError.
        """
        key = self._key()
        if find_spec("anthropic") is None:
            raise ClaudeUnsetError("the library anthropic is not installed")
        settings = self._settings
        own = Deadline(min(settings.timeout, deadline.remaining()))
        if own.remaining() <= 0:
            raise self._unavailable("there is no time left for it", own, billed=False)
        tokens = int(SURCHARGE * prompts.tokens(system + prompt + str(wanted.model_json_schema())))
        most = prices.price(settings, tokens, settings.max_tokens)
        number = self._ledger.reserve(most, own)
        # None: nobody knows what it cost.
        dollars: float | None = None
        used, value = (0, 0), None
        try:
            message = self._try(key, system, prompt, wanted, own)
            used = _counted(message)
            dollars = prices.price(settings, *used)
            value = self._read(message, wanted, own)
        except ClaudeError as error:
            if isinstance(error, ClaudeUnavailableError):
                dollars = None if error.billed else 0.0
            error.dollars = most if dollars is None else dollars
            raise
        finally:
            self._ledger.settle(
                number,
                settings.model,
                until=deadline,
                tokens_in=used[0],
                tokens_out=used[1],
                seconds=own.elapsed(),
                dollars=dollars,
                failed=value is None,
            )
        return Reply(value, own.elapsed(), dollars, *used)

    def _key(self) -> str:
        if self._api_key:
            return self._api_key
        if self._settings.api_key_file:
            return read_secret(self._settings.api_key_file)
        if key := os.environ.get("ANTHROPIC_API_KEY"):
            return key
        raise ClaudeKeyError("there is no API key for Claude")

    def _try(self, key: str, system: str, prompt: str, wanted: type[Model], own: Deadline) -> Message:
        for tried in range(1, TRIES + 1):
            try:
                return self._ask(key, system, prompt, wanted, own)
            except _AgainError as again:
                pause = again.after if again.after is not None else BACKOFF * 2 ** (tried - 1)
                if tried == TRIES or pause >= own.remaining():
                    raise again.error from again
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _ask(self, key: str, system: str, prompt: str, wanted: type[Model], own: Deadline) -> Message:
        import anthropic
        import httpx2

        from ollama_client.claude_http import LimitedTransport

        settings = self._settings
        secure = settings.url is None or settings.url.scheme == "https"
        transport = LimitedTransport(own, httpx2.create_ssl_context() if secure else None)
        http = httpx2.Client(transport=transport, trust_env=False, follow_redirects=False)
        client = anthropic.Anthropic(
            api_key=key,
            base_url=str(settings.url) if settings.url else None,
            max_retries=0,
            timeout=httpx2.Timeout(None),
            http_client=http,
        )
        asked = client.messages.stream(
            model=settings.model,
            max_tokens=settings.max_tokens,
            system=system,
            messages=[{"role": "user", "content": prompt}],
            # Current models refuse a forced tool, and think before they answer: that counts in max_tokens.
            output_config=_output(settings, wanted),
        )
        try:
            with client, asked as stream:
                return stream.get_final_message()
        except anthropic.APIStatusError as error:
            raise self._status(error, own) from error
        except anthropic.APIConnectionError as error:
            raise self._unavailable("no connection, or no answer in time", own, billed=own.remaining() <= 0) from error
        except (TimeoutError, httpx2.HTTPError) as error:
            raise self._unavailable("the answer broke off or came too late", own, billed=True) from error
        except Exception as error:
            # What the library makes of an answer that is not the protocol's has no type of its own.
            told = f"an answer that cannot be read ({type(error).__name__})"
            raise self._unavailable(told, own, billed=True) from error

    def _status(self, error: anthropic.APIStatusError, own: Deadline) -> Exception:
        status = error.status_code
        if status in (401, 403):
            hint = "See the API key."
            return self._unavailable(f"it refuses (HTTP {status})", own, billed=False, hint=hint)
        # An error in mid-stream comes under the status 200 of its beginning.
        told = f"HTTP {status}" if status >= 400 else "an error in the middle of the answer"
        failed = self._unavailable(told, own, billed=status < 400)
        if status in (408, 409, 429) or status >= 500:
            return _AgainError(failed, retry_after(error.response.headers.get("retry-after")))
        return failed

    def _unavailable(
        self, text: str, own: Deadline, *, billed: bool, hint: str | None = None
    ) -> ClaudeUnavailableError:
        return ClaudeUnavailableError(text, endpoint=ENDPOINT, elapsed=own.elapsed(), billed=billed, hint=hint)

    def _read(self, message: Message, wanted: type[Model], own: Deadline) -> Model:
        text = "".join(block.text for block in message.content if block.type == "text")
        try:
            return wanted.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            why = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
            told = f"the answer is not what was asked for: {why} (stop reason {message.stop_reason})"
            raise ClaudeAnswerError(told, endpoint=ENDPOINT, elapsed=own.elapsed()) from error


class _AgainError(Exception):
    """Worth another try, ``after`` so many seconds."""

    def __init__(self, error: ClaudeUnavailableError, after: float | None) -> None:
        super().__init__()
        self.error = error
        self.after = after


def _output(settings: Settings, wanted: type[BaseModel]) -> OutputConfigParam:
    """Return what to ask for: an object of the class, and so much thought."""
    import anthropic

    output: OutputConfigParam = {"format": {"type": "json_schema", "schema": anthropic.transform_schema(wanted)}}
    if settings.effort != "default":
        output["effort"] = settings.effort
    return output


def _counted(message: Message) -> tuple[int, int]:
    usage = message.usage
    kept = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return usage.input_tokens + kept, usage.output_tokens
