# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose fault an error of Ollama is: its status alone does not say it, its text does.

The texts are those of Ollama's sources: server/routes.go, server/images.go, llm/server.go (before 0.30),
llm/llama_server.go, api/types.go, internal/cloud/policy.go; and of the llama-server that it runs since 0.30, whose
errors come as JSON within the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ollama_client import errors
from ollama_client.fetch import redirected
from ollama_client.settings import Server

# Of an error page, so much is told.
TOLD = 200

# What the request did wrong, whatever the status: the same comes of every server.
_REQUEST = re.compile(
    r'invalid format: |invalid JSON schema in format|option ".*" must be of type |invalid model name|model is required'
    r"|json: |missing request body|raw mode does not support |this server does not support "
    r'|"?\S+"? does not support (?:chat|completion|embed|generate|image|insert|thinking|tools|vision)',
    re.IGNORECASE,
)
_TOO_LONG = re.compile(r"exceed_context_size_error|exceeds (?:the|maximum) context length")
_REPEATED = "token repeat limit reached"
_NO_CLOUD = re.compile(r"ollama cloud is disabled|model: \S+ would be answered in the cloud")
# What a gateway says where a request would set what is the server's.
_NOT_OWN_CONTEXT = re.compile(r"options\.num_ctx: .* is not the server's value")
# llama-server's types of errors that are the request's.
_TYPES = ("invalid_request_error", "not_supported_error")
_LESS = "Ask with less data or in fewer words."
_CORRECT = "Correct what it names, or use another model: every server would refuse this."


@dataclass(frozen=True)
class Fault:
    """What an error is.

    Attributes:
        kind: its class.
        message: what happened.
        hint: what to do, in place of the class's own hint.
    """

    kind: type[errors.PromptError | errors.OllamaError]
    message: str
    hint: str | None = None


def judge(status: int | None, body: str, location: str | None = None) -> Fault:
    """Decide what an error is.

    Args:
        status: of HTTP; None for an error in the middle of an answer, which has none of its own.
        body: what came with it.
        location: where it leads, if it is a redirect.
    """
    own = _own_text(body)
    told = " ".join((own or body).split())[:TOLD]
    if own is not None and (found := _of_the_request(status, own, told)):
        return found
    match status:
        case None:
            return Fault(errors.ServerError, f"it failed in the middle of the answer: {told}")
        case 413:
            return Fault(errors.PromptError, "the question is too large (HTTP 413)", _LESS)
        case 429:
            return Fault(
                errors.BusyError, "it takes no more of this host now (HTTP 429)" + (f": {told}" if told else "")
            )
        case 503:
            return Fault(errors.BusyError, "its queue is full (HTTP 503)")
        case 401 | 403 if _within(own).get("type") == "authentication_error":
            # Its llama-server wants a key that Ollama does not have: LLAMA_API_KEY is in its environment.
            return Fault(errors.ServerError, f"HTTP {status}: {told}")
        case 403 if own:
            return Fault(errors.RefusedError, f"it refuses (HTTP 403): {told}", "See what is in front of Ollama there.")
        case 401 | 403:
            return Fault(errors.RefusedError, f"it refuses (HTTP {status})")
        case 404 if "model" in told:
            return Fault(errors.ModelMissingError, f"it does not have the model: {told}")
        case _ if 300 <= status < 400 and location:
            return Fault(errors.NotOllamaError, redirected(status, location))
        case _ if 300 <= status < 500:
            return Fault(errors.NotOllamaError, f"HTTP {status}: {told}")
        case _:
            return Fault(errors.ServerError, f"HTTP {status}: {told}")


def hint(found: Fault, server: Server) -> str | None:
    """Return what to do about it at this server; None where the class of the error tells it."""
    return found.hint or (server.token_hint if found.kind is errors.RefusedError else None)


def _of_the_request(status: int | None, own: str, told: str) -> Fault | None:
    """Return the fault if by Ollama's own text it lies in what was asked, or in what the model makes of it."""
    within = _within(own)
    if _TOO_LONG.search(own):
        return _too_long(within)
    if _REPEATED in own:
        return Fault(errors.RepeatedError, errors.REPEATED)
    if _NO_CLOUD.match(own):
        hint = "Set `model` to one that the server itself has: those with the tag cloud or …-cloud run at ollama.com."
        return Fault(errors.PromptError, f"it does not pass prompts on: {told}", hint)
    if _NOT_OWN_CONTEXT.match(own):
        hint = (
            "Set prompt.context_tokens to the server's own context: ollama_client_context_length in the inventory is to"
            " equal ollama_context_length."
        )
        return Fault(errors.PromptError, f"it refuses what was asked: {told}", hint)
    if within:
        # What llama-server calls the server's fault is none of the request's, whatever the status.
        return _refused(within.get("message"), told) if within.get("type") in _TYPES else None
    return _refused(None, told) if _REQUEST.match(own) or status in (400, 501) else None


def _too_long(within: Mapping[str, Any]) -> Fault:
    prompt, context = within.get("n_prompt_tokens"), within.get("n_ctx")
    sizes = isinstance(prompt, int) and isinstance(context, int)
    message = f"the prompt has {prompt} tokens, and the context {context}" if sizes else "the prompt is too long"
    hint = (
        "Ask with less data or in fewer words, or raise prompt.context_tokens, together with the server's own context"
        " (ollama_context_length in the inventory)."
    )
    return Fault(errors.PromptError, message, hint)


def _refused(message: object, told: str) -> Fault:
    shown = " ".join(message.split())[:TOLD] if isinstance(message, str) else told
    return Fault(errors.PromptError, f"it refuses what was asked: {shown}", _CORRECT)


def _own_text(body: str) -> str | None:
    """Return the text of an error in Ollama's form, {"error": text}; None for what has another form."""
    error = _object(body).get("error")
    return error if isinstance(error, str) else None


def _within(text: str | None) -> Mapping[str, Any]:
    """Return llama-server's error within an error's text, or nothing."""
    error = _object(text or "").get("error")
    return error if isinstance(error, dict) else {}


def _object(text: str) -> Mapping[str, Any]:
    try:
        # Ollama may write what llama-server said last behind it.
        found, _end = json.JSONDecoder().raw_decode(text.strip())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
