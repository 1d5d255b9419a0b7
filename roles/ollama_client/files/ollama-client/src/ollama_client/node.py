# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This host's own validator: its journal and its metrics. Nothing here changes anything."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO, cast

import httpx
from prometheus_client.parser import text_fd_to_metric_families

from ollama_client import cause
from ollama_client.deadline import Deadline, LimitedTransport
from ollama_client.errors import NodeError
from ollama_client.prompts import Data
from ollama_client.settings import Node

# Stock names first, then those of the user's document.
BEST = ('substrate_block_height{status="best"}', "substrate_block_height")
FINALIZED = ('substrate_block_height{status="finalized"}', "substrate_finalized_height")
TARGET = ('substrate_block_height{status="sync_target"}',)
PEERS = ("substrate_sub_libp2p_peers_count", "substrate_peers_count")
SYNCING = ("substrate_sub_libp2p_is_major_syncing",)
VITAL = (BEST, FINALIZED, PEERS, SYNCING)
MAX_PAGE = 4_000_000  # bytes; a node's is a tenth of it
MAX_LINE = 4096  # characters

_FIRST = re.compile(r"block_height|peers|sync|sub_libp2p|network|finality|authority|build_info")
_ERROR = re.compile(r"\b(?:ERROR|FATAL|CRITICAL|panicked|Fatal)\b")
_WARNING = re.compile(r"\b(?:WARN|WARNING|Failed to|error)\b")


@dataclass(frozen=True, slots=True)
class Journal:
    """The last lines of a unit."""

    unit: str
    text: str

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def errors(self) -> int:
        return sum(bool(_ERROR.search(line)) for line in self.text.splitlines())

    @property
    def warnings(self) -> int:
        return sum(bool(_WARNING.search(line)) and not _ERROR.search(line) for line in self.text.splitlines())

    def data(self) -> Data:
        return Data(f"journal of {self.unit}", self.text, keep="end")


@dataclass(frozen=True, slots=True)
class Metrics:
    """A page of metrics, in Prometheus' text format.

    Attributes:
        text: the page.
        samples: the values of each name, and of each name with a status as in ``BEST``. More than one is a
            contradiction where one is expected, as from the metrics of two chains.
    """

    text: str
    samples: Mapping[str, Sequence[float]]

    def facts(self) -> dict[str, object]:
        """Return what the rules judge by, under the names of the Gizzi API.

        What is not there, or more than once, is null; ``contradiction`` says what is there more than once.
        """
        facts: dict[str, object] = {
            "block_height": self._value(BEST),
            "finalized_height": self._value(FINALIZED),
            "peers": self._value(PEERS),
        }
        if (self._value(SYNCING) or 0) >= 1:
            facts["status"] = "syncing"
        if (target := self._value(TARGET)) is not None:
            facts["sync_target"] = target
        doubled = [name for names in VITAL if (name := self._name(names)) and len(self.samples[name]) > 1]
        if doubled:
            counts = ", ".join(f"{len(self.samples[name])} samples of {name}" for name in doubled)
            facts["contradiction"] = f"{counts}, as on a page with two chains: which one is right cannot be told"
        return facts

    def _name(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self.samples), None)

    def _value(self, names: Sequence[str]) -> int | None:
        values = self.samples.get(self._name(names) or "", ())
        return int(values[0]) if len(values) == 1 and math.isfinite(values[0]) else None

    def data(self) -> Data:
        """What tells about the network first; without comments and the buckets of histograms."""
        lines = [line for line in self.text.splitlines() if line and line[0] != "#" and "_bucket{" not in line]
        return Data("metrics of the validator", "\n".join(sorted(lines, key=lambda line: not _FIRST.search(line))))


def journal(node: Node, unit: str, lines: int) -> Journal:
    """Return the last ``lines`` lines of a unit's journal. Errors: NodeError."""
    deadline = Deadline(node.timeout)
    # Ollama's unit has a journal of its own beside everybody's.
    which = ["--namespace=+ollama", f"--unit={unit}", f"--lines={lines}"]
    command = ["journalctl", *which, "--no-pager", "--quiet", "--output=short-iso"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=node.timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        text = f"the journal cannot be read: {type(error).__name__}"
        raise NodeError(text, endpoint=unit, elapsed=deadline.elapsed()) from error
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0 or not text.strip():
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = told[-1] if told else "it has no lines, or this user may not see them"
        raise NodeError(f"the journal cannot be read: {why}", endpoint=unit, elapsed=deadline.elapsed())
    return Journal(unit, text)


def metrics(node: Node) -> Metrics:
    """Return the page of the own validator's metrics. Errors: NodeError, also for a page that cannot be parsed."""
    url = str(node.metrics_url)
    deadline = Deadline(node.timeout)
    try:
        text = _page(url, deadline)
        samples = _samples(text, deadline)
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        why = "too slow" if deadline.remaining() <= 0 else cause.of(error)
        raise NodeError(f"the metrics cannot be read: {why}", endpoint=url, elapsed=deadline.elapsed()) from error
    except ValueError as error:
        why = f"the metrics cannot be read: {str(error)[:200]}"
        raise NodeError(why, endpoint=url, elapsed=deadline.elapsed()) from error
    return Metrics(text, samples)


def _page(url: str, deadline: Deadline) -> str:
    """Return the page as it is sent, without unpacking: packed bytes could be any number of them."""
    body = bytearray()
    headers = {"Accept-Encoding": "identity"}
    with (
        httpx.Client(transport=LimitedTransport(deadline), timeout=None, trust_env=False, headers=headers) as client,
        client.stream("GET", url) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"this address gives no metrics (HTTP {response.status_code})")
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > MAX_PAGE:
                raise ValueError(f"the page is larger than {MAX_PAGE} bytes")
    return body.decode("utf-8", "replace")


def _samples(text: str, deadline: Deadline) -> dict[str, list[float]]:
    """Return the values by name and status. Errors: TimeoutError; ValueError for a page that is none."""
    samples: dict[str, list[float]] = {}
    try:
        # The parser takes whatever gives lines.
        for family in text_fd_to_metric_families(cast(TextIO, _lines(text, deadline))):
            for one in family.samples:
                status = one.labels.get("status")
                samples.setdefault(one.name + (f'{{status="{status}"}}' if status else ""), []).append(float(one.value))
    except (ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"not a page of metrics: {str(error) or 'it cannot be parsed'}") from error
    if not samples:
        raise ValueError("not a page of metrics: it has no samples")
    return samples


def _lines(text: str, deadline: Deadline) -> Iterator[str]:
    """Give line after line. The parser's time grows with the square of a line's length, so that this has a limit."""
    for line in text.split("\n"):
        if len(line) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE} characters")
        if deadline.remaining() <= 0:
            raise TimeoutError
        yield line
