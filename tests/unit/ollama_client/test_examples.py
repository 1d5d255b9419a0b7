"""Every use case of the user's document, as the example that its reader would run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import fleets
import ollama_client
import pytest
from commands import configure
from conftest import MakeSettings, Serve
from fake_ollama import say
from fleets import HEALTHY, network
from test_cli_commands import LINES, page

FOLDER = Path(ollama_client.__file__).parents[2] / "examples"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator's host with a journal."""
    command = tmp_path / "bin" / "journalctl"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{chr(10).join(LINES)}\nEND\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")


def run(name: str, seconds: float = 20.0) -> str:
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_are_here() -> None:
    assert sorted(one.stem for one in FOLDER.glob("*.py")) == sorted(ANSWERS)


ANSWERS = {
    "network_status": ("None lags.", "None lags.\n", "validator03"),
    "self_diagnosis": ("A failed dial.", "A failed dial.\n", "Failed to dial"),
    "peer_discovery": ("Open port 30333.", "Peers: 2\nOpen port 30333.\n", "substrate_sub_libp2p_peers_count"),
    "ai_dev_worker": (
        json.dumps(HEALTHY),
        "[consensus-dev01] healthy (ollama): All are in step.\n",
        "validator statuses",
    ),
    "structured_answer": ('{"urgency": "now", "reason": "few peers"}', "now: few peers\n", "1 peer"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_example(name: str, serve: Serve, settings: MakeSettings, host: None) -> None:
    answer, shown, asked = ANSWERS[name]
    ollama, api, metrics = serve(say(answer)), serve(fleets.api(network)), serve(page(peers=2))
    configure(settings(ollama, api={"url": api.url}, node={"metrics_url": f"{metrics.url}/metrics"}))
    assert run(name) == shown
    assert asked in ollama.asked[0]["body"]["prompt"]
    assert "hunter2" not in ollama.asked[0]["body"]["prompt"]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_example_shows_nothing_that_a_terminal_obeys(
    name: str, serve: Serve, settings: MakeSettings, host: None
) -> None:
    odd = json.dumps("a\x1b[2Jb\u202e")[1:-1]
    answer = ANSWERS[name][0]
    told = re.sub(r'(?<="summary": ")|(?<="reason": ")', lambda _unused: odd, answer)
    said = told if told != answer else f"a\x1b[2Jb\u202e{answer}"
    ollama, api, metrics = serve(say(said)), serve(fleets.api(network)), serve(page(peers=2))
    configure(settings(ollama, api={"url": api.url}, node={"metrics_url": f"{metrics.url}/metrics"}))
    shown = run(name)
    assert shown.replace("\n", "").isprintable(), ascii(shown)
    assert r"a\x1b[2Jb\u202e" in shown or name == "ai_dev_worker", "the checks clean what they return"
