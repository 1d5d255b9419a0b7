"""The stand-in validator: a stock node's names and words, and its faults."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lab.validator.flare_node import Faults, Journal, Node

NOW = 1_795_345_200.0


def values(node: Node, **wanted: Any) -> dict[str, float]:
    """The page's lines by series, without the label that all of them have."""
    page = node.page(Faults(wanted, NOW - 600), NOW)
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return {re.sub(r'chain="flare",?', "", series).replace("{}", ""): float(value) for series, value in lines}


def test_a_sound_node_has_the_names_of_a_stock_one() -> None:
    found = values(Node(3))
    best = found['substrate_block_height{status="best"}']
    assert found['substrate_block_height{status="finalized"}'] == best - 3
    assert found["substrate_sub_libp2p_is_major_syncing"] == 0
    assert found["substrate_sub_libp2p_peers_count"] >= 18
    assert found["substrate_node_roles"] == 4
    # The noise of a real page.
    assert len(found) > 600


def test_two_nodes_are_in_step() -> None:
    height = 'substrate_block_height{status="best"}'
    assert values(Node(1))[height] == values(Node(21))[height]


def test_faults() -> None:
    node, height = Node(1), 'substrate_block_height{status="best"}'
    sound = values(node)[height]
    assert values(node, stall=True)[height] == sound - 100
    assert values(node, lag=7)[height] == sound - 7
    assert values(node, peers=0)["substrate_sub_libp2p_peers_count"] == 0
    assert values(node, syncing=True)["substrate_sub_libp2p_is_major_syncing"] == 1
    assert values(node, finality_stall=True)['substrate_block_height{status="finalized"}'] == sound - 103
    assert height not in values(node, drop=["substrate_block_height"])
    assert values(node, rename={"substrate_sub_libp2p_peers_count": "peers"})["peers"] >= 18


def test_the_names_of_etrid_s_own_document() -> None:
    node, best = Node(1), 'substrate_block_height{status="best"}'
    stock, found = values(node), values(node, names="etrid")
    assert found["substrate_block_height"] == stock[best]
    assert found["substrate_finalized_height"] == stock[best] - 3
    assert found["substrate_peers_count"] == stock["substrate_sub_libp2p_peers_count"]
    assert not {best, "substrate_sub_libp2p_peers_count", "substrate_sub_libp2p_is_major_syncing"} & set(found)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({}, r"💤 Idle \(\d+ peers\), best: #\d+ \(0x\w+…\w+\), finalized #\d+ \(0x\w+…\w+\), ⬇ 41.3kiB/s ⬆ 38.9kiB/s"),
        ({"peers": 0}, r"💤 Idle \(0 peers\), best: .*, ⬇ 0 ⬆ 0"),
        ({"syncing": True}, r"⚙️  Syncing \d+\.\d bps, target=#\d+ \(\d+ peers\), best: .*"),
    ],
)
def test_the_journal_speaks_as_a_stock_node(tmp_path: Path, wanted: dict[str, Any], line: str) -> None:
    control = tmp_path / "control.json"
    control.write_text(json.dumps(wanted))
    journal = Journal(Node(1, control=control))
    journal.best = 0
    lines = list(journal.lines(NOW))
    assert re.fullmatch(line, lines[-1])
    assert re.match(r"✨ Imported #\d+ \(0x\w+…\w+\)", lines[0])
