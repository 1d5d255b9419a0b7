"""The Grafana dashboard: a real Prometheus, with the alerts' rules, gives each of its expressions something to show."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from half_hour import ollama, sound
from rendering import render

DASHBOARD = Path(__file__).parents[2] / "docs/grafana.json"
PANELS = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
LEDGER = 'tier="ollama",model="llama3.1:8b",ledger="root"'
# What the alerts do not look at.
MORE = (
    f"gizzi_calls_total{{{LEDGER}}}",
    f"gizzi_failures_total{{{LEDGER}}}",
    f'gizzi_tokens_total{{{LEDGER},direction="in"}}',
    'gizzi_budget_dollars{ledger="root"}',
    'gizzi_budget_spent_dollars{ledger="root"}',
    ollama("gizzi_gateway_request_seconds_total", labels=',listener="ollama",client="a",status="2xx"'),
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that reads a page with all metrics, each of which grows."""
    folder = tmp_path_factory.mktemp("dashboard")
    started = time.monotonic()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            value = 1 + int(time.monotonic() - started)
            body = "".join(f"{name} {value}\n" for name in (*sound(), *MORE)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, args=(0.05,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    target = {"targets": [f"127.0.0.1:{page.server_address[1]}"]}
    job = {"job_name": "page", "honor_labels": True, "static_configs": [target]}
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": ["rules.yml"], "scrape_configs": [job]}
    (folder / "rules.yml").write_text(render("rules"))
    (folder / "prometheus.yml").write_text(json.dumps(config))
    files = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        command = ["prometheus", *files, f"--web.listen-address={url.removeprefix('http://')}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        # The last to come: an alert, of the growth of a counter.
        until(lambda: shown(url, 'ALERTS{alertstate="firing"}'))
        yield url
    finally:
        process.terminate()
        process.wait(30)
        page.shutdown()
        page.server_close()


def shown(url: str, expression: str) -> list[Any]:
    """Return what an expression gives now; nothing while Prometheus does not answer."""
    asked = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=10) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except ConnectionError:
        return []
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return []
        raise
    except urllib.error.URLError:
        return []


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not within 60 s"
        time.sleep(0.1)


def test_it_has_a_row_for_each_subject() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["Fleet", "Validators", "Servers", "Models", "Client", "Gateway"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


@pytest.mark.live
def test_each_expression_shows_something(prometheus: str) -> None:
    expressions = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
    assert len(expressions) > 20
    until(lambda: shown(prometheus, "delta(validator:best_height[5m])"))
    assert [one for one in expressions if not shown(prometheus, one)] == []
