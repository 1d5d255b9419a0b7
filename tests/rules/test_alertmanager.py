"""The example of Alertmanager's routes, by amtool and by a real Alertmanager: 21 hosts that are down are one page."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "docs/alertmanager.yml"
# Debian's build reads its templates from there alone. It is not installed, so they lie where only it sees them.
START = 'mount -t tmpfs none /usr/share; mkdir /usr/share/prometheus; cp -r "$0" /usr/share/prometheus; exec \
prometheus-alertmanager "$@"'
TEMPLATES = Path(sys.prefix) / "share/alertmanager"
Labels = dict[str, str]


def alert(name: str, number: int, severity: str) -> Labels:
    return {
        "alertname": name,
        "severity": severity,
        "validator": str(number),
        "instance": f"validator{number:02d}",
    }


def test_amtool_takes_it() -> None:
    checked = subprocess.run(["amtool", "check-config", EXAMPLE], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "mail"), ("", "mail")])
def test_what_is_critical_pages(severity: str, receiver: str) -> None:
    command = ["amtool", "config", "routes", "test", f"--config.file={EXAMPLE}", f"--verify.receivers={receiver}"]
    labels = ["alertname=Any", *([f"severity={severity}"] if severity else [])]
    told = subprocess.run([*command, *labels], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


class Manager:
    """A real Alertmanager with the example's routes, both receivers of which are this test."""

    def __init__(self, folder: Path) -> None:
        self.told: dict[str, list[list[Labels]]] = {"pager": [], "mail": []}
        told = self.told

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told[self.path[1:]].append([one["labels"] for one in body["alerts"]])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self._receiver.serve_forever, args=(0.05,), daemon=True).start()
        config = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        config["route"] |= {"group_wait": "2s"}
        base = f"http://127.0.0.1:{self._receiver.server_address[1]}"
        config["receivers"] = [
            {"name": one["name"], "webhook_configs": [{"url": f"{base}/{one['name']}"}]} for one in config["receivers"]
        ]
        (folder / "config.yml").write_text(json.dumps(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "sh", "-ec", START, str(TEMPLATES)),
                    f"--config.file={folder / 'config.yml'}",
                    f"--storage.path={folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            self.until(self._ready)
        except BaseException:
            self.close()
            raise

    def fire(self, *labels: Labels) -> None:
        """Tell it of alerts, as Prometheus does."""
        body = json.dumps([{"labels": one} for one in labels]).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=5).close()

    def not_inhibited(self) -> list[Labels]:
        """Return the alerts that another one does not keep back."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?inhibited=false", timeout=5) as answer:
            return [one["labels"] for one in json.load(answer)]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "not within 30 s"
            time.sleep(0.05)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._receiver.shutdown()
        self._receiver.server_close()

    def _ready(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=1).close()
        except OSError:
            return False
        return True


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.close()


@pytest.mark.live
@needs_root
def test_21_hosts_that_are_down_are_one_page(manager: Manager) -> None:
    """One after the other, and what follows from it for each host; another alert, later, is the next message."""
    for number in range(1, 22):
        manager.fire(alert("ValidatorOffline", number, "critical"))
    for number in range(1, 22):
        manager.fire(alert("HostMetricsMissing", number, "warning"), alert("OllamaModelSlow", number, "warning"))
    manager.fire(alert("ModelUpdateFailed", 99, "warning"))
    manager.until(lambda: manager.told["mail"])
    manager.until(lambda: manager.told["pager"])
    (page,) = manager.told["pager"]
    assert sorted(int(one["validator"]) for one in page) == list(range(1, 22))
    (mail,) = manager.told["mail"]
    assert [one["alertname"] for one in mail] == ["ModelUpdateFailed"]


@pytest.mark.live
@needs_root
def test_what_cannot_be_believed_is_told_alone(manager: Manager) -> None:
    manager.fire(
        alert("ValidatorScrapedTwice", 1, "critical"),
        alert("ValidatorStalled", 1, "critical"),
        alert("OllamaMetricsStale", 2, "warning"),
        alert("OllamaModelSlow", 2, "warning"),
        alert("ValidatorStalled", 3, "critical"),
    )
    manager.until(lambda: len(manager.told["pager"]) == 2 and manager.told["mail"])
    told = sorted((one["alertname"], one["validator"]) for page in manager.told["pager"] for one in page)
    assert told == [("ValidatorScrapedTwice", "1"), ("ValidatorStalled", "3")]
    assert [one["alertname"] for one in manager.told["mail"][0]] == ["OllamaMetricsStale"]
    assert sorted(one["alertname"] for one in manager.not_inhibited()) == [
        "OllamaMetricsStale",
        "ValidatorScrapedTwice",
        "ValidatorStalled",
    ]
