"""Whose fault an error is: by status and text, from what a current Ollama answered and from its sources."""

from __future__ import annotations

import json

import pytest
from ollama_client import errors
from ollama_client.fault import judge

from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import recordings

RECORDED = recordings()


def error(text: str) -> str:
    """An error as Ollama sends it."""
    return json.dumps({"error": text})


def inner(kind: str, message: str = "why", code: int = 400, **more: object) -> str:
    """An error of llama-server within one of Ollama."""
    return error(json.dumps({"error": {"code": code, "message": message, "type": kind, **more}}))


def recorded(name: str) -> tuple[int, str]:
    return RECORDED[name]["status"], RECORDED[name]["answer"][0]


LONG = inner("exceed_context_size_error", n_prompt_tokens=6399, n_ctx=4096)
CASES = {
    # What was recorded.
    "think": (recorded("think true on a model that does not think"), errors.PromptError, "does not support thinking"),
    "too long": (
        recorded("too long, truncate false"),
        errors.PromptError,
        "the prompt has 6399 tokens, and the context 4096",
    ),
    "schema, and what llama-server said last": (
        (400, error(json.dumps({"error": {"message": "no schema", "type": "invalid_request_error"}}) + "\nno memory")),
        errors.PromptError,
        "it refuses what was asked: no schema",
    ),
    "schema": (
        recorded("pattern without anchors"),
        errors.PromptError,
        "JSON schema conversion failed: Pattern must start with",
    ),
    "format": (recorded("format that is none"), errors.PromptError, 'invalid format: "\\"xml\\""'),
    "option": (recorded("option of the wrong type"), errors.PromptError, 'option "num_ctx" must be of type integer'),
    "no model": (recorded("model that is not there"), errors.ModelMissingError, "model 'nope:1' not found"),
    "local name": (recorded("local name"), errors.ModelMissingError, "model 'x:local' not found"),
    "no name": (recorded("name that is none"), errors.PromptError, "invalid model name"),
    "cannot": (
        recorded("embed with a model that only completes"),
        errors.PromptError,
        "This server does not support embeddings",
    ),
    "cloud": (
        recorded("cloud name under OLLAMA_NO_CLOUD=1"),
        errors.PromptError,
        "it does not pass prompts on: ollama cloud is disabled: remote model is unavailable",
    ),
    "path": (recorded("unknown path"), errors.NotOllamaError, "HTTP 404: 404 page not found"),
    # Texts of the sources. Before 0.30 they came under HTTP 200, in the stream.
    "format in the stream": (
        (None, error('invalid format: "xml"; expected "json" or a valid JSON Schema object')),
        errors.PromptError,
        "invalid format",
    ),
    "schema before 0.30": ((None, error("invalid JSON schema in format")), errors.PromptError, "invalid JSON schema"),
    "too long in the stream": ((None, LONG), errors.PromptError, "6399"),
    "too long without its numbers": (
        (400, error("the input length exceeds the context length")),
        errors.PromptError,
        "the prompt is too long",
    ),
    "completion": ((400, error('"bert:1" does not support generate')), errors.PromptError, "does not support generate"),
    "capability": ((400, error("bert:1 does not support completion")), errors.PromptError, "does not support"),
    "boolean": ((500, error('option "use_mmap" must be of type boolean')), errors.PromptError, "must be of type"),
    "body": (
        (400, error("json: cannot unmarshal string into Go struct field GenerateRequest.prompt of type bool")),
        errors.PromptError,
        "json: cannot unmarshal",
    ),
    "another 400 of Ollama's": ((400, error("top_logprobs must be between 0 and 20")), errors.PromptError, "between"),
    "repeats": (
        (500, error("prediction aborted, token repeat limit reached")),
        errors.RepeatedError,
        "the model repeated itself",
    ),
    "repeats in the stream": (
        (None, error("prediction aborted, token repeat limit reached")),
        errors.RepeatedError,
        "the model repeated itself",
    ),
    # The server's fault, whatever it was asked.
    "killed": (
        (500, error("llama-server process no longer running: -1 signal: killed")),
        errors.ServerError,
        "HTTP 500: llama-server process no longer running",
    ),
    "killed before 0.30": ((500, error("llama runner process no longer running: -1")), errors.ServerError, "HTTP 500"),
    "stopped": (
        (500, error("model runner has unexpectedly stopped, this may be due to resource limitations")),
        errors.ServerError,
        "unexpectedly stopped",
    ),
    "memory": (
        (500, error("model requires more system memory (8.3 GiB) than is available (3.1 GiB)")),
        errors.ServerError,
        "more system memory",
    ),
    "too old": ((500, error("this model is not supported by your version of Ollama")), errors.ServerError, "HTTP 500"),
    "in the stream": (
        (None, error("an error was encountered while running the model: CUDA error")),
        errors.ServerError,
        "it failed in the middle of the answer: an error was",
    ),
    "no part": ((500, error("unable to find llama-server")), errors.ServerError, "HTTP 500"),
    "llama-server's own fault": ((500, inner("server_error", code=500)), errors.ServerError, "HTTP 500"),
    "a key that Ollama has not": (
        (401, inner("authentication_error", "Invalid API Key", 401)),
        errors.ServerError,
        "HTTP 401",
    ),
    # Neither.
    "queue": (
        (503, error("server busy, please try again.  maximum pending requests exceeded")),
        errors.BusyError,
        "its queue is full (HTTP 503)",
    ),
    "gateway's limit": ((429, "too many requests"), errors.BusyError, "HTTP 429"),
    "host header": ((403, ""), errors.RefusedError, "it refuses (HTTP 403)"),
    "token": ((401, "<title>401 Authorization Required</title>"), errors.RefusedError, "HTTP 401"),
    "TLS": ((400, "<h1>400 Bad Request</h1>"), errors.NotOllamaError, "HTTP 400"),
    "another service": (
        (400, '{"error": {"message": "HEALTHY", "type": "x"}}'),
        errors.NotOllamaError,
        "HTTP 400",
    ),
    "words of ours from another service": ((500, "invalid format: xml"), errors.ServerError, "HTTP 500"),
    "deep": ((400, "[" * 60_000), errors.NotOllamaError, "HTTP 400"),
    "deep within": ((400, error("[" * 60_000)), errors.PromptError, "refuses"),
}


@pytest.mark.parametrize("case", CASES)
def test_by_status_and_text(case: str) -> None:
    (status, body), kind, told = CASES[case]
    found = judge(status, body)
    assert found.kind is kind
    assert told in found.message
    assert len(found.message) < 300


def test_what_was_asked_is_told_with_what_to_do() -> None:
    assert "prompt.context_tokens" in str(judge(*recorded("too long, truncate false")).hint)
    assert "ollama_context_length" in str(judge(*recorded("too long, truncate false")).hint)
    assert "Set `model`" in str(judge(*recorded("cloud name under OLLAMA_NO_CLOUD=1")).hint)
    assert "every server would refuse" in str(judge(*recorded("format that is none")).hint)
