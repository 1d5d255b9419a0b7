# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a body becomes behind the gateway: a server that answers with the bytes that it got, and one who asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gateways
from gateways import TOKEN, Answer, Gateway


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert "Transfer-Encoding" not in self.headers
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """In silence."""


class Asker:
    """Asks over one connection, as long as the gateway keeps it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._connection = gateway.connection()

    def __call__(self, path: str, body: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None) -> Answer:
        """Send a body, and a list of pieces as chunks."""
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **(headers or {})}
        self._connection.request("POST", path, body, sent, encode_chunked=not isinstance(body, bytes))
        answer = self._connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def asking(folder: Path) -> Iterator[Asker]:
    """Run a gateway before an echo, and give who asks it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with gateways.running(folder, f"127.0.0.1:{server.server_port}", access_log=False) as gateway:
            asker = Asker(gateway)
            yield asker
            asker.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
