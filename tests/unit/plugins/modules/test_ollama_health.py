# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.module_utils import _silence
from ansible_collections.etrid.gizzi.plugins.modules import ollama_health
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import OtherService

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeOllama

    Run = Callable[..., dict[str, Any]]

LAYERS = ["reachable", "version", "present", "loads", "answers", "speed"]


@pytest.fixture
def health(run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> Run:
    ollama.have("mistral:latest", "one")

    def run(**args: Any) -> dict[str, Any]:
        return run_module(ollama_health.main, **{"url": ollama.url, "model": "mistral", **args})

    return run


def failed_at(result: dict[str, Any], layer: str, status: str = "fail") -> str:
    """Check that everything before the layer passed and nothing after it was judged, and return its message."""
    index = LAYERS.index(layer)
    assert [entry["layer"] for entry in result["layers"]] == LAYERS
    assert [entry["status"] for entry in result["layers"]] == ["pass"] * index + [status] + ["skip"] * (5 - index)
    assert result["healthy"] is False
    assert result["failed_layer"] == layer
    assert result["failed"] is True
    message: str = result["layers"][index]["message"]
    assert message in result["msg"]
    return message


def test_healthy(health: Run, ollama: FakeOllama) -> None:
    digest = ollama.have("mistral:latest", "one")
    result = health(min_tokens_per_second=10, min_version="0.31.2", digest=digest)
    assert [entry["status"] for entry in result["layers"]] == ["pass"] * 6
    assert result["healthy"] is True
    assert result["failed_layer"] is None
    assert result["answer"] == "Paris."
    assert result["version"] == "0.34.2"
    assert result["digest"] == digest
    # Three tokens in 200 ms: the server counts tokens, and nanoseconds.
    assert result["tokens_per_second"] == pytest.approx(15)
    assert "changed" in result
    assert result["changed"] is False


def test_without_a_model_only_the_server_is_judged(
    run_module: Callable[..., dict[str, Any]], ollama: FakeOllama
) -> None:
    result = run_module(ollama_health.main, url=ollama.url)
    assert [entry["status"] for entry in result["layers"]] == ["pass", "pass", "skip", "skip", "skip", "skip"]
    assert result["healthy"] is True
    assert ollama.paths() == ["/api/version"]


def test_nothing_listens(health: Run, ollama: FakeOllama) -> None:
    ollama.close()
    message = failed_at(health(), "reachable")
    assert "Nothing listens on" in message
    assert "systemctl status ollama" in message


def test_silence_is_told_from_refusal(health: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        message = failed_at(
            health(url=f"http://127.0.0.1:{listener.getsockname()[1]}", request_timeout=0.2), "reachable"
        )
    assert "does not answer" in message


def test_service_that_speaks_no_http(health: Run) -> None:
    def greet(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
        message = failed_at(health(url=f"http://127.0.0.1:{listener.getsockname()[1]}"), "reachable")
    assert "SSH-2.0-OpenSSH_9.2" in message


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>Welcome</html>"), (404, b"no"), (200, b'{"status": "ok"}')])
def test_another_service(health: Run, status: int, body: bytes) -> None:
    with closing(OtherService(status, body)) as other:
        message = failed_at(health(url=other.url), "version")
    assert "nginx/1.22.1" in message


def test_host_header_refused(health: Run, ollama: FakeOllama) -> None:
    ollama.host_check = True
    assert "Host: localhost:11434" in failed_at(health(), "version")


def test_server_too_old(health: Run) -> None:
    message = failed_at(health(min_version="0.100.0"), "version")
    assert "0.34.2 is older than 0.100.0" in message


def test_model_absent(health: Run, ollama: FakeOllama) -> None:
    ollama.have("phi3:mini", "mini")
    message = failed_at(health(model="phi3"), "present")
    assert "no model phi3:latest; it has mistral:latest, phi3:mini" in message


def test_model_at_another_digest(health: Run, ollama: FakeOllama) -> None:
    digest = ollama.have("mistral:latest", "one")
    message = failed_at(health(digest="ab" * 32), "present")
    assert digest in message
    assert "ab" * 32 in message


def test_model_that_does_not_load(health: Run, ollama: FakeOllama) -> None:
    ollama.load_error = "model requires more system memory (8.0 GiB) than is available (1.2 GiB)"
    assert "requires more system memory" in failed_at(health(), "loads")


def test_model_that_never_finishes_to_load(health: Run, ollama: FakeOllama) -> None:
    ollama.load_hangs = True
    started = time.monotonic()
    message = failed_at(health(timeout=0.4), "loads")
    assert "did not load within" in message
    assert time.monotonic() - started < 2


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the server's runners have taken so many seconds of processor time, each time that it is looked."""

    def taken(*looks: dict[int, float] | None) -> None:
        seen = iter(looks)
        last = looks[-1]
        monkeypatch.setattr(_silence, "cpu_behind", lambda _url: next(seen, last))

    return taken


def asked(ollama: FakeOllama) -> int:
    """How often a question was asked, beside the loading of the model."""
    return sum(path == "/api/generate" and bool(body.get("prompt")) for _verb, path, body in ollama.requests)


def test_a_server_that_computes_for_others_is_busy(health: Run, ollama: FakeOllama, cpu: Callable[..., None]) -> None:
    """It was called stalled, and its service was to be restarted."""
    ollama.generate_lines, ollama.generate_hangs = [], True
    cpu(*({7: look * 0.2} for look in range(100)))
    started = time.monotonic()
    message = failed_at(health(stall_timeout=0.2, timeout=0.7), "answers", "busy")
    assert 0.6 < time.monotonic() - started < 3
    assert "is busy with other questions" in message
    assert "restart" not in message
    # Again, as long as there is time.
    assert asked(ollama) >= 3


@pytest.mark.parametrize("later", [{7: 2.0}, {7: 2.0, 8: 0.1}], ids=["ended", "another of its number"])
def test_a_runner_that_ends_takes_nothing_from_what_another_does(
    health: Run, ollama: FakeOllama, cpu: Callable[..., None], later: dict[int, float]
) -> None:
    ollama.generate_lines, ollama.generate_hangs = [], True
    cpu({7: 1.0, 8: 9.0}, later)
    failed_at(health(stall_timeout=0.3, timeout=0.4), "answers", "busy")


def test_a_server_that_is_free_again_answers(health: Run, ollama: FakeOllama, cpu: Callable[..., None]) -> None:
    cpu({7: 1.0}, {7: 2.0}, {7: 2.0})
    lines, ollama.generate_lines, ollama.generate_hangs = ollama.generate_lines, [], True
    answer = ollama.answer

    def second_time(http: Any, body: Any) -> None:
        if asked(ollama) == 2:
            ollama.generate_lines, ollama.generate_hangs = lines, False
        answer(http, body)

    ollama.answer = second_time  # type: ignore[method-assign]
    result = health(stall_timeout=0.2, timeout=5)
    assert result["healthy"] is True
    assert result["answer"] == "Paris."


@pytest.mark.parametrize("looks", [[None], [{7: 1.0}, None], [None, {7: 1.0}]])
def test_from_elsewhere_silence_is_unknown(
    health: Run, ollama: FakeOllama, cpu: Callable[..., None], looks: list[Any]
) -> None:
    ollama.generate_lines, ollama.generate_hangs = [], True
    cpu(*looks)
    message = failed_at(health(stall_timeout=0.3, timeout=0.4), "answers", "unknown")
    assert "cannot be seen from here" in message


@pytest.mark.parametrize("tokens", [0, 1])
def test_model_that_loads_but_stalls(health: Run, ollama: FakeOllama, cpu: Callable[..., None], tokens: int) -> None:
    # A process that waits takes a little.
    cpu({7: 5.0}, {7: 5.001})
    ollama.generate_lines = ollama.generate_lines[:tokens]
    ollama.generate_hangs = True
    started = time.monotonic()
    message = failed_at(health(stall_timeout=0.3), "answers")
    assert "loads but stalls" in message
    assert ("before its first token" if tokens == 0 else "after token number 1") in message
    assert time.monotonic() - started < 2


def test_lines_without_text_are_no_progress(health: Run, ollama: FakeOllama) -> None:
    ollama.generate_lines = [{"response": "", "done": False}] * 50
    ollama.generate_pause = 0.02
    assert "loads but stalls" in failed_at(health(stall_timeout=0.2), "answers")


def test_answer_over_time(health: Run, ollama: FakeOllama) -> None:
    ollama.generate_lines = [{"response": "x", "done": False}] * 50
    ollama.generate_pause = 0.02
    assert "longer than" in failed_at(health(timeout=0.4, stall_timeout=0.2), "answers")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([{"response": "Par"}, {"error": "llama runner process has terminated"}], "runner process has terminated"),
        ([{"response": "Par", "done": False}], "broke off"),
        ([{"response": " \n"}, {"response": "", "done": True}], "empty answer"),
    ],
)
def test_answers_that_are_none(health: Run, ollama: FakeOllama, lines: list[Any], reason: str) -> None:
    ollama.generate_lines = lines
    assert reason in failed_at(health(), "answers")


def test_thinking_is_no_answer(health: Run, ollama: FakeOllama) -> None:
    """Some models do not heed that they are told not to think."""
    ollama.generate_lines = [{"thinking": "Hm, Paris"}, {"response": "", "done": True}]
    result = health()
    assert "it only thought within 16 tokens, without an answer" in failed_at(result, "answers")
    assert result["answer"] is None


@pytest.mark.parametrize("thought", [{"thinking": "Hm, Paris"}, {"response": "<think>Hm, Paris"}])
def test_all_tokens_for_thoughts(health: Run, ollama: FakeOllama, thought: dict[str, str]) -> None:
    """What a template puts between marks is no answer either."""
    ollama.generate_lines = [thought, {"response": "", "done": True, "done_reason": "length"}]
    message = failed_at(health(tokens=20), "answers")
    assert "all of its 20 tokens went into thoughts" in message
    assert "set 'tokens' higher" in message
    assert ollama.requests[-1][2]["options"]["num_predict"] == 20


def test_an_answer_after_marked_thoughts_is_one(health: Run, ollama: FakeOllama) -> None:
    ollama.generate_lines = [{"response": "<think>Hm</think>"}, {"response": "Paris"}, {"response": "", "done": True}]
    assert health()["answer"] == "Paris"


def test_an_answer_after_thoughts_is_one(health: Run, ollama: FakeOllama) -> None:
    ollama.generate_lines = [{"thinking": "Hm"}, {"response": "Paris"}, {"response": "", "done": True}]
    assert health()["answer"] == "Paris"


def test_too_slow(health: Run) -> None:
    message = failed_at(health(min_tokens_per_second=20), "speed")
    assert "15.00 tokens/s by the server's own clock" in message
    assert "at least 20" in message


def test_speed_without_durations_is_timed_here(health: Run, ollama: FakeOllama) -> None:
    ollama.generate_lines = [{"response": "a"}, {"response": "b"}, {"response": "c"}, {"response": "", "done": True}]
    ollama.generate_pause = 0.05
    result = health(min_tokens_per_second=0.1)
    # Two gaps of at least 50 ms; more on a busy machine.
    assert 0.1 < result["tokens_per_second"] < 21
    assert "timed here" in result["layers"][5]["message"]


def test_unknown_speed_is_not_healthy(health: Run, ollama: FakeOllama) -> None:
    ollama.generate_lines = [{"response": "Paris."}, {"response": "", "done": True}]
    assert "could not be measured" in failed_at(health(min_tokens_per_second=1), "speed")
    assert health()["healthy"] is True


def test_fail_on_never_reports(health: Run) -> None:
    result = health(model="phi3", fail_on="never")
    assert "failed" not in result
    assert result["healthy"] is False
    assert result["failed_layer"] == "present"


def test_wrong_values(health: Run, run_module: Callable[..., dict[str, Any]], ollama: FakeOllama) -> None:
    assert "is not a version" in health(min_version="new")["msg"]
    assert "has no scheme" in health(url="127.0.0.1:11434")["msg"]
    assert "missing parameter" in run_module(ollama_health.main, url=ollama.url, digest="ab" * 32)["msg"]


def test_what_a_server_says_steers_no_terminal(health: Run, ollama: FakeOllama) -> None:
    ollama.have("\x1b[2J\u202e:evil", "evil")
    ollama.version = "0.34.2-\x9b2J"
    result = health(model="phi3")
    assert result["layers"][1]["message"] == "Ollama 0.34.2-\\x9b2J."
    assert "\\x1b[2J\\u202e:evil" in failed_at(result, "present")
    ollama.generate_lines = [{"response": "Paris\x1b[2J"}, {"response": "", "done": True}]
    assert health()["layers"][4]["message"].endswith(r"Paris\x1b[2J")
