"""A fleet without containers: stand-in validators and a real Prometheus that scrapes them, all on loopback.

For unit tests and benchmarks. The scenarios run ``flare_node`` as a service on each host instead.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.validator.flare_node import Node, Server

START_SECONDS = 30
LOOKBACK_SECONDS = 301
# Height and peers of a validator at a moment of the last hour; None where there is nothing.
Past = Callable[[int, float], "tuple[int, int] | None"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Fleet:
    """A context manager. ``fault`` makes a validator ill; Prometheus can be stopped, started and made to hang."""

    def __init__(
        self,
        folder: Path,
        validators: int = 21,
        *,
        interval: float = 1.0,
        block_time: float = 1.0,
        label: str = "validator",
        extra_targets: dict[str, int] | None = None,
        past: Past | None = None,
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._controls = {number: folder / f"validator{number:02d}.json" for number in range(1, validators + 1)}
        self._servers = [
            Server(("127.0.0.1", 0), Node(number, block_time, control)) for number, control in self._controls.items()
        ]
        # The label with a validator's number.
        self._label = label
        # Further targets, by their label: on the exporter of a validator.
        self._extra = extra_targets or {}
        self._past = past
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Fleet:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._configure()
        if self._past is not None:
            self._backfill(self._past)
        try:
            self.prometheus_start()
            self.wait(lambda: len(self.query("up")) == len(self._servers) + len(self._extra), "every target scraped")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.prometheus_stop()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fault(self, validator: int, **wanted: Any) -> None:
        """Ask for faults (see ``flare_node``); without any the validator is sound again."""
        control = self._controls[validator]
        if not wanted:
            control.unlink(missing_ok=True)
            return
        # Written beside and renamed: a page is never made from half a file.
        draft = control.with_suffix(".draft")
        draft.write_text(json.dumps(wanted))
        draft.rename(control)

    def scrapes(self, number: int) -> None:
        """Wait for so many scrapes of every target."""
        for _unused in range(number):
            self.wait(partial(self._scraped_since, time.time()), "every target scraped anew")

    def query(self, promql: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(
            f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}", timeout=10
        ) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result

    def prometheus_start(self) -> None:
        log = (self.folder / "prometheus.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )
        self.wait(self._ready, "Prometheus ready")

    def prometheus_stop(self) -> None:
        if self._process is not None:
            # In case it hangs.
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(START_SECONDS)
            self._process = None

    def prometheus_hang(self, hanging: bool) -> None:
        """Keep the process from running: connections are taken, and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP if hanging else signal.SIGCONT)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {START_SECONDS} s: {what}; see {self.folder / 'prometheus.log'}")
            time.sleep(0.1)

    def _scraped_since(self, moment: float) -> bool:
        return all(float(sample["value"][1]) > moment for sample in self.query("timestamp(up)"))

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _backfill(self, past: Past) -> None:
        """Give Prometheus a last hour that was never scraped, up to where a query of now looks back."""
        metrics: dict[str, list[str]] = {"substrate_block_height": [], "substrate_sub_libp2p_peers_count": []}
        now = int(time.time())
        for number in self._controls:
            labels = f'chain="flare",instance="past:{number}",job="substrate",validator="{number}"'
            for moment in range(now - 3600, now - LOOKBACK_SECONDS, 15):
                if (values := past(number, moment)) is not None:
                    height, peers = values
                    best = f'substrate_block_height{{status="best",{labels}}} {height} {moment}'
                    metrics["substrate_block_height"].append(best)
                    metrics["substrate_sub_libp2p_peers_count"].append(
                        f"substrate_sub_libp2p_peers_count{{{labels}}} {peers} {moment}"
                    )
        text = (
            "".join(f"# TYPE {name} gauge\n" + "\n".join(lines) + "\n" for name, lines in metrics.items()) + "# EOF\n"
        )
        source = self.folder / "past.om"
        source.write_text(text)
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(source), str(self.folder / "data")],
            check=True,
            capture_output=True,
        )

    def _configure(self) -> None:
        targets = [*((str(number), number) for number in self._controls), *self._extra.items()]
        # JSON is YAML.
        (self.folder / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {
                        "scrape_interval": f"{int(self.interval * 1000)}ms",
                        "scrape_timeout": f"{int(self.interval * 900)}ms",
                    },
                    "scrape_configs": [
                        {
                            "job_name": "substrate",
                            "static_configs": [
                                {
                                    "targets": [f"127.0.0.1:{self._servers[number - 1].server_port}"],
                                    "labels": {self._label: label},
                                }
                                for label, number in targets
                            ],
                        }
                    ],
                }
            )
        )
