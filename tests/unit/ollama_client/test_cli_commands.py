"""The other commands: the network, the own validator, the ledger, the settings."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import fake_ollama
import fleets
import pytest
from commands import configure, finished, gizzi, on_a_terminal, process
from conftest import MakeSettings, Serve
from fake_ollama import Behaviour, say
from fleets import HEALTHY, network, validator

LINES = [
    "2026-11-22T10:00:05+00:00 host flare-node[1]: 💤 Idle (2 peers), best: #1403456 (0x3f0a…9bd1), finalized #1403453",
    "2026-11-22T10:00:31+00:00 host flare-node[1]: WARN Failed to dial /ip4/10.0.0.1/tcp/30333",
    "2026-11-22T10:00:32+00:00 host flare-node[1]: ERROR telemetry password=hunter2",
]


def page(**values: object) -> Behaviour:
    """A validator's metrics, stock names."""
    known = {"best": 1_403_456, "finalized": 1_403_453, "peers": 18, "syncing": 0} | values
    text = (
        "# HELP substrate_block_height Block height info of the chain\n# TYPE substrate_block_height gauge\n"
        f'substrate_block_height{{status="best",chain="flare"}} {known["best"]}\n'
        f'substrate_block_height{{status="finalized",chain="flare"}} {known["finalized"]}\n'
        'substrate_block_verification_time_bucket{result="success",le="0.005"} 7\n'
        f'substrate_sub_libp2p_peers_count{{chain="flare"}} {known["peers"]}\n'
        f'substrate_sub_libp2p_is_major_syncing{{chain="flare"}} {known["syncing"]}\n'
        'process_open_fds{chain="flare"} 100\n'
    )
    return fake_ollama.status(200, text.encode(), "text/plain; version=0.0.4")


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``journalctl(script)`` puts a command of that name first on the path."""

    def make(script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        command = folder / "journalctl"
        command.write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\n{script}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return folder / "asked"

    return make


@pytest.fixture
def host(serve: Serve, settings: MakeSettings) -> Any:
    """``host(ollama, metrics)`` configures a validator's host; gives the server of each."""

    def make(ollama: Behaviour, metrics: Behaviour, **node: Any) -> list[fake_ollama.Server]:
        servers = [serve(ollama), serve(metrics)]
        configure(settings(servers[0], node={"metrics_url": f"{servers[1].url}/metrics", "timeout": 1.0} | node))
        return servers

    return make


def test_status_is_a_table_worst_first(serve: Serve, settings: MakeSettings) -> None:
    one = validator(2, status="offline", reason="Prometheus cannot read its metrics", block_height=None, peers=None)
    answer = network(validator(1), one, validator(3, status="lagging", lag=34, reason="34 blocks\x1b[2J behind [red]"))
    configure(settings(api={"url": serve(fleets.api(lambda: answer)).url}))
    result = gizzi("status")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["validator", "status", "height", "finalized", "peers", "lag", "age", "reason"]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["validator02", "offline"],
        ["validator03", "lagging"],
        ["validator01", "healthy"],
    ]
    assert lines[1].split()[2] == "?"
    assert r"34 blocks\x1b[2J behind [red]" in lines[2]
    assert "in step" not in lines[3]
    assert lines[-1] == "1 of 3 healthy; data 2 s old"
    assert "\x1b" not in result.stdout
    assert json.loads(gizzi("status", "--json").stdout)["validators"][1]["status"] == "offline"


def test_status_has_colours_on_a_terminal_only(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(api={"url": serve(fleets.api(network)).url}))
    assert "\x1b" not in finished("status")[1]
    assert "\x1b[32mhealthy" in on_a_terminal("status")[1]


def test_status_that_is_stale_says_so(serve: Serve, settings: MakeSettings) -> None:
    answer = network(validator(1, status="unknown"), stale=True, error="Prometheus cannot be reached", age_seconds=300)
    configure(settings(api={"url": serve(fleets.api(lambda: answer)).url}))
    last = gizzi("status").stdout.splitlines()[-1]
    assert last == "0 of 1 healthy; data 300 s old, too old to judge by (Prometheus cannot be reached)"


def test_status_without_the_api_is_an_error(settings: MakeSettings) -> None:
    configure(settings(api={"url": f"http://127.0.0.1:{fake_ollama.closed_port()}"}))
    result = gizzi("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no connection: refused" in result.stderr and "api.url" in result.stderr


def test_analyze(serve: Serve, settings: MakeSettings) -> None:
    ollama, api = serve(say("None lags.")), serve(fleets.api(network))
    configure(settings(ollama, api={"url": api.url}))
    assert gizzi("analyze", "/api/network/status", "Does one lag?").stdout == "None lags.\n"
    assert "validator03" in ollama.asked[0]["body"]["prompt"]
    assert json.loads(gizzi("analyze", "/api/validator/1", "?", "--json").stdout)["text"] == "None lags."
    assert api.asked[-1]["path"] == "/api/validator/1"
    api.behave = fake_ollama.status(404, b'{"detail": "No validator 99", "known": [1, 2]}')
    result = gizzi("analyze", "/api/validator/99", "?")
    assert result.exit_code == 1 and "HTTP 404: No validator 99" in result.stderr
    for path in ("http://10.0.0.1/", "//10.0.0.1/", "api"):
        assert "not a path of the API" in gizzi("analyze", path, "?").stderr


def test_diagnose_looks_at_the_journal_and_the_metrics(host: Any, journalctl: Any) -> None:
    ollama, _unused = host(say("Few peers."), page(peers=2))
    asked = journalctl(f"cat <<'END'\n{chr(10).join(LINES)}\nEND")
    result = gizzi("diagnose", "--lines", "50")
    assert result.exit_code == 0, result.stderr
    assert "Seen: 3 lines of the journal (1 errors, 1 warnings), block_height 1403456" in result.stdout
    assert "By the rules: " in result.stdout and "2 peers (needs 3)" in result.stdout
    assert result.stdout.endswith("\nFew peers.\n")
    assert "--unit=flare-node --lines=50" in asked.read_text()
    prompt = ollama.asked[0]["body"]["prompt"]
    assert "Failed to dial" in prompt and "substrate_sub_libp2p_peers_count" in prompt
    assert "hunter2" not in prompt and "_bucket" not in prompt and "# HELP" not in prompt
    assert "cannot change anything" in ollama.asked[0]["body"]["system"]
    gizzi("diagnose", "--unit", "other@1")
    # Ollama has a journal of its own.
    assert "--namespace=+ollama --unit=other@1 --lines=100" in asked.read_text()


def test_diagnose_says_what_it_could_not_see(host: Any, journalctl: Any) -> None:
    host(say("Few peers."), page())
    journalctl("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1")
    result = gizzi("diagnose")
    assert result.exit_code == 0
    assert "Not seen: flare-node: the journal cannot be read: No journal files were opened" in result.stdout
    shown = json.loads(gizzi("diagnose", "--json").stdout)
    assert [one["type"] for one in shown["not_seen"]] == ["NodeError"]
    assert (shown["findings"], shown["analysis"]["text"]) == ([], "Few peers.")


@pytest.mark.parametrize(
    ("script", "metrics"),
    [("exit 0", fake_ollama.html), ("sleep 30", fake_ollama.hang), ("exit 1", fake_ollama.dribble)],
)
def test_diagnose_without_anything_to_see_is_an_error(
    host: Any, journalctl: Any, script: str, metrics: Behaviour
) -> None:
    ollama, _unused = host(say("All is healthy."), metrics)
    journalctl(script)
    result = gizzi("diagnose")
    assert result.exit_code == 1
    assert "the journal cannot be read" in result.stderr
    assert "healthy" not in result.stdout and not ollama.asked


def test_diagnose_takes_no_unit_that_is_an_option(host: Any, journalctl: Any) -> None:
    host(say("x"), page())
    asked = journalctl("exit 1")
    gizzi("diagnose", "--unit", "x --vacuum-size=1")
    assert "--unit=x --vacuum-size=1 --lines" in asked.read_text(), "one argument, after its equals sign"


def test_peers_trusts_no_invented_address(host: Any) -> None:
    known = "/ip4/10.0.0.9/tcp/30333/p2p/12D3KooWKnown"
    ollama, _unused = host(
        say(f"Add {known} and /ip4/6.6.6.6/tcp/30333/p2p/12D3KooWMadeUp."), page(), bootnodes=[known]
    )
    result = gizzi("peers")
    assert result.exit_code == 0
    assert "peers 18" in result.stdout
    assert result.stderr.splitlines() == [
        "gizzi: do not use this address, it is neither in the settings nor in the metrics: "
        "/ip4/6.6.6.6/tcp/30333/p2p/12D3KooWMadeUp."
    ]
    assert known in ollama.asked[0]["body"]["prompt"]
    assert len(json.loads(gizzi("peers", "--json").stdout)["unknown_addresses"]) == 1


def test_peers_without_metrics_is_an_error(host: Any) -> None:
    ollama, _unused = host(say("All is healthy."), fake_ollama.status(500))
    result = gizzi("peers")
    assert (result.exit_code, result.stdout, ollama.asked) == (1, "", [])


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        (network, 0, "HEALTHY"),
        (lambda: network(validator(1, peers=1), *map(validator, range(2, 6))), 1, "DEGRADED"),
        (lambda: network(validator(1, status="offline")), 2, "CRITICAL"),
        (lambda: network(validator(1, peers=None)), 3, "UNKNOWN"),
    ],
)
def test_health_ends_as_nagios_wants_it(
    serve: Serve, settings: MakeSettings, answer: Any, status: int, word: str
) -> None:
    configure(settings(serve(say(json.dumps(HEALTHY))), api={"url": serve(fleets.api(answer)).url}))
    result = gizzi("health")
    assert result.exit_code == status
    assert result.stdout.startswith(f"{word}: ")


@pytest.mark.parametrize("arguments", [["--jsn"], ["fleet"], ["--timeout", "soon"], ["--timeout", "0"]])
def test_health_called_wrongly_is_unknown_and_not_critical(arguments: list[str]) -> None:
    result = gizzi("health", *arguments)
    assert result.exit_code == 3
    assert result.stdout.startswith("UNKNOWN: ")
    assert gizzi("usage", *arguments).exit_code == 2
    assert gizzi("health", "--help").exit_code == 0


def test_health_ends_in_the_time_it_is_given(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(serve(fake_ollama.hang), api={"url": serve(fleets.api(network)).url}))
    start = time.monotonic()
    result = gizzi("health", "--timeout", "1", "--json")
    assert 0.4 < time.monotonic() - start < 4
    assert result.exit_code == 3
    assert any("the time is up" in one or "no token came" in one for one in json.loads(result.stdout)["reasons"])
    configure(settings(serve(say(json.dumps(HEALTHY))), api={"url": serve(fake_ollama.hang).url}))
    start = time.monotonic()
    assert gizzi("health", "--timeout", "0.5").exit_code == 3
    assert time.monotonic() - start < 4


def test_health_that_nobody_reads_keeps_its_status(serve: Serve, settings: MakeSettings) -> None:
    configure(settings(api={"url": serve(fleets.api(lambda: network(validator(1, status="offline")))).url}))
    with process("health") as running:
        assert running.stdout and running.stderr
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 2


def test_health_with_wrong_settings_or_a_bug_of_ours_is_unknown(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    configure(settings(api={"url": serve(fleets.api(network)).url}))
    monkeypatch.setattr("ollama_client.monitoring.rules.judge", lambda *given: 1 / 0)
    result = gizzi("health")
    assert result.exit_code == 3
    assert result.stdout.startswith("UNKNOWN: gizzi itself failed: ZeroDivisionError")
    Path(os.environ["GIZZI_CONFIG"]).write_text("modle = 1\n")
    result = gizzi("health", "--json")
    assert result.exit_code == 3
    assert "modle" in json.loads(result.stdout)["summary"]


def test_usage_counts_what_was_asked(serve: Serve, settings: MakeSettings, tmp_path: Path) -> None:
    server = serve(say("Yes."))
    configure(settings(server))
    for _unused in range(3):
        gizzi("ask", "?")
    server.behave = fake_ollama.status(500)
    gizzi("ask", "another")
    lines = {one["tier"]: one for one in json.loads(gizzi("usage", "--json").stdout)["lines"]}
    assert (lines["ollama"]["calls"], lines["ollama"]["failures"], lines["cache"]["calls"]) == (2, 1, 2)
    assert lines["cache"]["saved"] == pytest.approx(2 * (40 * 2 + 10) / 1e6)
    path = tmp_path / "gizzi.prom"
    shown = gizzi("usage", "--days", "1", "--textfile", str(path)).stdout
    assert shown.split()[:4] == ["tier", "model", "calls", "failed"]
    assert "saved against asking Claude every time" in shown and "of today's $2.00" in shown
    assert 'gizzi_calls_total{tier="ollama",model="llama3.1:8b",ledger="' in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.glob(".gizzi*")] == []
    assert gizzi("usage", "--textfile", "/nonexistent/gizzi.prom").exit_code == 1


def test_config_shows_the_settings_and_no_secret(settings: MakeSettings, tmp_path: Path) -> None:
    result = gizzi("config")
    assert "# file: none" in result.stdout
    assert "endpoints.0.url = http://127.0.0.1:11434/" in result.stdout
    token = tmp_path / "token"
    token.write_text("0f3c9a77")
    configure(
        settings(endpoints=[{"name": "gateway", "url": "https://user:hunter2@gizzi:443", "token_file": str(token)}])
    )
    shown = json.loads(gizzi("config", "--json").stdout)
    assert shown["file"] == os.environ["GIZZI_CONFIG"]
    assert shown["settings"]["endpoints"][0]["token_file"] == str(token)
    assert "0f3c9a77" not in json.dumps(shown) and "hunter2" not in json.dumps(shown)


def test_the_shell_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GIZZI_COMPLETE", "source_bash")
    assert "complete -o default -F" in finished()[1]


def test_version() -> None:
    assert gizzi("--version").stdout == "1.0.0\n"
