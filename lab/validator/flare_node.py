# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a Substrate validator: its metrics page over HTTP, its log on standard output, and faults on request.

The page has the metric names and labels of a standard node, and many other metrics as on a real page (histograms,
tasks, channels). The height depends on the clock, so all hosts with the same clock have the same height.

Faults come from a JSON file that is read again for every page; without the file there are no faults. Its keys:
  stall             true: best and finalized height stay as they are when the file is written
  finality_stall    true: only the finalized height stays
  lag               number of blocks that the node is behind the others
  peers             number of peers
  syncing           true: major sync, 300 blocks behind its target
    drop              list of metric names that are missing on the page
  rename            {metric name: other name}
    names             "etrid": the few metric names of Ëtrid's own document instead of a standard node's
  delay             seconds before the page is sent
    stop              true: connections are closed without an answer

It needs Python's standard library only, so it runs on every host:
  flare_node.py --validator 3 --port 9615 --control /run/flare-node/control.json
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# The chain's first block; only the height depends on it.
GENESIS = 1_767_225_600
FINALITY_LAG = 3
SYNCING_BEHIND = 300
BUSY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
REQUEST_SECONDS = tuple(2**power / 1000 for power in range(16))
POLL_SECONDS = (0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384, 65.536)
SIZES = tuple(4**power for power in range(3, 11))

TASKS = (
    "aura",
    "basic-authorship-proposer",
    "basic-block-import-worker",
    "block_import",
    "grandpa-voter",
    "informant",
    "libp2p-node",
    "network-worker",
    "on-transaction-imported",
    "offchain-notifications",
    "offchain-on-block",
    "offchain-worker",
    "prometheus-endpoint",
    "spawn_task_handle",
    "substrate-rpc-subscription",
    "sync-state",
    "telemetry",
    "telemetry-periodic-send",
    "transaction-pool-0",
    "transaction-pool-1",
    "txpool-background",
    "txpool-notifications",
    "warm-up-trie-cache",
)
RPC_METHODS = (
    "author_submitExtrinsic",
    "chain_getBlock",
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "chain_subscribeNewHeads",
    "rpc_methods",
    "state_call",
    "state_getMetadata",
    "state_getRuntimeVersion",
    "state_getStorage",
    "state_queryStorageAt",
    "state_subscribeRuntimeVersion",
    "system_health",
)
PROTOCOLS = ("/flare/grandpa/1", "/flare/block-announces/1", "/flare/transactions/1")
CHANNELS = (
    "mpsc_background_tasks",
    "mpsc_buffered_link",
    "mpsc_chain_sync",
    "mpsc_finality_notification_stream",
    "mpsc_grandpa_gossip_validator",
    "mpsc_import_notification_stream",
    "mpsc_network_worker",
    "mpsc_system_rpc",
)

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


@dataclass
class Faults:
    """The faults in the control file, and the time when it was written."""

    wanted: dict[str, Any] = field(default_factory=dict)
    since: float = 0.0

    @classmethod
    def read(cls, path: Path | None) -> Faults:
        if path is None:
            return cls()
        try:
            return cls(json.loads(path.read_text()), path.stat().st_mtime)
        except FileNotFoundError:
            return cls()


@dataclass(frozen=True)
class State:
    """The node at one moment."""

    best: int
    finalized: int
    sync_target: int
    peers: int
    syncing: bool


class Node:
    """One validator: its page and its log, which depend on the clock and on its control file."""

    def __init__(self, validator: int, block_time: float = 6.0, control: Path | None = None) -> None:
        self.validator = validator
        self.block_time = block_time
        self.control = control
        self.started = time.time()
        self.name = f"flare-validator-{validator:02d}"

    def height(self, moment: float) -> int:
        return max(0, int((moment - GENESIS) / self.block_time))

    def state(self, faults: Faults, now: float) -> State:
        wanted = faults.wanted
        target = self.height(now)
        best = self.height(faults.since if wanted.get("stall") else now) - int(wanted.get("lag", 0))
        syncing = bool(wanted.get("syncing"))
        if syncing:
            best -= SYNCING_BEHIND
        finalized = best - FINALITY_LAG
        if wanted.get("finality_stall"):
            finalized = min(finalized, self.height(faults.since) - FINALITY_LAG)
        # Without faults the number of peers changes a little.
        peers = int(wanted.get("peers", 18 + (self.validator + int(now / 60)) % 4))
        return State(best, finalized, target if syncing else best, peers, syncing)

    def page(self, faults: Faults, now: float) -> str:
        """Return the page in Prometheus' text format."""
        dropped = set(faults.wanted.get("drop", ()))
        renamed = faults.wanted.get("rename", {})
        lines: list[str] = []
        state = self.state(faults, now)
        vital = self.etrid(state) if faults.wanted.get("names") == "etrid" else self.vital(state)
        for name, kind, text, samples in [*vital, *self.noise(state, now)]:
            if name in dropped:
                continue
            shown = renamed.get(name, name)
            lines += (f"# HELP {shown} {text}", f"# TYPE {shown} {kind}")
            for suffix, labels, value in samples:
                pairs = ",".join(f'{key}="{value}"' for key, value in (("chain", "flare"), *labels))
                lines.append(f"{shown}{suffix}{{{pairs}}} {value:.15g}")
        return "\n".join(lines) + "\n"

    def vital(self, state: State) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
        """The metrics that the network's state is computed from."""
        heights = {"best": state.best, "finalized": state.finalized, "sync_target": state.sync_target}
        yield (
            "substrate_block_height",
            "gauge",
            "Block height info of the chain",
            [("", (("status", status),), height) for status, height in heights.items()],
        )
        version = (("name", self.name), ("version", "1.4.0-2b496be2"))
        for name, kind, text, labels, value in (
            ("substrate_sub_libp2p_peers_count", "gauge", "Number of connected peers", (), state.peers),
            ("substrate_sub_libp2p_is_major_syncing", "gauge", "Whether the node is syncing", (), state.syncing),
            ("substrate_node_roles", "gauge", "The roles the node is running as", (), 4),
            ("substrate_build_info", "gauge", "A metric with a constant '1' value", version, 1),
            ("substrate_process_start_time_seconds", "gauge", "Start of the process", (), int(self.started)),
            ("substrate_ready_transactions_number", "gauge", "Transactions in the ready queue", (), state.best % 7),
        ):
            yield name, kind, text, [("", labels, value)]

    def etrid(self, state: State) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
        """The same with the names of Ëtrid's own document, which has no metric for sync."""
        for name, text, value in (
            ("substrate_block_height", "Block height", state.best),
            ("substrate_finalized_height", "Finalized block height", state.finalized),
            ("substrate_peers_count", "Number of connected peers", state.peers),
        ):
            yield name, "gauge", text, [("", (), value)]

    def noise(self, state: State, now: float) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
        """The other metrics of a real page."""
        age = now - self.started + 600
        dice = random.Random(self.validator)

        def simple(name: str, kind: str, rate: float, *series: Labels) -> tuple[str, str, str, list[Sample]]:
            steady = kind == "gauge"
            return (
                f"substrate_{name}",
                kind,
                name.replace("_", " ").capitalize(),
                [("", labels, int(dice.uniform(0.5, 1.5) * rate * (1 if steady else age))) for labels in series],
            )

        def histogram(
            name: str, buckets: tuple[float, ...], rate: float, *series: Labels
        ) -> tuple[str, str, str, list[Sample]]:
            samples: list[Sample] = []
            for labels in series:
                count = int(dice.uniform(0.5, 1.5) * rate * age)
                for position, bucket in enumerate(buckets):
                    share = min(1.0, (position + 1) / 4)
                    samples.append(("_bucket", (*labels, ("le", f"{bucket:g}")), int(count * share)))
                samples.append(("_bucket", (*labels, ("le", "+Inf")), count))
                samples += [("_sum", labels, count * buckets[1]), ("_count", labels, count)]
            return f"substrate_{name}", "histogram", name.replace("_", " ").capitalize(), samples

        none: Labels = ()
        tasks = [(("task_name", task),) for task in TASKS]
        rpc = [(("method", method), ("protocol", "ws")) for method in RPC_METHODS]
        directions = [(("direction", direction),) for direction in ("in", "out")]
        channels = [(("action", action), ("entity", entity)) for action in ("received", "send") for entity in CHANNELS]
        streams = [(("direction", way), ("protocol", name)) for way in ("in", "out") for name in PROTOCOLS]
        events = [
            (("action", action), ("event_name", event), ("name", "network-gossip"))
            for action in ("received", "sent")
            for event in (*(f'notif-\\"{protocol}\\"' for protocol in PROTOCOLS), "dht", "sync-connected")
        ]
        yield histogram("block_verification_and_import_time", BUSY_SECONDS, 0.17, none)
        yield histogram("block_verification_time", BUSY_SECONDS, 0.17, (("result", "success"),))
        yield histogram("justification_import_time", BUSY_SECONDS, 0.01, none)
        yield histogram("proposer_block_constructed", BUSY_SECONDS, 0.01, none)
        yield histogram("rpc_calls_time", BUSY_SECONDS, 0.05, *rpc)
        yield histogram("tasks_polling_duration", POLL_SECONDS, 20, *tasks)
        yield histogram("sub_libp2p_notifications_sizes", SIZES, 3, *streams)
        yield histogram("sub_libp2p_requests_in_success_total", REQUEST_SECONDS, 0.1, (("protocol", "/flare/sync/2"),))
        yield histogram("sub_libp2p_requests_out_success_total", REQUEST_SECONDS, 0.1, (("protocol", "/flare/sync/2"),))
        yield simple("tasks_polling_started_total", "counter", 20, *tasks)
        yield simple("tasks_spawned_total", "counter", 0.1, *tasks)
        yield simple("tasks_ended_total", "counter", 0.1, *((("reason", "finished"), *task) for task in tasks))
        yield simple("rpc_calls_started", "counter", 0.05, *rpc)
        yield simple("rpc_calls_finished", "counter", 0.05, *((("is_error", "false"), *call) for call in rpc))
        yield simple("unbounded_channel_len", "counter", 5, *channels)
        yield simple("sub_libp2p_out_events_events_total", "counter", 2, *events)
        yield simple("sub_libp2p_network_bytes_total", "counter", 40_000, *directions)
        yield simple("sub_libp2p_connections_opened_total", "counter", 0.02, *directions)
        yield simple("finality_grandpa_prevotes_total", "counter", 0.5, none)
        yield simple("finality_grandpa_precommits_total", "counter", 0.5, none)
        yield simple("database_cache_bytes", "gauge", 60_000_000, none)
        yield simple("state_cache_bytes", "gauge", 8_000_000, none)
        yield "substrate_finality_grandpa_round", "gauge", "Highest completed round", [("", (), state.finalized // 2)]
        yield "substrate_sync_peers", "gauge", "Number of peers we sync with", [("", (), state.peers)]
        yield "substrate_sync_queued_blocks", "gauge", "Blocks in the import queue", [("", (), 128 * state.syncing)]


def short_hash(height: int) -> str:
    digest = hashlib.sha256(str(height).encode()).hexdigest()
    return f"0x{digest[:4]}…{digest[-4:]}"


class Journal:
    """The node's log, with the messages of a standard node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.best = node.state(Faults.read(node.control), time.time()).best

    def lines(self, now: float) -> Iterator[str]:
        """Yield the lines that a real node logs since the last call: the blocks, then its status."""
        state = self.node.state(Faults.read(self.node.control), now)
        # After a long gap the last few blocks are enough.
        for height in range(max(self.best + 1, state.best - 4), state.best + 1):
            yield f"✨ Imported #{height} ({short_hash(height)})"
            if height % 21 == self.node.validator % 21:
                yield f"🙌 Starting consensus session on top of parent {short_hash(height)}"
                yield (
                    f"🎁 Prepared block for proposing at {height + 1} (2 ms) [hash: {short_hash(height + 1)}; "
                    f"parent_hash: {short_hash(height)}; extrinsics (1): [{short_hash(-height)}]"
                )
        speed = (state.best - self.best) / 5
        self.best = state.best
        heights = (
            f"best: #{state.best} ({short_hash(state.best)}), "
            f"finalized #{state.finalized} ({short_hash(state.finalized)})"
        )
        if state.syncing:
            yield (
                f"⚙️  Syncing {speed:.1f} bps, target=#{state.sync_target} ({state.peers} peers), {heights}, "
                "⬇ 1.2MiB/s ⬆ 9.0kiB/s"
            )
            return
        traffic = "⬇ 41.3kiB/s ⬆ 38.9kiB/s" if state.peers else "⬇ 0 ⬆ 0"
        yield f"💤 Idle ({state.peers} peers), {heights}, {traffic}"

    def write(self, interval: float, stop: threading.Event) -> None:
        """Log every ``interval`` seconds until ``stop``."""
        while not stop.wait(interval):
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            for line in self.lines(time.time()):
                print(stamp, line, flush=True)


class Server(ThreadingHTTPServer):
    """The metrics endpoint of one node."""

    daemon_threads = True
    # If Prometheus closes the connection during a page, print no traceback.
    block_on_close = False

    def __init__(self, address: tuple[str, int], node: Node) -> None:
        self.node = node
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # the base class wants this name
        faults = Faults.read(self.server.node.control)
        if faults.wanted.get("stop"):
            self.close_connection = True
            return
        time.sleep(float(faults.wanted.get("delay", 0)))
        found = self.path == "/metrics"
        body = self.server.node.page(faults, time.time()).encode() if found else b"Not found.\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: standard output is the node's log."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for a Substrate validator.")
    parser.add_argument("--validator", type=int, default=1, help="its number, 1 to 21")
    parser.add_argument("--listen", default="0.0.0.0", help="address of the metrics page")
    parser.add_argument("--port", type=int, default=9615)
    parser.add_argument("--block-time", type=float, default=6.0, help="seconds")
    parser.add_argument("--journal", type=float, default=5.0, help="seconds between looks at the log; 0: no log")
    parser.add_argument("--control", type=Path, help="JSON file with the faults")
    arguments = parser.parse_args()

    # A service has no locale, and the log has non-ASCII characters.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    node = Node(arguments.validator, arguments.block_time, arguments.control)
    stop = threading.Event()
    print(time.strftime("%Y-%m-%d %H:%M:%S"), f"Flare Node 1.4.0 as {node.name}, pid {os.getpid()}", flush=True)
    if arguments.journal:
        threading.Thread(target=Journal(node).write, args=(arguments.journal, stop), daemon=True).start()
    Server((arguments.listen, arguments.port), node).serve_forever()


if __name__ == "__main__":
    main()
