"""What an operator needs at a terminal: one line each, one in detail, again and again, which models, from where."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import fake_ollama
import fleets
import pytest
from commands import configure, finished, gizzi, on_a_terminal, process
from conftest import MakeSettings, Serve
from fake_ollama import Behaviour, say
from fleets import HEALTHY, network, validator

FLEET = [validator(number, lag=number % 2, reason="in step: 1 block behind the best") for number in range(1, 22)]
COMMANDS = ("ask", "status", "analyze", "diagnose", "peers", "models", "health", "usage", "config")
DETAILS = validator(2, status="lagging", lag=34, reason="34 blocks behind the best (limit 10)") | {
    "generated_at": "2026-11-22T10:00:00Z",
    "stale": False,
    "error": None,
    "sync_target": None,
    "metrics": {"substrate_node_roles": 4, "up": 1},
    "history": {
        "age_seconds": 12.5,
        "start": 1_795_341_600,
        "end": 1_795_345_200,
        "step_seconds": 60,
        "block_height": [[1_795_341_600, 1_403_000], [1_795_345_140, 1_403_422]],
        "peers": [[1_795_341_600, 18], [1_795_345_140, 18]],
    },
}


def api(handler: fake_ollama.Handler) -> None:
    """A Gizzi API that knows validator 2 in detail."""
    if handler.path == "/api/validator/2":
        handler.reply(200, json.dumps(DETAILS).encode())
    elif handler.path.startswith("/api/validator/"):
        handler.reply(404, b'{"detail": "No validator \'22\'. There are: 1, 2.", "known": [1, 2]}')
    else:
        handler.reply(200, json.dumps(network(*FLEET)).encode())


def listing(loaded: str = "llama3.1:8b", name: str = "llama3.1:8b") -> Behaviour:
    """An Ollama with two models, one of which is loaded."""
    size = 4_920_753_328
    held = [{"name": name, "size": size, "digest": "a"}, {"name": "gizzi:latest", "size": size, "digest": "b"}]

    def behave(handler: fake_ollama.Handler) -> None:
        shown = [one for one in held if handler.path == "/api/tags" or one["name"] == loaded]
        handler.reply(200, json.dumps({"models": shown}).encode())

    return behave


@pytest.fixture
def fleet(serve: Serve, settings: MakeSettings) -> fake_ollama.Server:
    """The API of a fleet of 21, which the command will ask."""
    server = serve(api)
    configure(settings(api={"url": server.url}))
    return server


def test_a_healthy_validator_takes_one_line_of_80_columns(fleet: fake_ollama.Server) -> None:
    status, written = on_a_terminal("status")
    lines = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", line).rstrip() for line in written.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("validator  "))
    assert status == 0
    assert [line.split()[0] for line in lines[at + 1 : at + 22]] == [one["name"] for one in FLEET]
    assert max(map(len, lines)) <= 80
    long = validator(1, name="validator01.of.a.long.name.example.org", status="lagging", reason="behind " * 9)
    fleet.behave = fleets.api(lambda: network(long))
    # A number that is cut would be another number.
    assert "1403456    1403453     18    0  2 s" in on_a_terminal("status")[1]


def test_one_validator_in_detail(fleet: fake_ollama.Server) -> None:
    by_number, by_name = gizzi("status", "2"), gizzi("status", "validator02")
    assert by_number.exit_code == 0
    assert by_number.stdout == by_name.stdout
    assert [line.rstrip() for line in by_number.stdout.splitlines()] == [
        "validator02 (no. 2): lagging",
        "  reason     34 blocks behind the best (limit 10)",
        "  height     1403456",
        "  finalized  1403453",
        "  peers      18",
        "  lag        34",
        "  age        2 s",
        "  last hour  height 1403000 to 1403422, peers 18 (as of 12 s ago)",
        "  metrics    2: --json shows them",
    ]
    assert json.loads(gizzi("status", "2", "--json").stdout)["metrics"] == {"substrate_node_roles": 4, "up": 1}
    unknown = validator(2, status="unknown", block_height=None, age_seconds=None)
    missing = {"sync_target": 7, "metrics": None, "history": None, "stale": True, "error": "Prometheus is gone"}
    fleet.behave = fleets.api(lambda: unknown | missing)
    told = gizzi("status", "2").stdout
    assert told.startswith("validator02 (no. 2): unknown, too old to judge by (Prometheus is gone)\n")
    assert re.findall(r"^  (.*?) +\?", told, re.MULTILINE) == ["height", "age", "last hour", "metrics"]
    assert "sync target  7" in told


def test_a_validator_that_there_is_not(fleet: fake_ollama.Server) -> None:
    result = gizzi("status", "22")
    assert result.exit_code == 1 and "No validator '22'. There are: 1, 2." in result.stderr
    result = gizzi("status", "../prometheus/query")
    assert result.exit_code == 1 and "there are validator01, validator02" in result.stderr
    assert {one["path"] for one in fleet.asked} == {"/api/validator/22", "/api/network/status"}
    fleet.behave = fleets.api(lambda: {"status": "healthy"})
    assert "not the answer of a Gizzi API" in gizzi("status", "2").stderr


def test_watch_on_a_terminal_looks_again_and_never_shows_what_is_over(fleet: fake_ollama.Server) -> None:
    def first_well(handler: fake_ollama.Handler) -> None:
        (api if len(fleet.asked) < 3 else fake_ollama.status(500, b"{}"))(handler)

    fleet.behave = first_well
    status, written = on_a_terminal("status", "--watch", "--every", "1", seconds=5.0)
    assert status == 130
    assert 3 <= len(fleet.asked) <= 6
    assert "21 of 21 healthy" in written and "again every 1 s; Ctrl-C ends it" in written
    own_screen, left = written.split("\x1b[?1049h")[1].split("\x1b[?1049l")
    assert "21 of 21 healthy" in own_screen
    assert "HTTP 500" in left and "healthy" not in left, "the latest look stays on the terminal"
    assert "Traceback" not in written


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_in_a_pipe_prints_one_look_after_another(fleet: fake_ollama.Server, as_json: bool) -> None:
    def first_not(handler: fake_ollama.Handler) -> None:
        (fake_ollama.status(500, b"{}") if len(fleet.asked) == 1 else api)(handler)

    fleet.behave = first_not
    with process("status", "--watch", "--every", "1", *(["--json"] if as_json else [])) as running:
        fake_ollama.until(lambda: len(fleet.asked) == 3, 20)
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
    assert running.returncode == 130
    if as_json:
        looks = [json.loads(line) for line in out.splitlines()]
        assert (looks[0]["error"]["type"], len(looks[1]["validators"]), len(looks)) == ("ApiRefusedError", 21, 3)
    else:
        assert out.count("21 of 21 healthy") == 2 and "\x1b" not in out
        assert err.count("HTTP 500") == 1


def test_models_of_every_server(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(listing()), serve(listing(name="mistral:7b"))))
    result = gizzi("models")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["server", "model", "loaded", "GiB"],
        ["server1", "gizzi:latest", "no", "4.6"],
        ["server1", "llama3.1:8b", "loaded", "4.6"],
        ["server2", "gizzi:latest", "no", "4.6"],
        ["server2", "mistral:7b", "no", "4.6"],
    ]
    assert result.stderr == "gizzi: server2: it does not have llama3.1:8b, the model that the settings ask for\n"
    told = json.loads(gizzi("models", "--json").stdout)
    assert told["model"] == "llama3.1:8b"
    assert [one["loaded"] for one in told["servers"][0]["models"]] == [False, True]


@pytest.mark.parametrize(
    ("behave", "cause"),
    [
        (fake_ollama.html, "is not Ollama"),
        (fake_ollama.json_list, "is not Ollama"),
        (fake_ollama.status(200, b"[" * 200_000), "is not Ollama"),
        (fake_ollama.status(200, b'{"models": [{"name": 1}]}'), "is not Ollama"),
        (fake_ollama.status(403), "it refuses (HTTP 403)"),
        (fake_ollama.hang_up, "no connection to http://127.0.0.1:"),
        (fake_ollama.dribble, ": timed out"),
    ],
)
def test_a_server_that_does_not_tell_its_models_is_no_empty_one(
    serve: Serve, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, behave: Behaviour, cause: str
) -> None:
    monkeypatch.setattr("ollama_client.models.PATIENCE", 0.5)
    configure(settings(serve(listing()), serve(behave)))
    result = gizzi("models")
    assert result.exit_code == 1
    assert "server1  llama3.1:8b" in result.stdout and "server2" not in result.stdout
    assert cause in result.stderr and result.stderr.startswith("gizzi: server2: ")
    second = json.loads(gizzi("models", "--json").stdout)["servers"][1]
    assert second["models"] is None and cause in second["error"]["message"]


def test_a_question_without_quotes(serve: Serve, settings: MakeSettings) -> None:
    ollama = serve(say("Blocks."))
    configure(settings(ollama, api={"url": serve(api).url}))
    assert gizzi("ask", "what", "is", "lag", "--no-cache").stdout == "Blocks.\n"
    assert ollama.asked[-1]["body"]["prompt"] == "what is lag"
    assert gizzi("analyze", "/api/validator/2", "does", "it", "lag").exit_code == 0
    assert ollama.asked[-1]["body"]["prompt"].endswith("does it lag")


def test_a_question_on_standard_input_alone(serve: Serve, settings: MakeSettings) -> None:
    ollama = serve(say("Blocks."))
    configure(settings(ollama))
    assert finished("ask", input="what is lag?\n")[:2] == (0, "Blocks.\n")
    assert ollama.asked[-1]["body"]["prompt"] == "what is lag?", "a question, and no data"
    status, out, err = finished("ask")
    assert (status, out, len(ollama.asked)) == (2, "", 1)
    assert "there is no question" in err


def test_a_cached_answer_says_so_and_who_answered_is_told_on_demand(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say("Yes, it is."))))
    first, again = gizzi("ask", "?", "-v"), gizzi("ask", "?", "-v")
    assert re.fullmatch(r"gizzi: server1, llama3.1:8b, \d\.\d s, 40 tokens in, 3 out\n", first.stderr)
    assert first.stdout == again.stdout == "Yes, it is.\n"
    assert "3 out, cached: the figures are of the first time" in again.stderr
    assert gizzi("ask", "?").stderr == (
        "gizzi: this answer is from the cache, where it is kept for 45 s: --no-cache asks anew\n"
    )
    assert gizzi("ask", "?", "--no-cache").stderr == ""


def test_config_says_where_each_value_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIZZI_DEADLINES__TOTAL", "7")
    monkeypatch.setenv("GIZZI_NODE", '{"unit": "flare", "bootnodes": []}')
    Path(os.environ["GIZZI_CONFIG"]).write_text(
        'model = "m"\n[deadlines]\ntotal = 9\nstall = 3\n[[endpoints]]\nname = "a"\nurl = "http://a"\n'
    )
    lines = gizzi("config").stdout.splitlines()
    assert lines[0] == f"# file: {os.environ['GIZZI_CONFIG']}"
    for line in (
        "model = m  # file",
        "deadlines.total = 7.0  # environment",
        "deadlines.stall = 3.0  # file",
        "deadlines.connect = 5.0  # default",
        "endpoints.0.url = http://a/  # file",
        "endpoints.0.token_file = (none)  # default",
        "node.unit = flare  # environment",
        "node.bootnodes = (none)  # environment",
        "thresholds.min_peers = 3  # environment",
        "claude.api_key_file = (none)  # default",
    ):
        assert line in lines
    monkeypatch.setenv("GIZZI_ENDPOINTS", '[{"name": "b", "url": "http://b"}]')
    origins = json.loads(gizzi("config", "--json").stdout)["origins"]
    assert (origins["endpoints.0.url"], origins["endpoints.0.ca_file"]) == ("environment", "default")
    assert origins["node.bootnodes"] == "environment"


def test_health_misses_no_key_that_nobody_set(
    serve: Serve, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lagging = fleets.api(lambda: network(validator(1, status="lagging", lag=34)))
    made = {"api": {"url": serve(lagging).url}}
    issue = HEALTHY | {"health": "degraded", "summary": "One lags."}
    configure(settings(serve(say(json.dumps(issue))), **made))
    result = gizzi("health")
    assert result.exit_code == 1
    assert "Claude" not in result.stdout and "One lags." in result.stdout
    configure(settings(serve(fake_ollama.status(500)), **made, claude={"api_key_file": "/nonexistent"}))
    assert "because Claude: the secret in /nonexistent cannot be read" in gizzi("health").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_is_for_and_gives_an_example(command: str) -> None:
    told = gizzi(command, "--help").stdout
    assert re.search(rf"^  For example:\n    (journalctl .* \| )?gizzi {command}\b", told, re.MULTILINE)
    summary = next(line for line in gizzi("--help").stdout.splitlines() if line.startswith(f"  {command} "))
    assert not summary.endswith("...")


def test_usage_cuts_no_number_at_80_columns(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(say("x")), model="a-model-with-a-long-name:70b-instruct-q8_0"))
    assert gizzi("ask", "?").exit_code == 0
    assert "…" not in on_a_terminal("usage")[1]
