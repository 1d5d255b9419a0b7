# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question that comes while Ollama is restarted waits at the gateway, and is asked once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import gateways
from gateways import Answer, Gateway

from ansible_collections.etrid.gizzi.tests.unit.ollama_client import fake_ollama
from ansible_collections.etrid.gizzi.tests.unit.ollama_client.fake_ollama import Server, until

QUESTION = {"model": "llama3.1:8b", "prompt": "Is all well?", "stream": False}


def answers(port: int) -> Server:
    return Server(fake_ollama.say("All is well", model="llama3.1:8b"), port)


def while_it_waits(gateway: Gateway, then: Callable[[], None]) -> Answer:
    """Ask, do something once the gateway holds the question, and return the answer."""
    with ThreadPoolExecutor(1) as pool:
        asked: Future[Answer] = pool.submit(gateway.ask, "/api/generate", QUESTION)
        until(lambda: gateway.errors().count("Connection refused") > 1)
        assert not asked.done()
        then()
        return asked.result(10)


def test_a_question_waits_for_an_ollama_that_starts(tmp_path: Path) -> None:
    port, _other = gateways.free_ports()
    with gateways.running(tmp_path, f"127.0.0.1:{port}", ollama={"patience": 30}) as gateway:
        servers: list[Server] = []

        def start() -> None:
            servers.append(answers(port))
            servers[0].start()

        try:
            assert while_it_waits(gateway, start).status == 200
            assert [one["path"] for one in servers[0].asked if one["path"] != "/api/version"] == ["/api/generate"]
            assert servers[0].asked[-1]["body"] == QUESTION
        finally:
            for one in servers:
                one.stop()


def test_it_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    port, _other = gateways.free_ports()
    with gateways.running(tmp_path, f"127.0.0.1:{port}", ollama={"patience": 1}) as gateway:
        answer = gateway.ask("/api/generate", QUESTION)
        assert (answer.status, "does not answer" in answer.error) == (502, True)
        assert gateway.logged()["seconds"] >= 1
        # What is no question says at once that nobody is there.
        assert gateway.ask("/api/version").status == 502
        assert gateway.logged()["seconds"] < 0.5


def test_a_question_waits_for_an_ollama_that_stops(gateway: Gateway, ollama: Server, tmp_path: Path) -> None:
    stopping = tmp_path / "run/stopping"
    stopping.parent.mkdir()
    stopping.touch()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(gateway.ask, "/api/generate", QUESTION)
        # One that comes later has its answer, and the first has none.
        assert gateway.ask("/api/version").status == 200
        assert not asked.done()
        assert [one["path"] for one in ollama.asked] == ["/api/version"]
        stopping.unlink()
        assert asked.result(10).status == 200
    assert [one["path"] for one in ollama.asked].count("/api/generate") == 1
