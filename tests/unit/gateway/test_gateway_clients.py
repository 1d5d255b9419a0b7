# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who ask, as they are deployed, through the gateway as it is deployed: client, command and modules."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import gateways
import pytest
from ollama_client import OllamaClient, Settings, errors
from ollama_client.models import listed

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._model_name import parse_model_name
from ansible_collections.etrid.gizzi.plugins.module_utils._ollama import Ollama, TokenRefusedError
from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama

MODEL = parse_model_name("llama3.1:8b")
ASKED = {"model": str(MODEL), "prompt": "Is all well?", "options": {"num_predict": 8, "temperature": 0}}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings and no files of the machine."""
    monkeypatch.setenv("GIZZI_CONFIG", str(tmp_path / "none.toml"))


def settings(gateway: gateways.Gateway, token: str = gateways.TOKEN, **sections: object) -> Settings:
    (file := gateway.folder / "client-gateway.token").write_text(token)
    ca = gateway.folder / "certificate.pem"
    place = {"name": "gizzi", "url": f"https://127.0.0.1:{gateway.ollama_port}", "token_file": file, "ca_file": ca}
    return Settings(endpoints=[place], cache={"seconds": 0}, **sections)


def module(gateway: gateways.Gateway, token: str = gateways.TOKEN) -> Ollama:
    ca = (gateway.folder / "certificate.pem").read_text()
    return Ollama(f"https://127.0.0.1:{gateway.ollama_port}", 5, token, ca)


def test_the_client(gateway: gateways.Gateway) -> None:
    asking = OllamaClient(settings=settings(gateway))
    assert asking.query("Is all well?") == "All is well"
    assert "".join(asking.stream("Is all well?")) == "All is well"
    entries = [gateway.logged() for _unused in range(2)]
    assert {(one["validator"], one["path"], one["status"]) for one in entries} == {
        ("validator01", "/api/generate", 200)
    }
    with pytest.raises(errors.PromptError, match=r"options\.num_ctx: .* prompt\.context_tokens"):
        OllamaClient(settings=settings(gateway, prompt={"context_tokens": 8192})).query("Is all well?")
    with pytest.raises(errors.RefusedError, match=r"HTTP 401.*client-gateway\.token"):
        OllamaClient(settings=settings(gateway, token="0" * 64)).query("Is all well?")
    with pytest.raises(errors.PromptError, match="would be answered in the cloud"):
        OllamaClient(model="x:cloud", settings=settings(gateway)).query("Is all well?")


def test_the_modules(gateway: gateways.Gateway, ollama: fake_ollama.Server) -> None:
    server = module(gateway)
    assert "".join(line["response"] for line in server.generate(ASKED, 5)) == "All is well"
    server.load(MODEL, 5)
    tags = {"models": [{"name": str(MODEL), "digest": "ab" * 32, "size": 1, "capabilities": ["completion"]}]}
    ollama.behave = fake_ollama.status(200, json.dumps(tags).encode())
    assert server.abilities(MODEL) == {"completion"}
    assert listed(settings(gateway).endpoints[0])[0][0].name == str(MODEL)
    ollama.behave = fake_ollama.status(200, b'{"models": []}')
    # An older server does not tell there, and what a model consists of is asked in vain.
    assert server.abilities(MODEL) == frozenset()
    assert ollama.asked[-1]["path"] == "/api/tags"
    with pytest.raises(TokenRefusedError, match="does not know this host's token"):
        module(gateway, "0" * 64).version()
    with pytest.raises(GizziError, match="answered 403: this gateway lets through"):
        server.copy(MODEL, parse_model_name("b"))


def test_an_ollama_that_is_down_is_told_from_a_gateway_that_is(
    gateway: gateways.Gateway, ollama: fake_ollama.Server
) -> None:
    ollama.stop()
    with pytest.raises(errors.ServerError, match="HTTP 502: Ollama does not answer on its own host"):
        OllamaClient(settings=settings(gateway)).query("Is all well?")
    with pytest.raises(GizziError, match="answered 502: Ollama does not answer on its own host"):
        module(gateway).version()


def test_who_is_told_to_wait_waits(tmp_path: Path, ollama: fake_ollama.Server) -> None:
    """With one connection for each validator, a second question comes when the first is answered."""
    began, go_on = threading.Event(), threading.Event()
    say = fake_ollama.say("All is well", model=str(MODEL))

    def held(handler: fake_ollama.Handler) -> None:
        began.set()
        assert go_on.wait(20)
        say(handler)

    ollama.behave = held
    with gateways.running(tmp_path, f"127.0.0.1:{ollama.port}", ollama={"connections": 1}) as gateway:
        first = threading.Thread(target=OllamaClient(settings=settings(gateway)).query, args=("first",))
        first.start()
        assert began.wait(20)
        with pytest.raises(errors.BusyError, match=r"HTTP 429\): too many requests at once") as busy:
            OllamaClient(settings=settings(gateway)).query("second")
        assert busy.value.after == 5
        waiting = OllamaClient(settings=settings(gateway, failover={"when_busy": "wait"}))
        threading.Timer(0.5, go_on.set).start()
        assert waiting.query("third") == "All is well"
        first.join()
