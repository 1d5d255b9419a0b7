"""The client and a gateway: whom it trusts with token and question, and what the gateway's answers mean."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import configure, gizzi
from conftest import MakeClient, MakeSettings, Serve
from fake_ollama import Behaviour, say
from ollama_client import errors

from ansible_collections.etrid.gizzi.tests.unit import tls_servers
from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority

TOKEN = "5f" * 32
QUESTION = "Why is validator-07 behind?"
REASONS = ("another authority", "has expired", "another host")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def gateway(tmp_path: Path, authority: Authority) -> Callable[..., dict[str, Any]]:
    """Return a function that makes the endpoint of an address, with what the role writes for it."""
    (ca := tmp_path / "fleet-ca.pem").write_text(authority.pem, encoding="ascii")
    (token := tmp_path / "client-gateway.token").write_text(f"{TOKEN}\n", encoding="ascii")
    return lambda url, name="gizzi": {"name": name, "url": url, "ca_file": ca, "token_file": token}


@pytest.fixture(params=REASONS)
def impostor(
    request: pytest.FixtureRequest, authority: Authority, tmp_path: Path
) -> Iterator[tuple[str, tls_servers.Recorder]]:
    """The words in which he must be refused, and a man in the middle."""
    context = tls_servers.impostors(authority, tmp_path)[request.param]
    answer = tls_servers.answer_of("200 OK", b'{"model": "llama3.1:8b", "response": "HEALTHY", "done": true}\n')
    with closing(tls_servers.Recorder(context, answer)) as server:
        yield request.param, server


def test_an_impostor_gets_neither_token_nor_question(
    gateway: Callable[..., dict[str, Any]], client: MakeClient, impostor: tuple[str, tls_servers.Recorder]
) -> None:
    reason, server = impostor
    asking = client(endpoints=[gateway(server.url)])
    for ask in (asking.query, lambda question: "".join(asking.stream(question))):
        with pytest.raises(errors.UnreachableError) as caught:
            ask(QUESTION)
        assert caught.value.endpoint == "gizzi"
        told = str(caught.value)
        assert reason in told and server.url in told
        assert "Neither token nor question was sent" in told
        assert "firewall" not in told
    assert server.received() == b""


def test_a_sound_server_after_an_impostor_is_asked(
    gateway: Callable[..., dict[str, Any]],
    client: MakeClient,
    impostor: tuple[str, tls_servers.Recorder],
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
) -> None:
    sound = serve(say("yes"), 0, tls_servers.shown(authority, tmp_path))
    asking = client(endpoints=[gateway(impostor[1].url), gateway(sound.url, "second")])
    answer = asking.ask(QUESTION)
    assert (answer.text, answer.endpoint) == ("yes", "second")
    assert sound.asked[0]["headers"]["authorization"] == f"Bearer {TOKEN}"
    assert impostor[1].received() == b""


def test_no_command_speaks_to_an_impostor(
    gateway: Callable[..., dict[str, Any]], settings: MakeSettings, impostor: tuple[str, tls_servers.Recorder]
) -> None:
    reason, server = impostor
    place = gateway(server.url)
    configure(settings(endpoints=[place], api={name: place[name] for name in ("url", "ca_file", "token_file")}))
    commands = (["ask", QUESTION], ["models"], ["status"], ["analyze", "/api/prometheus/query?query=up", QUESTION])
    results = [gizzi(*command) for command in commands]
    assert [result.exit_code for result in results] == [1] * len(commands)
    assert [result.stderr for result in results if reason not in result.stderr] == []
    assert json.loads(gizzi("health", "--json").stdout)["health"] == "unknown"
    assert server.received() == b""


def test_the_machine_s_authorities_are_not_trusted_beside_ca_file(
    gateway: Callable[..., dict[str, Any]], client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    public = Authority(text="Public")
    (trusted := tmp_path / "public.pem").write_text(public.pem, encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = tls_servers.shown(public, tmp_path)
    answer = tls_servers.answer_of("200 OK", b'{"model": "llama3.1:8b", "response": "yes", "done": true}\n')
    with closing(tls_servers.Recorder(context, answer)) as server:
        with pytest.raises(errors.UnreachableError, match="another authority"):
            client(endpoints=[gateway(server.url)]).query(QUESTION)
        assert server.received() == b""
    # Without a ca_file they are: so the test above means something.
    with closing(tls_servers.Recorder(context, answer)) as server:
        assert client(endpoints=[{"name": "other", "url": server.url}]).query(QUESTION) == "yes"
        assert QUESTION.encode() in server.received()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(
    gateway: Callable[..., dict[str, Any]],
    settings: MakeSettings,
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
    status: int,
) -> None:
    """Also those within TLS; to plain text most of all."""
    plain = serve(say("HEALTHY"))
    target = f"{plain.url}/api/generate"
    server = serve(
        lambda handler: handler.reply(status, b"", Location=target), 0, tls_servers.shown(authority, tmp_path)
    )
    place = gateway(server.url)
    configure(settings(endpoints=[place], api={"url": place["url"], "ca_file": place["ca_file"]}))
    for command in (["ask", QUESTION], ["models"], ["status"]):
        result = gizzi(*command)
        assert result.exit_code == 1
        assert f"it redirects to {target} (HTTP {status}), which is not followed" in result.stderr
    assert plain.asked == []


def answers(status: int, text: str, **headers: str) -> Behaviour:
    """What a gateway answers in Ollama's form."""
    return lambda handler: handler.reply(status, json.dumps({"error": text}).encode(), "application/json", **headers)


FULL = answers(429, "too many requests at once from one host: ask again after the seconds of Retry-After")
STRANGER = answers(401, "no token of this fleet: send it in the header Authorization, as Bearer TOKEN")
CONTEXT = answers(400, "options.num_ctx: 4096 is not the server's value: leave options.num_ctx out, or give 8192.")
CLOUD = answers(403, "model: x:cloud would be answered in the cloud, and prompts do not leave this server.")
PATHS = answers(403, "this gateway lets through questions to a model and what the server has, and nothing else")
LARGE = answers(413, "the body is larger than 4194304 bytes")
GONE = answers(502, "Ollama does not answer on its own host: is its service running?")

# The answer; the error; what it tells; whether the next server is asked.
ANSWERS: dict[str, tuple[Behaviour, type[errors.GizziError], list[str], bool]] = {
    "no token": (STRANGER, errors.RefusedError, ["(HTTP 401)", "/client-gateway.token", "etrid.gizzi.site"], True),
    "path": (PATHS, errors.RefusedError, ["(HTTP 403): this gateway lets through questions"], True),
    "cloud": (CLOUD, errors.PromptError, ["would be answered in the cloud", "Set `model`"], False),
    "context": (CONTEXT, errors.PromptError, ["options.num_ctx: 4096 is not", "prompt.context_tokens"], False),
    "full": (FULL, errors.BusyError, ["(HTTP 429): too many requests at once"], True),
    "large": (LARGE, errors.PromptError, ["too large (HTTP 413)", "Ask with less data"], False),
    "gone": (GONE, errors.ServerError, ["HTTP 502: Ollama does not answer on its own host"], True),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_a_gateway_answers(
    gateway: Callable[..., dict[str, Any]],
    client: MakeClient,
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
    case: str,
) -> None:
    behave, kind, told, elsewhere = ANSWERS[case]
    tls: ssl.SSLContext = tls_servers.shown(authority, tmp_path)
    refuses, sound = serve(behave, 0, tls), serve(say("yes"), 0, tls)
    with pytest.raises(kind) as caught:
        client(endpoints=[gateway(refuses.url)]).query(QUESTION)
    assert [part for part in told if part not in str(caught.value)] == []
    assert TOKEN not in str(caught.value)
    both = client(endpoints=[gateway(refuses.url), gateway(sound.url, "second")])
    if elsewhere:
        assert both.query(QUESTION) == "yes"
    else:
        with pytest.raises(kind):
            both.query(QUESTION)
        assert sound.asked == []


def test_where_no_token_is_given_one_is_asked_for(client: MakeClient, serve: Serve) -> None:
    with pytest.raises(errors.RefusedError, match="give it a token_file"):
        client(serve(STRANGER)).query(QUESTION)


def test_a_full_gateway_is_waited_for(client: MakeClient, serve: Serve) -> None:
    server = serve(say("yes"))

    def once(handler: Any) -> None:
        answers(429, "too many requests", Retry_After="0.2")(handler)
        server.behave = say("yes")

    server.behave = once
    assert client(server, failover={"when_busy": "wait"}).query(QUESTION) == "yes"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("status", "detail", "hint"),
    [
        (429, "too many requests at once from one host", "Ask again later"),
        (502, "the Gizzi API does not answer on its own host", "See the service gizzi-api"),
    ],
)
def test_the_api_through_a_gateway(settings: MakeSettings, serve: Serve, status: int, detail: str, hint: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    configure(settings(api={"url": serve(lambda handler: handler.reply(status, body, "application/json")).url}))
    result = gizzi("status")
    assert result.exit_code == 1
    assert f"HTTP {status}: {detail}" in result.stderr and hint in result.stderr
