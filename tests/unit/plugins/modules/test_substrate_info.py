# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.etrid.gizzi.plugins.modules import substrate_info
from ansible_collections.etrid.gizzi.tests.unit.plugins.fakes import FakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., dict[str, Any]]

STOCK = """
# HELP substrate_block_height Block height info of the chain
# TYPE substrate_block_height gauge
substrate_block_height{status="best",chain="flare"} HEIGHT
substrate_block_height{status="finalized",chain="flare"} 117
substrate_block_height{chain="flare",status="sync_target"} 999
substrate_sub_libp2p_peers_count{chain="flare"} 24
substrate_proposer_block_constructed_bucket{chain="flare",le="+Inf"} 3
"""
DOCUMENT = """
substrate_block_height{validator="3"} 120
substrate_finalized_height{validator="3"} 117
substrate_peers_count{validator="3"} 5
"""


class FakeNode(FakeServer):
    def __init__(self) -> None:
        super().__init__()
        self.page = STOCK
        self.height = 120
        # Blocks between two pages.
        self.pace = 0

    def answer(self, http: Any, body: Any) -> None:
        http.send(200, self.page.replace("HEIGHT", f"{self.height:.6e}").encode(), Content_Type="text/plain")
        self.height += self.pace


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with closing(FakeNode()) as server:
        yield server


@pytest.fixture
def info(run_module: Run, node: FakeNode) -> Run:
    return lambda **args: run_module(substrate_info.main, url=f"{node.url}/metrics", **args)


def test_reads_a_stock_node(info: Run) -> None:
    result = info(check_mode=True)
    assert (result["height"], result["finalized"], result["peers"]) == (120, 117, 24)
    assert result["changed"] is False


def test_reads_a_node_with_the_names_of_the_document(info: Run, node: FakeNode) -> None:
    node.page = DOCUMENT
    result = info()
    assert (result["height"], result["finalized"], result["peers"]) == (120, 117, 5)


@pytest.mark.parametrize("missing", ["best", "finalized", "peers_count"])
def test_what_is_missing_is_never_zero(info: Run, node: FakeNode, missing: str) -> None:
    node.page = "\n".join(line for line in STOCK.splitlines() if missing not in line)
    assert "does not tell" in info()["msg"]


@pytest.mark.parametrize("chain", ["relay", "flare"])
@pytest.mark.parametrize("first", [True, False])
def test_two_chains_on_one_page_are_a_contradiction(info: Run, node: FakeNode, chain: str, first: bool) -> None:
    other = f'substrate_block_height{{status="best",chain="{chain}"}} 5000\n'
    node.page = other + STOCK if first else STOCK + other
    message = info()["msg"]
    assert "tells the best block more than once: it has 2 samples of substrate_block_height{best}" in message


@pytest.mark.parametrize("value", ["NaN", "+Inf", "many"])
def test_what_is_no_number_is_not_told(info: Run, node: FakeNode, value: str) -> None:
    node.page = STOCK.replace("} 24", f"}} {value}")
    assert f"does not tell the number of peers: substrate_sub_libp2p_peers_count is '{value}'" in info()["msg"]


def test_waits_for_another_block(info: Run, node: FakeNode) -> None:
    node.pace = 1
    assert info(above=121, timeout=20)["height"] == 122


def test_a_height_that_stays_is_a_failure(info: Run) -> None:
    message = info(above=120, timeout=0)["msg"]
    assert "stays at 120" in message
    assert "24 peers" in message


def test_a_node_that_is_down_is_named(info: Run, node: FakeNode) -> None:
    url = node.url
    node.close()
    assert url in info()["msg"]
