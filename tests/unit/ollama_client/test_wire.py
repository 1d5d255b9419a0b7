"""What is sent to Ollama, and what is taken from it; and when a model was stopped, and when an answer broke off."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

import fake_ollama
import pytest
from conftest import MakeClient, Serve
from fake_ollama import Behaviour, Handler, pieces, say
from ollama_client import errors, wire


def in_chunks(*chunks: bytes) -> Behaviour:
    """An answer whose lines come in other pieces than they were written in."""

    def behave(handler: Handler) -> None:
        handler.begin()
        for one in chunks:
            handler.chunk(one)
        handler.end()

    return behave


LINE = b'{"model": "llama3.1:8b", "response": "ja \xc3\xa4", "done": false}\n'
LAST = b'{"model": "llama3.1:8b", "response": "", "done": true, "done_reason": "stop", "context": [1, 2]}'


@pytest.mark.parametrize(
    "chunks",
    [
        [LINE + LAST],
        [LINE, LAST + b"\n"],
        [bytes([one]) for one in LINE + LAST],
        [b"\n\r\n", LINE, b" \n", LAST, b"\n\n"],
        [LINE.replace(b"\n", b"\r\n") + LAST],
    ],
)
def test_lines_come_in_any_pieces(serve: Serve, client: MakeClient, chunks: Sequence[bytes]) -> None:
    assert client(serve(in_chunks(*chunks))).query("?") == "ja ä"


def test_a_line_has_an_end(serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_LINE", 1000)
    endless = b'{"model": "llama3.1:8b", "response": "' + b"x" * 2000
    with pytest.raises(errors.CutOffError):
        client(serve(in_chunks(LINE, endless, b'", "done": true}\n'))).query("?")
    with pytest.raises(errors.NotOllamaError):
        client(serve(in_chunks(endless, b'", "done": true}\n'))).query("?")


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"model": ' + b"[" * 100_000,
        b'{"model": "llama3.1:8b", "response": null, "done": true}',
        b'{"model": "llama3.1:8b", "response": 1, "done": true}',
        b'{"model": "llama3.1:8b", "response": "x", "done": true, "eval_count": "many"}',
        b'{"model": "llama3.1:8b", "response": "\xff", "done": true}',
        b"HEALTHY",
        b"null",
    ],
)
def test_what_is_no_line_of_ollamas_is_no_answer(serve: Serve, client: MakeClient, line: bytes) -> None:
    with pytest.raises(errors.NotOllamaError):
        client(serve(in_chunks(line + b"\n"))).query("?")


def test_of_an_error_page_only_the_beginning_is_read(serve: Serve, client: MakeClient) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(500)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.chunk(b"x" * 65_536)

    with pytest.raises(errors.ServerError) as caught:
        client(serve(endless)).query("?")
    assert len(str(caught.value)) < 400


def test_what_is_squeezed_was_not_asked_for(serve: Serve, client: MakeClient) -> None:
    """A few bytes must not become many here."""

    def squeezed(handler: Handler) -> None:
        handler.reply(200, b"\x1f\x8b\x08HEALTHY", Content_Encoding="gzip")

    server = serve(squeezed)
    with pytest.raises(errors.NotOllamaError):
        client(server).query("?")
    assert server.asked[0]["headers"]["accept-encoding"] == "identity"


def test_no_text_is_too_odd_to_be_sent(serve: Serve, client: MakeClient) -> None:
    server = serve(say("yes"))
    assert client(server).query("a lone \ud83d, an \xe4 and a \U0001f600") == "yes"
    # Half a character is none: it goes.
    assert server.asked[0]["body"]["prompt"] == "a lone , an \xe4 and a \U0001f600"


def test_the_servers_own_variables_are_not_the_clients(
    serve: Serve, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "no:address")
    assert client(serve(say("yes"))).query("?") == "yes"


def test_an_address_may_have_a_path(serve: Serve, client: MakeClient) -> None:
    server = serve(say("yes"))
    assert client(f"{server.url}/ollama/").query("?") == "yes"
    assert server.asked[0]["path"] == "/ollama/api/generate"


# Ollama's own rule: the 31st piece that equals the one before it, blanks around both aside, is not sent.
STOPPED = [["so ", *["0"] * 31], ["so", *[" 0", "0\n"] * 16], ["\n", " "] * 15, ["so", *["\n"] * 31], ["0"] * 101]


@pytest.mark.parametrize("said", STOPPED)
def test_a_model_that_was_stopped(serve: Serve, client: MakeClient, said: list[str]) -> None:
    second = serve(say("yes"))
    with pytest.raises(errors.RepeatedError):
        client(serve(pieces(*said)), second).query("?")
    assert not second.asked


@pytest.mark.parametrize(
    "said", [["so ", *["0"] * 29], [*["0"] * 31, "1"], ["0", "1"] * 31, ["0" * 31], ["so", "", *["0"] * 28]]
)
def test_an_answer_that_broke_off(serve: Serve, client: MakeClient, said: list[str]) -> None:
    with pytest.raises(errors.CutOffError):
        client(serve(pieces(*said))).query("?")


def test_a_connection_that_breaks_is_a_cut_whatever_came(serve: Serve, client: MakeClient) -> None:
    def cut(handler: Handler) -> None:
        handler.begin()
        for _unused in range(40):
            handler.line(model=handler.body["model"], response="0", done=False)
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    with pytest.raises(errors.CutOffError):
        client(serve(cut)).query("?")


def test_an_answer_may_repeat_itself_to_its_end(serve: Serve, client: MakeClient) -> None:
    assert client(serve(say("0" + " 0" * 60))).query("?") == "0" + " 0" * 60


def test_thoughts_that_break_off(serve: Serve, client: MakeClient) -> None:
    def thoughts(handler: Handler) -> None:
        handler.begin()
        handler.line(model=handler.body["model"], response="", thinking="Well,", done=False)
        handler.end()

    with pytest.raises(errors.CutOffError):
        client(serve(thoughts)).query("?")


def test_thoughts_that_take_all_the_room(serve: Serve, client: MakeClient) -> None:
    def thoughts(handler: Handler) -> None:
        handler.begin()
        handler.line(model=handler.body["model"], response="", thinking="Well,", done=False)
        handler.line(model=handler.body["model"], response=" \n", done=True, done_reason="length")
        handler.end()

    with pytest.raises(errors.OnlyThoughtError, match=r"prompt\.answer_tokens was used up"):
        client(serve(thoughts)).query("?")


def test_a_thought_is_a_token(serve: Serve, client: MakeClient) -> None:
    """A model that thinks for longer than a first token may take is not slow."""

    def thinks(handler: Handler) -> None:
        handler.begin()
        for _unused in range(8):
            handler.line(model=handler.body["model"], response="", thinking="hm", done=False)
            handler.pause(0.1)
        handler.line(model=handler.body["model"], response="yes", done=True)
        handler.end()

    assert client(serve(thinks), deadlines={"first_token": 0.5, "stall": 0.5}).query("?") == "yes"


@pytest.mark.parametrize("behave", [fake_ollama.recorded("format that is none"), fake_ollama.model_missing])
def test_a_server_that_refuses_is_alive(serve: Serve, client: MakeClient, behave: Behaviour) -> None:
    """The question that finds out whether a server is back takes its refusal for a sign of life."""
    first, second = serve(fake_ollama.status(500)), serve(say("yes"))
    one = client(first, second, failover={"cooldown": 0.2}, cache={"seconds": 0})
    assert one.ask("?").endpoint == "server2"
    first.behave = behave
    time.sleep(0.2)
    with suppress(errors.PromptError):
        assert one.ask("?").endpoint == "server2"
    assert len(first.asked) == 2
    first.behave = say("yes")
    assert one.ask("?").endpoint == "server1"


def test_the_body_of_a_request_with_a_schema(serve: Serve, client: MakeClient) -> None:
    server = serve(say('{"a": 1}'))
    client(server).query_json("?", {"type": "object"})
    assert server.asked[0]["body"]["format"] == {"type": "object"}
    assert json.dumps(server.asked[0]["body"]).count("false") == 2, "think and truncate"
