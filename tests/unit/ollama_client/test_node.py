"""A validator's own page of metrics: what it says, what it contradicts, and what is no page at all."""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Serve
from fake_ollama import Behaviour, status
from ollama_client import node
from ollama_client.errors import NodeError
from ollama_client.monitoring import facts, rules
from ollama_client.settings import Node, Thresholds

STOCK = """\
# HELP substrate_block_height Block height info of the chain
# TYPE substrate_block_height gauge
substrate_block_height{status="best",chain="flare"} 120
substrate_block_height{status="finalized",chain="flare"} 117
substrate_block_height{chain="flare",status="sync_target"} 999
# HELP substrate_sub_libp2p_peers_count Number of connected peers
# TYPE substrate_sub_libp2p_peers_count gauge
substrate_sub_libp2p_peers_count{chain="flare"} 24
substrate_sub_libp2p_is_major_syncing{chain="flare"} 0
substrate_sub_libp2p_out_events_events_total{event_name="notif-\\"/flare/grandpa/1\\"",chain="flare"} 7
"""
DOCUMENT = """\
substrate_block_height{validator="3"} 120
substrate_finalized_height{validator="3"} 117
substrate_peers_count{validator="3"} 5 1795390846000
"""
OTHER = 'substrate_block_height{status="best",chain="relay"} 5000\n'
Read = Callable[..., node.Metrics]


def page(text: str | bytes, headers: str = "text/plain; version=0.0.4") -> Behaviour:
    return status(200, text if isinstance(text, bytes) else text.encode(), headers)


@pytest.fixture
def read(serve: Serve) -> Read:
    def make(behaviour: Behaviour | str, timeout: float = 5.0) -> node.Metrics:
        server = serve(page(behaviour) if isinstance(behaviour, str) else behaviour)
        return node.metrics(Node(metrics_url=f"{server.url}/metrics", timeout=timeout))

    return make


def findings(metrics: node.Metrics) -> list[rules.Finding]:
    limits = Thresholds(max_lag=10, max_finality_lag=50, min_peers=3, stale_seconds=90)
    return list(rules.judge(facts.read([metrics.facts() | {"name": "own"}]), limits, datetime.now(UTC)).findings)


def test_a_stock_node(read: Read) -> None:
    metrics = read(STOCK)
    assert metrics.facts() == {"block_height": 120, "finalized_height": 117, "peers": 24, "sync_target": 999}
    assert findings(metrics) == []
    syncing = STOCK.replace('syncing{chain="flare"} 0', 'syncing{chain="flare"} 1')
    assert read(syncing).facts()["status"] == "syncing"


def test_a_node_with_the_names_of_the_document(read: Read) -> None:
    assert read(DOCUMENT).facts() == {"block_height": 120, "finalized_height": 117, "peers": 5}


@pytest.mark.parametrize("text", [OTHER + STOCK, STOCK + OTHER, STOCK + OTHER.replace("relay", "flare")])
def test_two_chains_on_one_page_are_unknown_with_the_reason(read: Read, text: str) -> None:
    metrics = read(text)
    assert metrics.facts()["block_height"] is None
    (found,) = findings(metrics)
    assert (found.health, found.kind) == ("unknown", "contradiction")
    assert found.text.startswith('2 samples of substrate_block_height{status="best"}, as on a page with two chains')


@pytest.mark.parametrize("name", ["peers_count", "is_major_syncing"])
def test_any_fact_that_comes_twice_is_a_contradiction(read: Read, name: str) -> None:
    metrics = read(STOCK + f'substrate_sub_libp2p_{name}{{chain="relay"}} 1\n')
    assert "status" not in metrics.facts()
    assert [one.kind for one in findings(metrics)] == ["contradiction"]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_number_is_not_known(read: Read, value: str) -> None:
    assert read(STOCK.replace("} 24", f"}} {value}")).facts()["peers"] is None


def test_a_name_in_another_label_is_no_status(read: Read) -> None:
    text = STOCK.replace('{status="best",chain="flare"}', '{chain="x,status=\\"best\\"",status="sync_target2"}')
    assert read(text).facts()["block_height"] is None


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (page(""), "not a page of metrics: it has no samples"),
        (page("<html><body>It works!</body></html>"), "not a page of metrics"),
        (page(STOCK + "substrate_block_height{\n"), "not a page of metrics"),
        (page(STOCK + "substrate_block_height{status=best} 1\n"), "not a page of metrics"),
        (page(STOCK + "substrate_peers_count many\n"), "not a page of metrics"),
        (page(STOCK + f"substrate_peers_count {'9' * 400}\n"), "not a page of metrics"),
        (page(STOCK + "a" * 5000 + " 1\n"), "a line of more than 4096 characters"),
        (page("a 1\n" * 1_100_000), "the page is larger than 4000000 bytes"),
        (page(gzip.compress(STOCK.encode())), "not a page of metrics"),
        (status(404, STOCK.encode(), "text/plain"), "this address gives no metrics (HTTP 404)"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_is_no_page_is_not_known(read: Read, behaviour: Behaviour, reason: str) -> None:
    with pytest.raises(NodeError, match=r"the metrics cannot be read: ") as caught:
        read(behaviour)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'a{b="' + '\\"' * 2000 + '"} 1',
        "a{" + ",".join(f'x{number}="1"' for number in range(400)) + "} 1",
        '# HELP a b\n# TYPE a gauge\na{b="' + "\\\\" * 2000 + '"} 1',
        "#" + " " * 4000 + "x",
    ],
)
def test_a_page_made_to_be_slow_ends_in_time(read: Read, line: str) -> None:
    text = f"{line}\n" * (3_900_000 // (len(line) + 1))
    start = time.monotonic()
    try:
        read(text, timeout=1.0)
    except NodeError as error:
        assert any(reason in str(error) for reason in ("too slow", "it has no samples"))
    assert time.monotonic() - start < 2.0


def test_whatever_comes_is_a_page_or_a_node_error(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(13)
    text = ""
    monkeypatch.setattr(node, "_page", lambda *_: text)
    for _unused in range(2000):
        characters = list(STOCK)
        for _unused in range(dice.randint(1, 8)):
            characters[dice.randrange(len(characters))] = dice.choice('{}"\\,= \n#\t\x00\u00e91eN')
        text = "".join(characters)
        known: dict[str, Any] = {}
        try:
            known = node.metrics(Node(metrics_url="http://127.0.0.1:1/")).facts()
        except NodeError:
            continue
        assert known["block_height"] is None or isinstance(known["block_height"], int)


def test_it_asks_for_a_page_that_is_not_packed_and_past_any_proxy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed bytes could be any number of them; and the own node needs no way round."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    server = serve(page(STOCK))
    assert node.metrics(Node(metrics_url=f"{server.url}/metrics")).facts()["peers"] == 24
    (asked,) = server.asked
    assert asked["headers"]["accept-encoding"] == "identity"


def test_a_page_that_nobody_serves_is_a_node_error() -> None:
    with pytest.raises(NodeError, match="the metrics cannot be read: "):
        node.metrics(Node(metrics_url="http://127.0.0.1:1/metrics"))


def test_what_tells_about_the_network_comes_first(read: Read) -> None:
    text = (
        "# HELP process_threads Threads\nprocess_threads 9\n"
        'substrate_proposer_block_constructed_bucket{le="0.1"} 1\n'
        f"{STOCK}"
    )
    lines = read(text).data().text.splitlines()
    assert lines[0].startswith("substrate_block_height")
    assert lines[-1] == "process_threads 9"
    assert not any(line.startswith("#") or "_bucket{" in line for line in lines)


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a command of that name first on the path; return the file that has its arguments."""

    def make(script: str) -> Path:
        command = tmp_path / "journalctl"
        command.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/asked\n{script}\n')
        command.chmod(0o755)
        return tmp_path / "asked"

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return make


def test_a_journal_is_counted_and_its_end_counts(journalctl: Callable[[str], Path]) -> None:
    lines = [
        "2026-11-27T08:00:00 thread 'main' panicked at 'x'",
        "2026-11-27T08:00:01 ERROR disk, Failed to write",
        "2026-11-27T08:00:02 Failed to dial a peer",
        "2026-11-27T08:00:03 WARN slow",
        "2026-11-27T08:00:04 Imported #120",
    ]
    asked = journalctl("cat <<'END'\n" + "\n".join(lines) + "\nEND")
    found = node.journal(Node(), "flare", 50)
    assert (found.lines, found.errors, found.warnings) == (5, 2, 2)
    assert found.data().keep == "end"
    # Ollama's unit has a journal of its own.
    assert "--namespace=+ollama --unit=flare --lines=50" in asked.read_text()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo a line; echo no access >&2; exit 1", "no access"),
        ("echo; exit 0", "it has no lines, or this user may not see them"),
        ("exec sleep 60", "TimeoutExpired"),
    ],
)
def test_a_journal_that_cannot_be_read(journalctl: Callable[[str], Path], script: str, reason: str) -> None:
    journalctl(script)
    with pytest.raises(NodeError, match=reason):
        node.journal(Node(timeout=0.5), "flare", 50)


def test_without_its_program_the_journal_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="FileNotFoundError"):
        node.journal(Node(), "flare", 50)
