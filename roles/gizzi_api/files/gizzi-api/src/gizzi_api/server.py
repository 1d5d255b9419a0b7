# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket and the server below the app."""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from gizzi_api.protocol import Config, Waiting

# How long a caller may take for a whole request head, and without taking anything of an answer.
WAIT_SECONDS = 10.0
# Fewer than the requests that may run at once (middleware.py): slow readers, who are both, leave some for others.
MAX_WAITING = 400


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; ``::`` takes IPv4 too."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    dual = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
    server = socket.create_server((host, port), family=family, backlog=512, dualstack_ipv6=dual)
    # Connections inherit it. asyncio sets it only where the protocol is named, and without it answers wait 40 ms.
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def serve(
    app: ASGIApp, log_level: str, *, wait_seconds: float = WAIT_SECONDS, max_waiting: int = MAX_WAITING
) -> uvicorn.Server:
    """Return the server; ``run(sockets=[listen(…)])`` starts it.

    Args:
        app: what answers.
        log_level: uvicorn's word for it.
        wait_seconds: how long a connection may wait for its caller.
        max_waiting: how many connections may do so at once.
    """
    return uvicorn.Server(
        Config(
            app,
            Waiting(wait_seconds, max_waiting),
            log_level=log_level,
            # An access log would keep what callers ask; /metrics counts.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            # uvicorn's own limit would count connections that have asked nothing; the app limits its requests.
            limit_concurrency=None,
            timeout_graceful_shutdown=5,
        )
    )
