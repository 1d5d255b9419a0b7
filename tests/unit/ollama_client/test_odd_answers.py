"""Answers that are wrapped or thought about, servers that are busy, and what then is said and asked."""

from __future__ import annotations

import json
import time

import pytest
from conftest import MakeClient, Serve
from fake_ollama import Behaviour, Handler, hang, say
from fleets import HEALTHY
from ollama_client import errors
from ollama_client.monitoring.tiers import Verdict
from ollama_client.schema import LONGEST, one_document
from ollama_client.thoughts import Thoughts

ANSWER = json.dumps(HEALTHY)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{ANSWER}\n```",
        f"<think>Are they {{}}?</think>\n{ANSWER}",
        f"{ANSWER} Done.",
        f"\n<think></think>{ANSWER}",
    ],
)
def test_the_one_object_is_taken_and_held_to_the_schema(serve: Serve, client: MakeClient, text: str) -> None:
    assert client(serve(say(text))).query_json("?", Verdict) == Verdict.model_validate(HEALTHY)
    off = text.replace('"healthy"', '"HEALTHY"')
    with pytest.raises(errors.SchemaError, match="health"):
        client(serve(say(off))).query_json("?", Verdict)


def test_thoughts_are_neither_shown_nor_kept(serve: Serve, client: MakeClient) -> None:
    one = client(serve(say("<think>first this, then that</think> All is well.")))
    assert "".join(one.stream("?", fresh=True)).strip() == "All is well."
    assert one.query("?") == "All is well."


def test_all_tokens_used_for_thoughts_is_said_with_what_to_set(serve: Serve, client: MakeClient) -> None:
    with pytest.raises(errors.OnlyThoughtError, match=r"prompt\.answer_tokens was used up by that") as caught:
        client(serve(say("<think>and then, and then", done_reason="length"))).query("?")
    assert "raise prompt.answer_tokens" in caught.value.hint


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("text", "said", "thought"),
    [
        ("<think>a < b </th </think>yes", "yes", True),
        (" \n<think></think>yes", "yes", True),
        ("<thinking about it", "<thinking about it", False),
        ("yes <think>no</think>", "yes <think>no</think>", False),
        ("<thi", "<thi", False),
        ("<think>and on", "", True),
        ("", "", False),
    ],
)
def test_thoughts_come_in_pieces_of_any_size(size: int, text: str, said: str, thought: bool) -> None:
    thoughts = Thoughts()
    pieces = [thoughts.said(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(pieces) + thoughts.rest() == said
    assert thoughts.any is thought


def slow_headers(handler: Handler) -> None:
    handler.begin()
    handler.pause()


@pytest.mark.parametrize("busy", [hang, slow_headers])
def test_a_busy_server_leaves_time_for_the_next(serve: Serve, client: MakeClient, busy: Behaviour) -> None:
    start = time.monotonic()
    assert client(serve(busy), serve(say("yes"))).query("?", timeout=3.0) == "yes"
    assert time.monotonic() - start < 3.0


@pytest.mark.parametrize(
    "text", ["{" * 100_000, '{"a":' * 30_000, '{"a":"b' * 25_000, "[" * 190_000, "{}" * 90_000, "x" * 10**6]
)
def test_no_answer_takes_long_to_look_through(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=r"no JSON|more than"):
        one_document(text)
    assert time.process_time() - start < 1.0


def test_an_answer_is_looked_at_up_to_a_length() -> None:
    assert one_document(" " * (LONGEST - 2) + "{}") == {}
    with pytest.raises(ValueError, match="more than 200000 characters"):
        one_document(" " * (LONGEST - 1) + "{}")
