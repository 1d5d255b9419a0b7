"""The settings: one file, the environment over it, and problems that are named."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from gizzi_api import cli
from gizzi_api.settings import FACTS, GROUPS, Settings
from recorded_prometheus import THRESHOLDS

VALIDATORS = '[[validators]]\nnumber = 1\nname = "one"\n\n[[validators]]\nnumber = 21\nname = "twenty-one"\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "api.toml"
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    path.write_text(VALIDATORS)
    monkeypatch.setenv("GIZZI_API_THRESHOLDS", json.dumps(THRESHOLDS))
    return path


def prepend(path: Path, text: str) -> None:
    path.write_text(text + path.read_text())


def test_the_file_and_the_environment_over_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepend(config, 'port = 8081\n[prometheus]\njob = "nodes"\ntimeout = 3\n')
    monkeypatch.setenv("GIZZI_API_PROMETHEUS__TIMEOUT", "4.5")
    monkeypatch.setenv("GIZZI_API_CACHE_SECONDS", "7")
    settings = Settings()
    assert [(one.number, one.name) for one in settings.validators] == [(1, "one"), (21, "twenty-one")]
    assert (settings.host, settings.port, settings.cache_seconds) == ("127.0.0.1", 8081, 7)
    assert (settings.prometheus.job, settings.prometheus.timeout) == ("nodes", 4.5)


def test_closed_by_default(config: Path) -> None:
    settings = Settings()
    assert (settings.host, settings.cache_seconds, settings.query.read_token()) == ("127.0.0.1", 5, None)


def test_there_are_at_most_six_groups_of_facts() -> None:
    assert len(GROUPS) <= 6
    assert len(set(FACTS)) == len(FACTS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1\n", "prot"),
        ("port = 70000\n", "port"),
        ("wait_seconds = 2\n", "wait_seconds"),
        ('[prometheus]\nurl = "9090"\n', "prometheus.url"),
        ('[prometheus]\npreset = "parachain"\n', "prometheus.preset"),
        ("[thresholds]\nmin_pears = 1\n", "thresholds.min_pears"),
        ('[expressions]\nheight = "x"\n', "no such expression: height; there are up, sampled, best"),
        ('[expressions]\nbest = ""\n', "best"),
        ('[query]\nmode = "named"\n', "query.metrics names none"),
        ('[[validators]]\nnumber = 1\nname = "again"\n', "every validator needs its own number; listed twice: 1"),
        ('[[validators]]\nnumber = 2\nname = "one"\n', "every validator needs its own name; listed twice: one"),
        ('[[validators]]\nnumber = "x"\nname = "x"\n', "validators.0.number"),
        ("port = \n", "Invalid value"),
        ('[query]\ntoken_file = "/no/such/file"\n', "/no/such/file"),
    ],
)
def test_a_mistake_ends_the_start_and_is_named(
    config: Path, capsys: pytest.CaptureFixture[str], text: str, named: str
) -> None:
    prepend(config, text)
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err


def test_presets_are_the_names_of_a_stock_node_and_of_the_users_document(config: Path) -> None:
    stock = Settings().promql
    assert stock.peers == 'substrate_sub_libp2p_peers_count{job="substrate"}'
    assert stock.best_before.endswith(" offset 3s")
    prepend(config, '[prometheus]\npreset = "etrid"\njob = "a\\"b"\n')
    users = Settings().promql
    assert users.best == 'substrate_block_height{job="a\\"b"}'
    assert users.peers == 'substrate_peers_count{job="a\\"b"}'
    assert users.finalized == 'substrate_finalized_height{job="a\\"b"}'
    assert users.syncing == ""


def test_any_expression_can_be_replaced(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepend(config, "[expressions]\npeers = 'my_peers{job=\"$JOB\"}'\n")
    assert Settings().promql.peers == 'my_peers{job="substrate"}'
    assert "substrate_block_height" in Settings().promql.best


def test_the_command_serves_on_ipv4_and_ipv6_and_stops_cleanly(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    prepend(config, f'host = "::"\nport = {port}\n[prometheus]\nurl = "http://127.0.0.1:9"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "gizzi_api.cli"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with urllib.request.urlopen(f"http://[::1]:{port}/api/network/status?token=0f3c9a", timeout=5) as answer:
            assert answer.headers["Server"] is None
            assert b"Prometheus cannot be reached" in answer.read()
    finally:
        process.send_signal(signal.SIGTERM)
        _unused, log = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in log
    assert "0f3c9a" not in log


def test_a_taken_port_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        prepend(config, f"port = {port}\n")
        with pytest.raises(SystemExit) as stopped:
            cli.main([])
    assert stopped.value.code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err
