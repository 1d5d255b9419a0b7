# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Substrate node as its own metrics page shows it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from ansible_collections.etrid.gizzi.plugins.module_utils._errors import GizziError
from ansible_collections.etrid.gizzi.plugins.module_utils._http import request

PAUSE = 1.0

# The names of a stock node, and those of Ëtrid's own document.
HEIGHTS = ("substrate_block_height{best}",)
FINALIZED = ("substrate_block_height{finalized}", "substrate_finalized_height")
PEERS = ("substrate_sub_libp2p_peers_count", "substrate_peers_count")

_SAMPLE = re.compile(r"(substrate_\w+)(?:\{(.*)\})? (\S+)(?: \d+)?")
_STATUS = re.compile(r'(?:^|,)\s*status="(\w+)"')


@dataclass(frozen=True)
class Node:
    """What a node tells of itself: its best block, its last finalized block, and how many peers it has."""

    height: int
    finalized: int
    peers: int


def parse_page(text: str) -> Node:
    """Read a metrics page; raise GizziError for what it does not tell, or tells more than once."""
    samples: dict[str, list[str]] = {}
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line.strip())
        if not match:
            continue
        name, labels, value = match.groups()
        status = _STATUS.search(labels or "")
        samples.setdefault(f"{name}{{{status[1]}}}" if status else name, []).append(value)
    # A page without the label has one height alone.
    return Node(
        height=_first(samples, (*HEIGHTS, "substrate_block_height"), "the best block"),
        finalized=_first(samples, FINALIZED, "the finalized block"),
        peers=_first(samples, PEERS, "the number of peers"),
    )


def _first(samples: dict[str, list[str]], names: tuple[str, ...], what: str) -> int:
    found = next((name for name in names if name in samples), None)
    if found is None:
        raise GizziError(f"The page does not tell {what}: it has none of {', '.join(names)}.")
    values = samples[found]
    if len(values) > 1:
        raise GizziError(
            f"The page tells {what} more than once: it has {len(values)} samples of {found}, as one with the metrics "
            "of two chains does. Which one is right is unknown."
        )
    try:
        return int(float(values[0]))
    except (ValueError, OverflowError) as error:
        raise GizziError(f"The page does not tell {what}: {found} is {values[0][:40]!r}.") from error


def read(url: str, timeout: float) -> Node:
    """Ask a node, within timeout seconds; raise GizziError where it does not answer."""
    return parse_page(request("GET", url, timeout).body.decode("utf-8", "replace"))


def read_above(url: str, above: int | None, timeout: float, request_timeout: float) -> Node:
    """Ask a node until its height is above one (None for any), for timeout seconds at most; raise GizziError then."""
    deadline = time.monotonic() + timeout
    while True:
        node = read(url, request_timeout)
        if above is None or node.height > above:
            return node
        if time.monotonic() > deadline:
            raise GizziError(
                f"The node's height stays at {node.height}: for {timeout:g} s it was not above {above}. "
                f"It has {node.peers} peers."
            )
        time.sleep(PAUSE)
