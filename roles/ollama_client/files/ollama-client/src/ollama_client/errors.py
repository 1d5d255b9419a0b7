# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can go wrong, in one tree. No function of this package returns an error as text.

- GizziError
  - SettingsError: the settings cannot be read
  - PromptError: there is nothing to ask, or it cannot be asked so: no other endpoint is tried
  - DeadlineError: the whole call took longer than it may
  - SchemaError: the answer is not what the schema asks for
  - OllamaError: one attempt at one endpoint
    - UnreachableError: no connection
    - SlowError: connected, and no token in time; a server that is busy says nothing either
    - BusyError: its queue is full
    - RefusedError: it wants a token, or another one
    - ModelMissingError: it does not have the model
    - WrongModelError: another model answered
    - ServerError: it failed, before or in the middle of the answer
    - CutOffError: the answer broke off
    - RepeatedError: the model repeated itself, and Ollama stopped it
    - EmptyAnswerError: the answer has no text
      - OnlyThoughtError: the model has thought, and not answered
    - NotOllamaError: what answers there is not Ollama
  - NoEndpointError: every endpoint failed; ``attempts`` has each one's error
  - GizziApiError: the Gizzi API
    - ApiUnreachableError, ApiRefusedError, ApiAnswerError
    - StaleDataError: its data is too old to judge by
  - NodeError: the own journal or metrics cannot be read
  - LedgerError: the ledger cannot be read or written
  - ClaudeError: Claude
    - ClaudeUnsetError: not set up
      - ClaudeKeyError: nobody has set an API key
    - BudgetError: the day's budget is spent
    - ClaudeUnavailableError: no answer, or an error for an answer
    - ClaudeAnswerError: an answer that cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ollama_client.shown import shown

# Shows what it wrote before it had a namespace of its own, too.
JOURNAL = "journalctl --namespace=+ollama -u ollama"
# What a RepeatedError says.
REPEATED = "the model repeated itself until Ollama stopped it"


class GizziError(Exception):
    """What went wrong. ``str()`` is a whole sentence for a person.

    Attributes:
        message: what happened.
        hint: what to do about it.
        endpoint: whom it happened with, or None.
        elapsed: seconds since the call began, or None where time plays no part.
    """

    hint = ""

    def __init__(
        self, message: str, *, endpoint: str | None = None, elapsed: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.endpoint = endpoint
        self.elapsed = elapsed
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        where = f"{self.endpoint}: " if self.endpoint else ""
        after = f" (after {self.elapsed:.1f} s)" if self.elapsed is not None else ""
        # What a server or a file said is part of it.
        return shown(f"{where}{self.message}{after}" + (f". {self.hint}" if self.hint else ""))


class SettingsError(GizziError):
    hint = "Correct the file or the variable that is named."


class PromptError(GizziError):
    hint = "Ask something."


class DeadlineError(GizziError):
    hint = "Ask less, use a smaller model, or raise deadlines.total."


class SchemaError(GizziError):
    """``text`` is what came instead."""

    hint = "Ask again, or use a larger model."

    def __init__(self, message: str, *, text: str, endpoint: str | None = None, elapsed: float | None = None) -> None:
        super().__init__(message, endpoint=endpoint, elapsed=elapsed)
        self.text = text


class OllamaError(GizziError):
    """One attempt at one endpoint.

    Attributes:
        cools: whether the endpoint is left alone for a while after it.
        elsewhere: whether the next endpoint is asked; False where the same would come of it.
    """

    cools = True
    elsewhere = True


class UnreachableError(OllamaError):
    """``restarts``: nobody listens, or the connection was closed, as while the server of a host is restarted."""

    restarts = False
    hint = "See whether Ollama runs there (systemctl status ollama) and whether the firewall lets this host in."


class SlowError(OllamaError):
    """It cools, though a busy server is not broken: to ask it costs all the time of deadlines.first_token."""

    hint = "It may be busy with another answer: see its load. Raise deadlines.first_token if a load takes longer."


class BusyError(OllamaError):
    """``after``: the seconds after which it wants to be asked again, if it says so."""

    hint = 'Ask again later, or set failover.when_busy to "wait".'
    cools = False
    after: float | None = None


class RefusedError(OllamaError):
    hint = "See the endpoint's token_file."


class ModelMissingError(OllamaError):
    hint = "Pull the model there, or set `model` to one that it has."
    cools = False


class WrongModelError(OllamaError):
    hint = "See what is between this host and Ollama: a proxy or a gateway."


class ServerError(OllamaError):
    hint = f"See Ollama's journal there ({JOURNAL})."


class CutOffError(OllamaError):
    hint = f"See whether Ollama was restarted there ({JOURNAL})."


class RepeatedError(OllamaError):
    """Ollama's guard against models that never end. Asked again, and elsewhere, the model does the same."""

    hint = (
        "Ask in other words or for a shorter answer, raise prompt.temperature, give the model a higher repeat_penalty"
        " (a parameter of its own), or use another model."
    )
    cools = False
    elsewhere = False


class EmptyAnswerError(OllamaError):
    hint = "Ask in other words, or use another model."
    cools = False


class OnlyThoughtError(EmptyAnswerError):
    """It was told not to (think: false), and is one of the models that do not heed that."""

    hint = "Set `model` to one that answers without thinking, or raise prompt.answer_tokens until both have room."
    elsewhere = False


class NotOllamaError(OllamaError):
    hint = "See the endpoint's address and port."


class NoEndpointError(GizziError):
    """Every endpoint failed."""

    def __init__(self, attempts: Sequence[OllamaError], elapsed: float) -> None:
        self.attempts = tuple(attempts)
        told = "; ".join(f"{error.endpoint}: {error.message}" for error in self.attempts)
        hints = dict.fromkeys(error.hint for error in self.attempts)
        super().__init__(f"no endpoint answered: {told}", elapsed=elapsed, hint=" ".join(hints))


class GizziApiError(GizziError):
    hint = "See the service gizzi-api on the Gizzi host."


class ApiUnreachableError(GizziApiError):
    hint = "See whether gizzi-api runs there, whether api.url is right, and whether the firewall lets this host in."


class ApiRefusedError(GizziApiError):
    """``status`` is the HTTP status."""

    hint = "See the path."
    _HINTS: ClassVar[Mapping[int, str]] = {
        401: "See api.token_file.",
        403: "See api.token_file.",
        429: "Ask again later.",
        502: GizziApiError.hint,
    }

    def __init__(self, message: str, status: int, *, endpoint: str, elapsed: float) -> None:
        hint = self._HINTS.get(status)
        super().__init__(message, endpoint=endpoint, elapsed=elapsed, hint=hint)
        self.status = status


class ApiAnswerError(GizziApiError):
    hint = "See what answers at api.url."


class StaleDataError(GizziApiError):
    hint = "See Prometheus on the Gizzi host."


class NodeError(GizziError):
    hint = "See the section [node] of the settings, and whether this user may read the journal (group systemd-journal)."


class LedgerError(GizziError):
    hint = "See ledger.folder, for root ledger.root_folder: each user has a folder in it that no other user can change."


class ClaudeError(GizziError):
    """``dollars``: what it cost, or may have cost, all the same."""

    dollars = 0.0


class ClaudeUnsetError(ClaudeError):
    hint = "Set claude.api_key_file or ANTHROPIC_API_KEY, and install the extra [claude]."


class ClaudeKeyError(ClaudeUnsetError):
    pass


class BudgetError(ClaudeError):
    hint = "Wait for the next day (UTC), or raise claude.budget."


class ClaudeUnavailableError(ClaudeError):
    """``billed``: whether it may have cost something all the same."""

    hint = "Try again later."

    def __init__(self, message: str, *, endpoint: str, elapsed: float, billed: bool, hint: str | None = None) -> None:
        super().__init__(message, endpoint=endpoint, elapsed=elapsed, hint=hint)
        self.billed = billed


class ClaudeAnswerError(ClaudeError):
    hint = "See claude.model and claude.max_tokens."
