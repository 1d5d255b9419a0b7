"""The app behind a real server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from gizzi_api.app import create_app
from gizzi_api.server import listen, serve
from gizzi_api.settings import Settings
from starlette.types import ASGIApp


@contextmanager
def served(settings: Settings, upstream: httpx.AsyncBaseTransport | None = None) -> Iterator[str]:
    """Serve as the command does; yield the URL."""
    with served_app(create_app(settings, upstream)) as url:
        yield url


@contextmanager
def served_app(app: ASGIApp, **limits: Any) -> Iterator[str]:
    """Serve an app with ``limits`` of the server; yield the URL."""
    socket = listen("127.0.0.1", 0)
    server = serve(app, "critical", **limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
