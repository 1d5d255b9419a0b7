"""Anthropic's Messages protocol on a real socket: streams of events, and the errors that the real one gives."""

from __future__ import annotations

import json
from typing import Any

import anthropic
from fake_ollama import Behaviour, Handler

# Importing it takes longer than the deadlines of the tests.
VERSION = anthropic.__version__
VERDICT = {"health": "degraded", "confidence": 0.9, "summary": "Validator two lags.", "actions": ["See its disk"]}


def report(value: object, *, tokens_in: int = 1000, tokens_out: int = 100, stop_reason: str = "end_turn") -> Behaviour:
    """A sound stream: a thought that is not shown, and ``value`` as JSON, in pieces."""

    def behave(handler: Handler) -> None:
        if handler.body.get("tool_choice"):
            # Current models think before they answer, and refuse this.
            error(400, "invalid_request_error")(handler)
            return
        begin(handler)
        start(handler, tokens_in)
        event(
            handler,
            "content_block_start",
            index=0,
            content_block={"type": "thinking", "thinking": "", "signature": ""},
        )
        event(handler, "content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2lnbmVk"})
        event(handler, "content_block_stop", index=0)
        event(handler, "ping")
        event(handler, "content_block_start", index=1, content_block={"type": "text", "text": ""})
        text = json.dumps(value)
        for at in range(0, len(text), 20):
            event(handler, "content_block_delta", index=1, delta={"type": "text_delta", "text": text[at : at + 20]})
        event(handler, "content_block_stop", index=1)
        delta = {"stop_reason": stop_reason, "stop_sequence": None}
        event(handler, "message_delta", delta=delta, usage={"output_tokens": tokens_out})
        event(handler, "message_stop")
        handler.end()

    return behave


def begin(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("request-id", "req_1")
    handler.end_headers()


def start(handler: Handler, tokens_in: int = 1000) -> None:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": handler.body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens_in, "output_tokens": 1},
    }
    event(handler, "message_start", message=message)


def event(handler: Handler, kind: str, **fields: Any) -> None:
    body = json.dumps({"type": kind} | fields)
    handler.chunk(f"event: {kind}\ndata: {body}\n\n".encode())


def error(status: int, kind: str, **headers: str) -> Behaviour:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": kind}, "request_id": "req_1"}).encode()
    return lambda handler: handler.reply(status, body, **headers)


rate_limited = error(429, "rate_limit_error", retry_after="0.2")
overloaded = error(529, "overloaded_error")
unauthorized = error(401, "authentication_error")


def error_in_stream(handler: Handler) -> None:
    begin(handler)
    start(handler)
    event(handler, "error", error={"type": "overloaded_error", "message": "Overloaded"})
    handler.end()


def cut(handler: Handler) -> None:
    begin(handler)
    start(handler)
    handler.close_connection = True


def garbage(handler: Handler) -> None:
    begin(handler)
    handler.chunk(b"event: message_start\ndata: {HEALTHY\n\n")
    handler.end()


def silence(handler: Handler) -> None:
    begin(handler)
    start(handler)
    handler.pause()


def text_only(handler: Handler) -> None:
    """Words in place of JSON."""
    begin(handler)
    start(handler)
    event(handler, "content_block_start", index=0, content_block={"type": "text", "text": ""})
    event(handler, "content_block_delta", index=0, delta={"type": "text_delta", "text": "HEALTHY"})
    event(handler, "content_block_stop", index=0)
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    event(handler, "message_delta", delta=delta, usage={"output_tokens": 5})
    event(handler, "message_stop")
    handler.end()
