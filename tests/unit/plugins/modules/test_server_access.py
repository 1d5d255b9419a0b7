# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's modules through a gateway: whom they trust with token and prompt, and what they make of its answers."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _ollama
from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama
from ansible_collections.etrid.gizzi.plugins.modules import host_state, ollama_health, ollama_info
from ansible_collections.etrid.gizzi.tests.unit import tls_servers
from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama, OtherService

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeRegistry

    Run = Callable[..., dict[str, Any]]

TOKEN = "5f" * 32
PROMPT = "Answer with a bird's name."
THROUGH = {"/api/generate", "/api/chat", "/api/embed", "/api/tags", "/api/ps", "/api/version"}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Gateway(FakeOllama):
    """Lets inference through, with the right token."""

    def __init__(self, registry: FakeRegistry, context: ssl.SSLContext) -> None:
        super().__init__(registry)
        self.wrap(context)
        self.url = self.url.replace("http:", "https:")
        # So many requests find it full.
        self.full = 0
        # What requests may hold, by Ollama's names.
        self.keys: set[str] = set()

    def answer(self, http: Any, body: Any) -> None:
        if http.headers.get("Authorization") != f"Bearer {TOKEN}":
            http.send_json(401, {"error": "no valid token"})
        elif self.full > 0:
            self.full -= 1
            http.send(429, b'{"error": "too many requests"}', Retry_After="1", Content_Type="application/json")
        elif http.path not in THROUGH:
            http.send_json(403, {"error": f"{http.path} is not let through"})
        else:
            self.keys |= set(body or {}) | set((body or {}).get("options", {}))
            super().answer(http, body)


@pytest.fixture
def gateway(registry: FakeRegistry, authority: Authority, tmp_path: Path) -> Iterator[Gateway]:
    with closing(Gateway(registry, tls_servers.shown(authority, tmp_path))) as server:
        server.have("mistral:latest", "one")
        yield server


@pytest.fixture
def health(run_module: Run, gateway: Gateway, authority: Authority) -> Run:
    def run(**args: Any) -> dict[str, Any]:
        given = {"url": gateway.url, "token": TOKEN, "ca": authority.pem, "model": "mistral", "prompt": PROMPT}
        return run_module(ollama_health.main, **{**given, **args})

    return run


def test_health_needs_no_more_than_a_gateway_lets_through(health: Run, gateway: Gateway) -> None:
    result = health(min_tokens_per_second=1)
    assert result["healthy"] is True, result
    assert [layer["status"] for layer in result["layers"]] == ["pass"] * 6
    # What other clients may set is the server's, and no matter of a look at it.
    assert gateway.keys == {"model", "prompt", "stream", "think", "options", "num_predict", "temperature"}


def test_a_model_that_embeds_is_told_by_the_list_of_models(health: Run, gateway: Gateway) -> None:
    gateway.have_content("nomic:latest", capabilities=["embedding"])
    tags = gateway.get_tags

    def with_capabilities(http: Any, body: Any) -> None:
        send = http.send_json
        http.send_json = lambda status, answer: send(
            status,
            {
                "models": [
                    one | {"capabilities": gateway.contents.get(one["name"], {}).get("capabilities", ["completion"])}
                    for one in answer["models"]
                ]
            },
        )
        tags(http, body)

    gateway.get_tags = with_capabilities  # type: ignore[method-assign]
    result = health(model="nomic")
    assert [layer["status"] for layer in result["layers"]] == ["pass"] * 4 + ["skip"] * 2
    assert gateway.paths("/api/show") == []


def test_pages_of_a_host_s_look(run_module: Run, gateway: Gateway, authority: Authority) -> None:
    page, list_page = f"{gateway.url}/api/version", f"{gateway.url}/api/tags"
    found = run_module(host_state.main, urls=[page, list_page], tokens={page: TOKEN}, ca=authority.pem)
    assert found["urls"][page]["json"] == {"version": "0.34.2"}
    assert "answered 401" in found["urls"][list_page]["unseen"]
    assert TOKEN not in json.dumps(found)
    assert "another authority" in run_module(host_state.main, urls=[page])["urls"][page]["unseen"]


def test_info_through_a_gateway(run_module: Run, gateway: Gateway, authority: Authority) -> None:
    result = run_module(ollama_info.main, url=gateway.url, token=TOKEN, ca=authority.pem)
    assert result["version"] == "0.34.2"
    assert [model["name"] for model in result["models"]] == ["mistral:latest"]


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_token_that_is_refused(health: Run, token: str) -> None:
    result = health(token=token)
    assert result["failed_layer"] == "version"
    assert "does not know this host's token" in result["msg"]
    assert "gateway_token_secret" in result["msg"]
    assert not token or token not in json.dumps(result)


def test_a_path_that_is_not_let_through_is_no_matter_of_the_host_header(gateway: Gateway, authority: Authority) -> None:
    server = Ollama(gateway.url, 5, TOKEN, authority.pem)
    with pytest.raises(GizziError, match="answered 403: /api/copy is not let through") as error:
        server.copy(parse_model_name("a"), parse_model_name("b"))
    assert not isinstance(error.value, _ollama.HostRefusedError)


def test_a_full_gateway_is_waited_for(health: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(_ollama.time, "sleep", pauses.append)
    gateway.full = 2
    assert health()["healthy"] is True
    assert pauses == [1.0, 1.0]


def test_a_gateway_that_stays_full_is_busy(health: Run, gateway: Gateway) -> None:
    passed = gateway.answer

    def full(http: Any, body: Any) -> None:
        gateway.full = int(http.path == "/api/generate" and bool(body.get("prompt")))
        passed(http, body)

    gateway.answer = full  # type: ignore[method-assign]
    started = time.monotonic()
    result = health(timeout=1.5, stall_timeout=1.5)
    assert result["failed_layer"] == "answers"
    assert result["layers"][4]["status"] == "busy"
    assert "answered 429: too many requests" in result["msg"]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("reason", ["another authority", "has expired", "another host"])
def test_an_impostor_gets_neither_token_nor_prompt(
    health: Run, authority: Authority, tmp_path: Path, reason: str
) -> None:
    context = tls_servers.impostors(authority, tmp_path)[reason]
    answer = tls_servers.answer_of("200 OK", b'{"version": "0.34.2", "models": []}')
    with closing(tls_servers.Recorder(context, answer)) as impostor:
        result = health(url=impostor.url)
        assert result["failed_layer"] == "reachable"
        assert reason in result["msg"]
        assert f"127.0.0.1:{impostor.port}" in result["msg"]
        with pytest.raises(GizziError, match=f"{reason}.*Nothing was sent"):
            next(Ollama(impostor.url, 5, TOKEN, authority.pem).generate({"model": "mistral", "prompt": PROMPT}, 5))
        assert impostor.received() == b""


def test_the_host_s_authorities_are_not_trusted_beside_the_given_one(
    health: Run, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(text="Public")
    (trusted := tmp_path / "public.pem").write_text(other.pem, "ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = tls_servers.shown(other, tmp_path)
    answer = tls_servers.answer_of("200 OK", b'{"version": "0.34.2"}')
    with closing(tls_servers.Recorder(context, answer)) as server:
        assert "another authority" in health(url=server.url)["msg"]
        assert server.received() == b""
    # And without one they are.
    with closing(tls_servers.Recorder(context, answer)) as server:
        assert health(url=server.url, ca=None, model=None)["healthy"] is True
        assert f"Bearer {TOKEN}".encode() in server.received()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(health: Run, authority: Authority, tmp_path: Path, status: str) -> None:
    with closing(OtherService(200, b'{"version": "0.34.2"}')) as elsewhere:
        answer = tls_servers.answer_of(status, b"", Location=f"{elsewhere.url}/api/version")
        with closing(tls_servers.Recorder(tls_servers.shown(authority, tmp_path), answer)) as server:
            result = health(url=server.url)
        told = f"answered {status[:3]}: redirects to {elsewhere.url}/api/version, which is not followed"
        assert told in result["msg"]
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"token": "two words"}, "token: it must consist of visible ASCII"),
        ({"token": "line\r\nHost: other"}, "token: it must consist of visible ASCII"),
        ({"url": "http://192.0.2.7:11434"}, "token: it would go to http://192.0.2.7:11434 in plain text"),
        ({"ca": "-----BEGIN NOTHING-----"}, "ca: this is no certificate in PEM form"),
        ({"ca": "Ë"}, "ca: this is no certificate in PEM form"),
    ],
)
def test_wrong_options(health: Run, args: dict[str, str], message: str) -> None:
    result = health(**args)
    assert message in result["msg"]
    assert args.get("token", TOKEN) not in result["msg"]


def test_a_token_may_go_to_the_host_itself_in_plain_text(run_module: Run, ollama: FakeOllama) -> None:
    assert run_module(ollama_health.main, url=ollama.url, token=TOKEN)["healthy"] is True
