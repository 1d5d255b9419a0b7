# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This host's own validator: its journal and its metrics. Nothing here changes anything."""

from __future__ import annotations

import math
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass

import httpx

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

_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(\{.*\})?\s+(\S+)(?:\s+-?\d+)?$")
_STATUS = re.compile(r'status="(\w+)"')
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
    """A page of metrics, in Prometheus' text format."""

    text: str

    def facts(self) -> dict[str, object]:
        """Return what the rules judge by, under the names of the Gizzi API; what is not there is null."""
        values = self.values()

        def first(names: tuple[str, ...]) -> int | None:
            return next((int(values[name]) for name in names if name in values), None)

        facts: dict[str, object] = {
            "block_height": first(BEST),
            "finalized_height": first(FINALIZED),
            "peers": first(PEERS),
        }
        if (first(SYNCING) or 0) >= 1:
            facts["status"] = "syncing"
        if (target := first(TARGET)) is not None:
            facts["sync_target"] = target
        return facts

    def data(self) -> Data:
        """What tells about the network first; without comments and the buckets of histograms."""
        lines = [line for line in self.text.splitlines() if line and line[0] != "#" and "_bucket{" not in line]
        return Data("metrics of the validator", "\n".join(sorted(lines, key=lambda line: not _FIRST.search(line))))

    def values(self) -> dict[str, float]:
        """Return the first sample of each name, or of each name and status."""
        values: dict[str, float] = {}
        for line in self.text.splitlines():
            if match := _SAMPLE.match(line):
                name, labels, text = match.groups()
                status = _STATUS.search(labels or "")
                with suppress(ValueError):
                    value = float(text)
                    if math.isfinite(value):
                        values.setdefault(name + (f'{{status="{status[1]}"}}' if status else ""), value)
        return values


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
    """Return the page of the own validator's metrics. Errors: NodeError."""
    url = str(node.metrics_url)
    deadline = Deadline(node.timeout)
    try:
        with httpx.Client(transport=LimitedTransport(deadline), timeout=None, trust_env=False) as client:
            response = client.get(url)
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        text = "the metrics cannot be read: " + ("too slow" if deadline.remaining() <= 0 else "no answer")
        raise NodeError(text, endpoint=url, elapsed=deadline.elapsed()) from error
    found = Metrics(response.text)
    if response.status_code != 200 or not found.values():
        text = f"no metrics come from there (HTTP {response.status_code})"
        raise NodeError(text, endpoint=url, elapsed=deadline.elapsed())
    return found
