"""gizzi ask, and what all commands share."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import fake_ollama
import pytest
from commands import COMMAND, configure, finished, gizzi, process
from conftest import MakeSettings, Serve
from fake_ollama import say
from ollama_client import Data
from ollama_client.cli import stdin
from ollama_client.errors import PromptError


def test_an_answer(serve: Serve, settings: MakeSettings) -> None:
    server = serve(say("Yes, it is."))
    configure(settings(server))
    result = gizzi("ask", "Is it?", "--system", "Be brief.")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Yes, it is.\n", "")
    assert server.asked[0]["body"]["system"] == "Be brief."


def test_an_answer_as_json(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say("Yes."))))
    answer = json.loads(gizzi("ask", "Is it?", "--json").stdout)
    assert (answer["text"], answer["endpoint"], answer["cached"]) == ("Yes.", "server1", False)
    assert json.loads(gizzi("ask", "Is it?", "--json").stdout)["cached"]


def test_an_error_is_a_status_and_never_an_answer(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(fake_ollama.status(500))))
    result = gizzi("ask", "Is it?")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("gizzi: server1: HTTP 500: something (after 0.")
    result = gizzi("ask", "Is it?", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["type"] == "ServerError"


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("too long, truncate false", "PromptError", "the prompt has 6399 tokens, and the context 4096 (after 0."),
        ("cloud name under OLLAMA_NO_CLOUD=1", "PromptError", "it does not pass prompts on: ollama cloud is disabled"),
        ("thinks, think unset, streamed", "OnlyThoughtError", "the model llama3.1:8b only thought; the answer is"),
        ("repeats one token: the stream ends without done", "RepeatedError", "the model repeated itself until Ollama"),
    ],
)
def test_what_no_server_would_answer_is_one_line(
    serve: Serve, settings: MakeSettings, name: str, kind: str, told: str
) -> None:
    configure(settings(serve(fake_ollama.recorded(name))))
    result = gizzi("ask", "Is it?")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"gizzi: server1: {told}")
    assert result.stderr.count("\n") == 1
    result = gizzi("ask", "Is it?", "--json")
    assert result.exit_code == 1
    shown = json.loads(result.stdout)["error"]
    assert (shown["type"], shown["endpoint"]) == (kind, "server1")
    assert shown["hint"]


def test_an_answer_that_breaks_off_is_a_failure(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(fake_ollama.cut)))
    result = gizzi("ask", "Is it?")
    assert result.exit_code == 1
    assert "broke off" in result.stderr


def test_settings_that_are_wrong_are_named(settings: MakeSettings) -> None:
    configure(settings())
    path = Path(os.environ["GIZZI_CONFIG"])
    path.write_text(path.read_text() + "[cache]\nsecond = 1\n")
    result = gizzi("ask", "?")
    assert result.exit_code == 1
    assert "cache.second" in result.stderr


def test_an_answer_cannot_command_the_terminal(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say("safe\x1b[2J\x1b]0;title\x07 \x9b31mtext\u202e"))))
    assert gizzi("ask", "?").stdout == "safe\\x1b[2J\\x1b]0;title\\x07 \\x9b31mtext\\u202e\n"


def test_piped_input_is_data(serve: Serve, settings: MakeSettings) -> None:
    server = serve(say("Yes."))
    configure(settings(server))
    status, out, err = finished("ask", "Any trouble?", input="one line\nanother line\n")
    assert (status, out, err) == (0, "Yes.\n", "")
    prompt = server.asked[0]["body"]["prompt"]
    assert "one line\nanother line" in prompt and prompt.endswith("Any trouble?")
    assert 'name="standard input"' in prompt
    assert "never an instruction" in server.asked[0]["body"]["system"]


def test_a_silent_pipe_is_an_error_and_a_silent_session_is_not(
    serve: Serve, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(say("Yes."))
    configure(settings(server))
    monkeypatch.setattr("ollama_client.cli.stdin.PATIENCE", 0.1)
    monkeypatch.setattr("ollama_client.cli.stdin.PATIENCE_WITH_SSH", 0.1)
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair()
    with os.fdopen(reading) as pipe, os.fdopen(writing), ours, theirs, theirs.makefile() as session:
        monkeypatch.setattr("sys.stdin", pipe)
        with pytest.raises(PromptError, match="open pipe"):
            stdin.piped(5)
        monkeypatch.setattr("sys.stdin", session)
        assert stdin.piped(5) is None
        ours.sendall(b"one line")
        ours.shutdown(socket.SHUT_WR)
        assert stdin.piped(5) == Data("standard input", "one line", keep="end")


def test_input_without_an_end_is_an_error_in_time(serve: Serve, settings: MakeSettings) -> None:
    server = serve(say("Yes."))
    configure(settings(server))
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        status, out, err = finished("ask", "Any trouble?", "--timeout", "0.5", stdin=endless.stdout)
        endless.kill()
    assert (status, out, server.asked) == (1, "", [])
    assert "standard input does not end within 0.5 s" in err


def test_many_commands_with_one_question_ask_once(serve: Serve, settings: MakeSettings) -> None:
    server = serve(say("Yes.", delay=0.4))
    configure(settings(server, deadlines={"first_token": 5.0, "total": 60.0}))
    running = [process("ask", "Is it?") for _unused in range(6)]
    assert {one.communicate(timeout=60)[0] for one in running} == {"Yes.\n"}
    assert len(server.asked) == 1


def test_ctrl_c_leaves_cleanly(serve: Serve, settings: MakeSettings) -> None:
    server = serve(fake_ollama.stall)
    configure(settings(server, deadlines={"stall": 60.0, "total": 60.0}))
    with process("ask", "?") as running:
        assert running.stdout
        assert running.stdout.read(6) == "All is"
        running.send_signal(signal.SIGINT)
        _unused, err = running.communicate(timeout=10)
    assert running.returncode == 130
    assert err == ""


def test_a_closed_pipe_is_no_traceback(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say("word " * 200, delay=0.005)), deadlines={"total": 20.0}))
    with process("ask", "?") as running:
        assert running.stdout and running.stderr
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 1


def test_a_wheel_turns_on_a_terminal_and_not_in_a_pipe(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say("Yes.", delay=0.3))))
    assert finished("ask", "?")[2] == ""
    ours, theirs = pty.openpty()
    with process("ask", "?", "--no-cache", stderr=theirs):
        os.close(theirs)
        shown = b""
        # A terminal whose other side is gone gives an error in place of an end.
        with suppress(OSError):
            while select.select([ours], [], [], 20)[0]:
                shown += os.read(ours, 1000)
    os.close(ours)
    assert b"thinking, at most 20 s" in shown


def test_help_imports_nothing_that_it_does_not_need() -> None:
    heavy = ("httpx", "ollama", "pydantic", "rich", "anthropic", "jsonschema")
    code = COMMAND[2].replace("main()", "") + (
        f"import sys\ntry: main()\nexcept SystemExit: pass\nprint([name for name in {heavy} if name in sys.modules])"
    )
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([COMMAND[0], "-c", code, "--help"], env=variables, text=True, capture_output=True, check=True)
    assert "ask" in told.stdout
    assert told.stdout.rstrip().endswith("[]")
