"""The command gizzi, run as a validator's operator runs it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from testinfra.host import Host

from lab.testing import wait_until

QUESTION = "What is the capital of France?"


def gizzi(host: Host, *arguments: str) -> Any:
    """Return the JSON that a gizzi command prints; the test fails if the command fails."""
    # In an ssh session standard input is open.
    result = host.run(f"{shlex.join(['gizzi', *arguments, '--json'])} </dev/null")
    assert result.rc == 0, f"gizzi {arguments[0]}: {result.stdout}{result.stderr}"
    return json.loads(result.stdout)


def statuses(host: Host) -> dict[str, str]:
    """Return each validator's status from ``gizzi status``."""
    return {one["name"]: one["status"] for one in gizzi(host, "status")["validators"]}


def ask_everywhere(fleet: Mapping[str, Host], endpoints: Mapping[str, str]) -> None:
    """Ask on every host of ``endpoints`` in parallel; the given endpoint must be the one that answers."""

    def use(name: str) -> None:
        answer = gizzi(fleet[name], "ask", QUESTION)
        assert "Paris" in answer["text"]
        assert answer["endpoint"] == endpoints[name]

    with ThreadPoolExecutor(len(endpoints)) as pool:
        list(pool.map(use, endpoints))


def use_everywhere(fleet: Mapping[str, Host], endpoints: Mapping[str, str]) -> None:
    """Use gizzi on every host of ``endpoints`` in parallel; the given endpoint must be the one that answers.

    Each host asks a question, shows the network, and has its own journal and peers diagnosed.
    """

    ask_everywhere(fleet, endpoints)

    def use(name: str) -> None:
        host = fleet[name]
        healthy = dict.fromkeys(endpoints, "healthy")
        wait_until(lambda: statuses(host) == healthy, 60, f"gizzi on {name} shows that all are healthy")

        # A lab node writes some twenty lines a minute, and may run only for a short time.
        diagnosis = gizzi(host, "diagnose", "--lines", "20")
        assert diagnosis["not_seen"] == []
        assert diagnosis["seen"][0].startswith("20 lines of the journal")
        peers = gizzi(host, "peers")
        assert peers["facts"]["peers"] > 0
        for analysis in (diagnosis["analysis"], peers["analysis"]):
            assert analysis["endpoint"] == endpoints[name]
            assert analysis["text"].strip()

    with ThreadPoolExecutor(len(endpoints)) as pool:
        list(pool.map(use, endpoints))


@contextmanager
def asking(host: Host) -> Iterator[list[str]]:
    """Ask again and again during the block; every question must be answered.

    After the block the list has the endpoints that answered, one entry for each change.
    """
    answers = "/run/gizzi-answers"
    host.check_output(
        "systemd-run --unit=ask-gizzi sh -c %s",
        f"while gizzi ask --json --no-cache --timeout=120 {shlex.quote(QUESTION)} >> {answers}; do sleep 1; done",
    )
    endpoints: list[str] = []
    try:
        yield endpoints
        assert host.service("ask-gizzi").is_running, host.check_output("journalctl --unit=ask-gizzi; cat %s", answers)
    finally:
        # This may interrupt the last question.
        host.run("systemctl stop ask-gizzi")
        said = host.run("cat %s; rm -f %s", answers, answers).stdout
    decoder, position = json.JSONDecoder(), 0
    while "\n}\n" in said[position:]:
        answer, position = decoder.raw_decode(said, position)
        position += 1
        assert "Paris" in answer["text"], answer
        if not endpoints or endpoints[-1] != answer["endpoint"]:
            endpoints.append(answer["endpoint"])
