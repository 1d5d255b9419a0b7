# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway lets through, to whom, and how it answers: a real nginx before a fake Ollama."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import threading
from contextlib import closing
from pathlib import Path

import gateways
import pytest
from gateways import OTHER_TOKEN, TOKEN, Gateway

from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama
from ansible_collections.etrid.gizzi.tests.unit.ollama_client.fake_ollama import Handler, Server, closed_port, until

QUESTION = {"model": "llama3.1:8b", "prompt": "Is all well?"}
ROUTES = {
    "/api/generate": QUESTION,
    "/api/chat": {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "Is all well?"}]},
    "/api/embed": {"model": "llama3.1:8b", "input": ["a", "b"]},
    "/api/embeddings": QUESTION,
    "/v1/chat/completions": {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "Is all well?"}]},
    "/v1/completions": QUESTION,
    "/v1/embeddings": {"model": "llama3.1:8b", "input": "a"},
}
READ = ["/api/tags", "/api/ps", "/api/version", "/v1/models"]


@pytest.mark.parametrize("path", ROUTES)
def test_questions_are_let_through(gateway: Gateway, ollama: Server, path: str) -> None:
    assert gateway.ask(path, ROUTES[path]).status == 200
    assert [(one["path"], one["body"]) for one in ollama.asked] == [(path, ROUTES[path])]


@pytest.mark.parametrize("path", READ)
def test_what_the_server_has_is_let_through(gateway: Gateway, ollama: Server, path: str) -> None:
    ollama.behave = fake_ollama.status(200, b'{"models": []}')
    assert gateway.ask(path).body == b'{"models": []}'
    assert [one["path"] for one in ollama.asked] == [path]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("POST", f"/api/{name}")
            for name in ("pull", "push", "create", "copy", "show", "signout", "me", "blobs/sha256:0")
        ),
        ("DELETE", "/api/delete"),
        ("HEAD", "/api/blobs/sha256:0"),
        ("GET", "/"),
        ("GET", "/api/generate"),
        ("POST", "/api/tags"),
        ("PUT", "/api/generate"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("GET", "/v1/models/x"),
        # Other spellings of what is let through
        ("POST", "/API/generate"),
        ("POST", "//api/generate"),
        ("POST", "/api/%67enerate"),
        ("POST", "/api/generate/"),
        ("POST", "/api/delete/../generate"),
        ("POST", "/api/delete/%2e%2e/generate"),
        ("GET", "/api/version;x"),
    ],
)
def test_everything_else_is_not(gateway: Gateway, ollama: Server, method: str, path: str) -> None:
    answer = gateway.ask(path, QUESTION if method == "POST" else None, method=method)
    assert answer.status == 403
    assert method == "HEAD" or "nothing else" in answer.error
    assert ollama.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {'0' * 64}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN} x"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Cookie": f"Authorization=Bearer {TOKEN}"},
        {"X-Forwarded-For": "127.0.0.1"},
    ],
)
@pytest.mark.parametrize("path", ["/api/version", "/api/generate", "/api/delete"])
def test_without_a_token_nothing_is(gateway: Gateway, ollama: Server, path: str, headers: dict[str, str]) -> None:
    answer = gateway.ask(path, QUESTION, token=None, headers=headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization" in answer.error
    assert ollama.asked == []


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_token_in_the_url_is_refused(gateway: Gateway, ollama: Server, token: str | None) -> None:
    for path in (f"/api/version?token={TOKEN}", f"/api/generate?access_token={TOKEN}", "/api/version?"):
        body = QUESTION if "generate" in path else None
        # An empty query is not one.
        assert gateway.ask(path, body, token=token).status == (403 if token and path.endswith("?") else 401)
    assert ollama.asked == []


def is_over(kept: http.client.HTTPSConnection) -> bool:
    """Ask once more on a connection, and tell whether it has ended."""
    try:
        kept.request("GET", "/api/version", headers={"Authorization": f"Bearer {OTHER_TOKEN}"})
        kept.getresponse().read()
    except (http.client.HTTPException, OSError):
        return True
    return False


def test_a_token_that_is_taken_off_is_refused_after_a_reload(gateway: Gateway, ollama: Server) -> None:
    with closing(gateway.connection()) as kept:
        kept.request("GET", "/api/version", headers={"Authorization": f"Bearer {OTHER_TOKEN}"})
        kept.getresponse().read()
        next((gateway.folder / "tokens").glob("ba*.conf")).unlink()
        os.kill(gateway.process.pid, signal.SIGHUP)
        until(lambda: gateway.ask("/api/version", token=OTHER_TOKEN).status == 401)
        # The connection that was there before ends with the worker that knew the token.
        kept.auto_open = 0
        until(lambda: is_over(kept))
    assert gateway.ask("/api/version").status == 200


def test_nothing_of_the_callers_head_goes_on(gateway: Gateway, ollama: Server) -> None:
    headers = {"Origin": "https://example.org", "X-Forwarded-For": "192.0.2.1", "Cookie": "a=b", "X-Other": "x"}
    for path, body in (("/api/generate", QUESTION), ("/api/version", None)):
        assert gateway.ask(path, body, headers=headers).status == 200
    asked, read = (one["headers"] for one in ollama.asked)
    length = str(len(json.dumps(QUESTION, separators=(",", ":"))))
    assert asked == {"host": "localhost:11434", "content-type": "application/json", "content-length": length}
    assert read == {"host": "localhost:11434"}


def test_an_answer_comes_piece_by_piece(gateway: Gateway, ollama: Server) -> None:
    goes_on = threading.Event()

    def behave(handler: Handler) -> None:
        handler.begin()
        handler.line(response="All ", done=False)
        assert goes_on.wait(10)
        handler.line(response="is well", done=True)
        handler.end()

    ollama.behave = behave
    with closing(gateway.connection(timeout=5)) as connection:
        connection.request("POST", "/api/generate", json.dumps(QUESTION), {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        assert json.loads(answer.readline())["response"] == "All "
        goes_on.set()
        assert json.loads(answer.readline())["response"] == "is well"


def test_a_caller_who_leaves_ends_the_work(gateway: Gateway, ollama: Server) -> None:
    left = threading.Event()

    def behave(handler: Handler) -> None:
        handler.begin()
        handler.line(response="All ", done=False)
        # The gateway closes its side.
        if handler.rfile.read(1) == b"":
            left.set()
        raise ConnectionAbortedError

    ollama.behave = behave
    with closing(gateway.connection()) as connection:
        connection.request("POST", "/api/generate", json.dumps(QUESTION), {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        answer.readline()
        answer.close()
    assert left.wait(5)


@pytest.mark.parametrize("behave", [fake_ollama.hang_up, fake_ollama.cut])
def test_an_answer_is_never_asked_for_twice(gateway: Gateway, ollama: Server, behave: fake_ollama.Behaviour) -> None:
    ollama.behave = behave
    try:
        answer = gateway.ask("/api/generate", QUESTION)
    except http.client.IncompleteRead:
        assert behave is fake_ollama.cut
    else:
        assert answer.status == 502
        assert "does not answer" in answer.error
    assert len(ollama.asked) == 1


def test_a_server_that_is_gone_is_a_502(tmp_path: Path) -> None:
    with gateways.running(tmp_path, f"127.0.0.1:{closed_port()}") as gateway:
        for path, body in (("/api/version", None), ("/api/generate", QUESTION)):
            answer = gateway.ask(path, body)
            assert (answer.status, answer.headers["content-type"]) == (502, "application/json")
            assert "Ollama does not answer" in answer.error


def test_what_ollama_refuses_comes_back_as_it_is(gateway: Gateway, ollama: Server) -> None:
    for code in (400, 401, 404, 429, 500, 502, 503):
        ollama.behave = fake_ollama.status(code, b'{"error": "its own"}')
        answer = gateway.ask("/api/generate", QUESTION)
        assert (answer.status, answer.error) == (code, "its own")


def test_too_many_at_once_are_told_to_wait(tmp_path: Path, ollama: Server) -> None:
    ollama.behave = fake_ollama.stall
    with gateways.running(tmp_path, f"127.0.0.1:{ollama.port}", ollama={"connections": 2}) as gateway:
        held = [gateway.connection() for _turn in range(2)]
        for one in held:
            one.request("POST", "/api/generate", json.dumps(QUESTION), {"Authorization": f"Bearer {TOKEN}"})
            one.getresponse().readline()
        for path, body in (("/api/generate", QUESTION), ("/api/version", None)):
            full = gateway.ask(path, body)
            assert (full.status, full.headers["retry-after"]) == (429, "5")
            assert "too many" in full.error
        # Another validator is not kept from it.
        ollama.behave = fake_ollama.say("yes", model="x")
        assert gateway.ask("/api/generate", QUESTION, token=OTHER_TOKEN).status == 200
        for one in held:
            one.close()
        until(lambda: gateway.ask("/api/generate", QUESTION).status == 200)


def test_too_many_in_a_second_are_told_to_wait(tmp_path: Path, ollama: Server) -> None:
    with gateways.running(tmp_path, f"127.0.0.1:{ollama.port}", ollama={"rate": 1}) as gateway:
        answers = [gateway.ask("/api/version") for _turn in range(5)]
        assert [one.status for one in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].headers["retry-after"] == "1"
        assert gateway.ask("/api/version", token=OTHER_TOKEN).status == 200
        # What is refused for its token does not count.
        assert {gateway.ask("/api/version", token=None).status for _turn in range(5)} == {401}


def test_a_large_body(gateway: Gateway, ollama: Server) -> None:
    room = gateways.BODY - len(json.dumps(QUESTION | {"prompt": ""}))
    assert gateway.ask("/api/generate", QUESTION | {"prompt": "x" * room}).status == 200
    assert len(ollama.asked[0]["body"]["prompt"]) == room
    answer = gateway.ask("/api/generate", QUESTION | {"prompt": "x" * (room + 1)})
    assert answer.status == 413
    assert str(gateways.BODY) in answer.error


def test_the_log_says_who_and_what_and_never_a_prompt(gateway: Gateway, ollama: Server) -> None:
    gateway.ask("/api/generate", QUESTION | {"prompt": "a secret word"})
    line = gateway.logged()
    assert line.pop("seconds") >= 0
    assert line.pop("bytes") > 100
    assert line == {
        "listener": "ollama",
        "validator": "validator01",
        "address": "127.0.0.1",
        "method": "POST",
        "path": "/api/generate",
        "status": 200,
    }
    for path in (f"/api/version?token={TOKEN}", f"/{TOKEN}", f"/api/version/{TOKEN}", "/api/generate%0asecret"):
        gateway.ask(path, token=OTHER_TOKEN)
        line = gateway.logged()
        assert line["path"] == ("/api/version" if "?" in path else "other")
        assert line["validator"] == "validator02"
    gateway.ask("/api/generate", b'{"prompt": "a secret word", "prompt": ""}')
    gateway.ask("/api/generate", {"prompt": "x" * 5_000_000}, headers={"X": TOKEN})
    errors = gateway.errors()
    assert TOKEN not in errors
    assert "secret" not in errors


def test_tls_is_1_2_or_newer(gateway: Gateway) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        gateway.context.minimum_version = gateway.context.maximum_version = version
        assert gateway.ask("/api/version").status == 200
    gateway.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    gateway.context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        gateway.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        gateway.ask("/api/version")


def test_plain_text_is_refused(gateway: Gateway, ollama: Server) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.ollama_port, timeout=5)) as plain:
        plain.request("GET", "/api/version", headers={"Authorization": f"Bearer {TOKEN}"})
        assert plain.getresponse().status == 400
    assert ollama.asked == []


class TestApi:
    """The listener before the Gizzi API."""

    def test_its_token_goes_on_and_the_address_is_ours(self, tmp_path: Path, ollama: Server) -> None:
        with gateways.running(tmp_path, "127.0.0.1:1", f"127.0.0.1:{ollama.port}") as gateway:
            headers = {"Authorization": "Bearer of-promql", "X-Forwarded-For": "192.0.2.1"}
            path = "/api/prometheus/query?query=up%7Bjob%3D%22x%22%7D"
            answer = gateway.ask(path, token=None, headers=headers, port=gateway.api_port)
            assert answer.status == 200
            asked = ollama.asked[0]
            assert asked["path"] == path
            assert asked["headers"]["authorization"] == "Bearer of-promql"
            assert asked["headers"]["x-forwarded-for"] == "127.0.0.1"
            assert asked["headers"]["host"] == f"127.0.0.1:{gateway.api_port}"
            line = gateway.logged()
            assert (line["listener"], line["validator"], line["path"]) == ("api", "", "/api/prometheus/query")

    def test_its_redirects_stay_with_tls(self, tmp_path: Path, ollama: Server) -> None:
        ollama.behave = lambda handler: handler.reply(307, b"", Location=f"http://{handler.headers['Host']}/docs")
        with gateways.running(tmp_path, "127.0.0.1:1", f"127.0.0.1:{ollama.port}") as gateway:
            answer = gateway.ask("/docs/", token=None, port=gateway.api_port)
            assert answer.headers["location"] == f"https://127.0.0.1:{gateway.api_port}/docs"

    def test_an_address_has_its_share(self, tmp_path: Path, ollama: Server) -> None:
        ollama.behave = fake_ollama.hang
        upstream = f"127.0.0.1:{ollama.port}"
        with gateways.running(tmp_path, "127.0.0.1:1", upstream, api={"connections": 2}) as gateway:
            held = [gateway.connection(gateway.api_port) for _turn in range(2)]
            for one in held:
                one.request("GET", "/api/network/status")
            until(lambda: len(ollama.asked) == 2)
            full = gateway.ask("/api/network/status", token=None, port=gateway.api_port)
            assert (full.status, full.headers["retry-after"]) == (429, "5")
            assert "too many" in json.loads(full.body)["detail"]
            for one in held:
                one.close()

    def test_a_query_is_in_no_log(self, tmp_path: Path) -> None:
        with gateways.running(tmp_path, "127.0.0.1:1", f"127.0.0.1:{closed_port()}") as gateway:
            answer = gateway.ask("/api/prometheus/query?query=secret", token=None, port=gateway.api_port)
            assert answer.status == 502
            assert "the Gizzi API does not answer" in json.loads(answer.body)["detail"]
            gateway.ask("/x?query=secret", b"x" * 100_000, token=None, port=gateway.api_port)
            assert gateway.logged()["path"] == "/api/prometheus/query"
            assert "secret" not in gateway.errors()


def test_the_gateway_serves_an_ipv6_address(tmp_path: Path, ollama: Server) -> None:
    upstream = f"127.0.0.1:{ollama.port}"
    with gateways.running(tmp_path, upstream, listens=["127.0.0.1", "[::1]"]) as gateway:
        with socket.create_connection(("::1", gateway.ollama_port), 5):
            pass
        assert gateway.ask("/api/version").status == 200
