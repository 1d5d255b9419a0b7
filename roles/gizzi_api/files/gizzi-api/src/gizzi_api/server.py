# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket and the HTTP protocol below the app."""

from __future__ import annotations

import json
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Of a request line and its headers, in bytes.
MAX_HEAD = 65_536
# More callers at once than a fleet has are answered with 503 at the door.
MAX_CONNECTIONS = 500
# How long a refused caller may go on sending, so that it reads the answer instead of a broken connection.
LINGER_SECONDS = 2.0


class Protocol(HttpToolsProtocol):
    """Bounds what comes before the body, which httptools does not, and says what was too much."""

    _head = 0
    _reading_head = True
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._reading_head:
            self._head += len(data)
        super().data_received(data)
        if self._reading_head and self._head > MAX_HEAD:
            self._refuse("414 URI Too Long", f"The request is longer than {MAX_HEAD} bytes.")

    def on_headers_complete(self) -> None:
        self._reading_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head, self._reading_head = 0, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._head > MAX_HEAD:
            self._refuse("414 URI Too Long", f"The request is longer than {MAX_HEAD} bytes.")
        else:
            self._refuse("400 Bad Request", msg)

    def _refuse(self, status: str, text: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        body = json.dumps({"detail": text}).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; ``::`` takes IPv4 too."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    dual = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
    server = socket.create_server((host, port), family=family, backlog=512, dualstack_ipv6=dual)
    # Connections inherit it. asyncio sets it only where the protocol is named, and without it answers wait 40 ms.
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def serve(app: ASGIApp, log_level: str) -> uvicorn.Server:
    """Return the server; ``run(sockets=[listen(…)])`` starts it."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level=log_level,
            # An access log would keep what callers ask; /metrics counts.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=Protocol,
            ws="none",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=5,
        )
    )
