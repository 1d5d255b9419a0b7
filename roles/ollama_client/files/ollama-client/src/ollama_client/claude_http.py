# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As ``deadline.LimitedTransport``, for the HTTP library that Anthropic's stands on. Slow to import: only to ask."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpcore2
import httpx2

from ollama_client.deadline import Limit, LimitedBackend

_CORE = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
)


class LimitedTransport(httpx2.BaseTransport):
    """One connection each of whose waits ends with ``limit``.

    Args:
        limit: what is left of the time.
        tls: for https.
    """

    def __init__(self, limit: Limit, tls: ssl.SSLContext | None) -> None:
        # The two httpcore know the same networks, under different names.
        backend = cast(Any, LimitedBackend(cast(Any, httpcore2.SyncBackend()), limit))
        self._connections = httpcore2.ConnectionPool(ssl_context=tls, max_connections=1, network_backend=backend)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer with its headers. Errors: httpx2.TransportError, TimeoutError, ConnectionError."""
        url = request.url
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=cast(Any, request.stream),
            extensions=request.extensions,
        )
        with _errors():
            answer = self._connections.handle_request(asked)
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Answer(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        self._connections.close()


class _Answer(httpx2.SyncByteStream):
    """What comes of an answer, with httpx2's errors."""

    def __init__(self, inner: httpcore2.Response) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        with _errors():
            yield from self._inner.iter_stream()

    def close(self) -> None:
        self._inner.close()


@contextmanager
def _errors() -> Iterator[None]:
    """Turn httpcore2's errors into those of httpx2, which have the same names."""
    try:
        yield
    except _CORE as error:
        raise getattr(httpx2, type(error).__name__, httpx2.TransportError)(str(error)) from error
