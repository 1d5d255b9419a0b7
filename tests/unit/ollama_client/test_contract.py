"""The client against what a current Ollama answered: RecordedOllama plays it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from conftest import MakeSettings
from ollama_client import OllamaClient, errors, wire

from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import (
    DERIVED,
    LONG_PROMPT,
    MODEL,
    THINKER,
    RecordedOllama,
    recordings,
)

SCHEMA = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["OK", "ISSUE_DETECTED"]}},
    "required": ["status"],
}
# The client leaves a prompt of LONG_PROMPT's length whole.
ROOM = {"context_tokens": 32_768}

Ask = Callable[..., OllamaClient]


@pytest.fixture
def first() -> Iterator[RecordedOllama]:
    with closing(RecordedOllama()) as server:
        yield server


@pytest.fixture
def second() -> Iterator[RecordedOllama]:
    with closing(RecordedOllama()) as server:
        yield server


@pytest.fixture
def client(first: RecordedOllama, second: RecordedOllama, settings: MakeSettings) -> Ask:
    """``client(model, **sections)`` asks the first and then the second, and keeps nothing."""

    def make(model: str = MODEL, **sections: Any) -> OllamaClient:
        made = settings(first.url, second.url, model=model, **({"cache": {"seconds": 0}} | sections))
        return OllamaClient(settings=made)

    return make


def asked(server: RecordedOllama) -> list[Any]:
    """The bodies of what was asked for."""
    return [body for method, path, body in server.requests if (method, path) == ("POST", "/api/generate")]


@pytest.mark.parametrize("model", [MODEL, DERIVED, THINKER])
def test_an_answer_of_every_model(client: Ask, first: RecordedOllama, model: str) -> None:
    answer = client(model).ask("The capital of France is", "Be brief.")
    assert answer.text == "The capital of France is Paris."
    assert (answer.model, answer.endpoint, answer.complete, answer.tokens_in) == (model, "server1", True, 14)
    assert asked(first) == [
        {
            "model": model,
            "prompt": "The capital of France is",
            "system": "Be brief.",
            "options": {"num_ctx": 4096, "num_predict": 768, "temperature": 0.0},
            "stream": True,
            "think": False,
            "truncate": False,
        }
    ]


@pytest.mark.parametrize("model", [MODEL, THINKER])
def test_an_object_of_every_model(client: Ask, model: str) -> None:
    assert client(model).query_json("All is well.", SCHEMA) == {"status": "ISSUE_DETECTED"}


def test_a_model_that_thinks_all_the_same(
    client: Ask, first: RecordedOllama, second: RecordedOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a model whose template does not know how to leave it: the recording of one that was not told."""
    body = wire.request
    monkeypatch.setattr(wire, "request", lambda question: body(question) | {"think": None})
    one = client(THINKER)
    for _unused in range(2):
        with pytest.raises(errors.OnlyThoughtError, match=r"server1: the model thinker2:1 only thought") as caught:
            one.query("What is 2+2?")
    assert "Set `model` to one that answers without thinking" in caught.value.hint
    assert (first.played, second.played) == (["thinks, think unset, streamed"] * 2, [])


def test_an_answer_that_is_cut_is_begun_anew_elsewhere(
    client: Ask, first: RecordedOllama, second: RecordedOllama
) -> None:
    first.state = "cut"
    one = client()
    assert [one.ask("The capital?").endpoint for _unused in range(2)] == ["server2"] * 2
    assert (len(asked(first)), len(asked(second))) == (1, 2), "the first is left alone"
    second.state = "cut"
    with pytest.raises(errors.NoEndpointError, match="server1: the answer broke off"):
        client().query("The capital?")


def test_a_busy_server_says_nothing_and_the_next_is_asked(
    client: Ask, first: RecordedOllama, second: RecordedOllama
) -> None:
    first.state = "busy"
    one = client(deadlines={"first_token": 0.3}, failover={"cooldown": 0.4})
    start = time.monotonic()
    assert one.ask("The capital?").endpoint == "server2"
    assert 0.3 <= time.monotonic() - start < 5
    # The wait for it is paid once, and then no question waits for it until it may have its turn again.
    assert one.ask("The capital?").endpoint == "server2"
    assert len(asked(first)) == 1
    first.state = ""
    time.sleep(0.4)
    assert one.ask("The capital?").endpoint == "server1"


def test_the_only_server_is_busy(first: RecordedOllama, settings: MakeSettings) -> None:
    first.state = "busy"
    made = settings(first.url, model=MODEL, deadlines={"first_token": 0.3})
    with pytest.raises(errors.SlowError, match="no token came") as caught:
        OllamaClient(settings=made).query("The capital?")
    assert "busy" in caught.value.hint


def test_a_model_that_is_gone_is_asked_for_elsewhere(
    client: Ask, first: RecordedOllama, second: RecordedOllama
) -> None:
    first.state = "gone"
    one = client()
    assert [one.ask("The capital?").endpoint for _unused in range(2)] == ["server2"] * 2
    assert len(asked(first)) == 2, "it is alive, and not left alone"
    second.state = "gone"
    with pytest.raises(errors.NoEndpointError, match=r"it does not have the model.*Pull the model there"):
        one.query("The capital?")


def test_a_local_name_is_no_model(client: Ask) -> None:
    with pytest.raises(errors.NoEndpointError, match="model 'x:local' not found"):
        client("x:local").query("The capital?")


REFUSED = {
    "cloud name": ("x:cloud", "Hi", None, "cloud name under OLLAMA_NO_CLOUD=1", "ollama cloud is disabled"),
    "suffix of the cloud": ("x:1-cloud", "Hi", None, "cloud name under OLLAMA_NO_CLOUD=1", "ollama cloud is disabled"),
    "no name": ("bad name!", "Hi", None, "name that is none", "invalid model name"),
    "too long": (MODEL, LONG_PROMPT, None, "too long, truncate false", "6399 tokens, and the context 4096"),
    "schema": (
        MODEL,
        "Hi",
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "abc"}}},
        "pattern without anchors",
        "Pattern must start with",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_every_server_would_refuse_is_asked_once(
    client: Ask, first: RecordedOllama, second: RecordedOllama, case: str
) -> None:
    model, prompt, schema, played, told = REFUSED[case]
    one = client(model, prompt=ROOM)
    for _unused in range(2):
        with pytest.raises(errors.PromptError) as caught:
            one.query_json(prompt, schema) if schema else one.query(prompt)
        assert told in caught.value.message
        assert caught.value.endpoint == "server1" and caught.value.hint and caught.value.elapsed is not None
        with pytest.raises(errors.PromptError):
            "".join(one.stream(prompt)) if not schema else one.query_json(prompt, schema)
    assert (first.played, second.played) == ([played] * 4, []), "it is alive, and not left alone"


def test_a_model_that_repeats_itself_is_asked_once(client: Ask, first: RecordedOllama, second: RecordedOllama) -> None:
    first.state = second.state = "repeats"
    one = client()
    for _unused in range(2):
        with pytest.raises(errors.RepeatedError, match=r"server1: the model repeated itself") as caught:
            one.query("How urgent is it?")
    assert "repeat_penalty" in caught.value.hint and "journalctl" not in str(caught.value)
    assert (len(first.played), second.played) == (2, [])


def test_what_a_model_said_before_it_repeated_itself_is_shown(client: Ask, first: RecordedOllama) -> None:
    first.state = "repeats"
    shown = []
    with pytest.raises(errors.RepeatedError):
        for piece in client().stream("How urgent is it?"):
            shown.append(piece)  # noqa: PERF402
    lines = recordings()["repeats one token: the stream ends without done"]["answer"]
    assert shown == [json.loads(line)["response"] for line in lines]
