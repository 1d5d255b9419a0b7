"""The use cases of the user's document as their examples have them, on a validator: the program that the role deployed,
the real model, the live network, the own journal and metrics. And a server that is killed while it answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from lab import gateway
from lab.ollama import answered
from lab.testing import Lab, wait_until

PYTHON = "/opt/validator/ollama-client/current/bin/python"
EXAMPLES = "roles/ollama_client/files/ollama-client/examples"
# A small prompt is read in seconds by two cores, and a verdict needs more room.
BRIEF = {"PROMPT__CONTEXT_TOKENS": 512, "PROMPT__ANSWER_TOKENS": 16}
ROOMY = {"PROMPT__CONTEXT_TOKENS": 896, "PROMPT__ANSWER_TOKENS": 368}
STORY = "/run/gizzi-load"
# Nothing but one letter again and again can come of this schema, whatever the server's release.
REPEATS = """
from ollama_client import OllamaClient
from ollama_client.errors import RepeatedError

schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x{300,400}$"}}, "required": ["a"]}
try:
    OllamaClient().query_json("Say it.", schema)
except RepeatedError as error:
    print(error)
"""
LOAD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ollama_client import OllamaClient

client = OllamaClient()

def load(worker):
    number = 0
    while not Path(sys.argv[1]).exists():
        number += 1
        print(client.ask(f"{worker * 1000 + number}: what is the capital of France?").endpoint, flush=True)

with ThreadPoolExecutor(2) as pool:
    list(pool.map(load, (1, 2)))
print("all were answered", flush=True)
"""


def variables(settings: dict[str, int]) -> str:
    return " ".join(f"GIZZI_{name}={value}" for name, value in settings.items())


@pytest.fixture
def validator(fleet: dict[str, Host]) -> Host:
    """Return the validator that has a server of its own, and the central one as its second."""
    return fleet["validator02"]


def example(lab: Lab, host: Host, name: str, settings: dict[str, int], *, repeats: bool = False) -> str:
    """Run an example; return what it printed. Its own server was asked, and the central one was not.

    With ``repeats`` the small model may also repeat itself until its server stops it, which depends on the release.
    """
    return run(lab, host, (lab.project / EXAMPLES / f"{name}.py").read_text(), settings, repeats=repeats)


def run(lab: Lab, host: Host, code: str, settings: dict[str, int], *, repeats: bool = False) -> str:
    """As ``example``, with a program."""
    central = lab.host("validator10")

    before, before_elsewhere = len(answered(host)), gateway.answered(central)
    done = host.run(f"env {variables(settings)} timeout 240 {PYTHON} -c %s", code)
    repeated = repeats and "own: the model repeated itself" in done.stderr
    assert done.rc == 0 or repeated, done.stderr
    # The metrics ask as well, over loopback.
    wait_until(lambda: len(answered(host)) > before, 60, "the own server has answered")
    assert gateway.answered(central) == before_elsewhere
    return str(done.stderr if repeated else done.stdout)


def test_it_says_how_the_network_is(lab: Lab, validator: Host) -> None:
    assert example(lab, validator, "network_status", BRIEF).strip()


def test_it_looks_at_its_own_journal(lab: Lab, validator: Host) -> None:
    assert example(lab, validator, "self_diagnosis", BRIEF).strip()


def test_it_asks_for_peers(lab: Lab, validator: Host) -> None:
    seen, _unused, answer = example(lab, validator, "peer_discovery", BRIEF).partition("\n")
    assert re.fullmatch(r"Peers: \d+", seen)
    assert answer.strip()


def test_an_answer_is_an_object_or_an_error_that_says_why(lab: Lab, validator: Host) -> None:
    told = example(lab, validator, "structured_answer", ROOMY, repeats=True)
    assert re.match(r"(now|today|never): \S|No answer: own: the model repeated itself", told), told


def test_a_model_that_repeats_itself_is_told_as_that_and_asked_once(lab: Lab, validator: Host) -> None:
    assert "own: the model repeated itself until Ollama stopped it" in run(lab, validator, REPEATS, ROOMY)


def test_the_worker_of_the_monitoring_has_a_verdict(lab: Lab, validator: Host) -> None:
    told = example(lab, validator, "ai_dev_worker", ROOMY)
    found = re.match(r"\[consensus-dev01\] (healthy|degraded|critical|unknown) \((rules|ollama)\): \S", told)
    assert found, told
    # Whatever a small model thinks: what it said was a verdict, and nothing but its agreement is healthy and needs no
    # other opinion.
    assert "not what was asked for" not in told
    # Claude has no key here, which is no reason to name it.
    assert "Claude" not in told
    assert "because Ollama: " in told or found.groups() == ("healthy", "ollama")


@pytest.fixture
def load(validator: Host) -> Iterator[Any]:
    """Let two callers ask without a pause; return a function that gives who answered so far."""
    # With the servers' own context, as the gateway of the other server lets no other one through.
    settings = {"PROMPT__ANSWER_TOKENS": 16, "CACHE__SECONDS": 0, "FAILOVER__COOLDOWN": 2}
    environment = " ".join(f"--setenv={one}" for one in variables(settings).split())
    validator.check_output("rm -f %s %s.stop", STORY, STORY)
    validator.check_output(
        f"systemd-run --unit=gizzi-load --remain-after-exit {environment} "
        f"--property=StandardOutput=truncate:{STORY} {PYTHON} -c %s {STORY}.stop",
        LOAD,
    )

    def answerers() -> list[str]:
        return list(validator.file(STORY).content_string.splitlines())

    try:
        yield answerers
    finally:
        validator.run("systemctl stop gizzi-load; systemctl reset-failed gizzi-load; systemctl start ollama")


def test_the_death_of_its_server_under_load_fails_no_question(validator: Host, load: Any) -> None:
    wait_until(lambda: load().count("own") >= 2, 300, "the own server answers")

    validator.check_output("systemctl kill --signal=KILL ollama; systemctl stop ollama")
    wait_until(lambda: len(load()) > 2 and "own" not in load()[-2:], 300, "the other one answers in its place")
    at = len(load())
    validator.check_output("systemctl start ollama")
    wait_until(lambda: load()[at:].count("own") >= 2, 300, "the own one has its questions again")

    validator.check_output("touch %s.stop", STORY)
    wait_until(lambda: load()[-1] == "all were answered", 300, "the last answers are there")
