# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines that hold: a limit for each read is no limit for an answer that comes a byte at a time."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpcore
import httpx

from ollama_client import cause

# No answer that this package waits for is anywhere near so large.
MAX_BYTES = 32_000_000
# What httpcore raises.
_CORE = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


class Limit(Protocol):
    def remaining(self) -> float: ...


class Deadline:
    """A point in time, by a clock that nobody sets.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._start

    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.seconds - self.elapsed()


class Pace:
    """How long an answer may stay away: so long for its first token, then so long for each further one."""

    def __init__(self, first: float, stall: float, whole: Deadline) -> None:
        self._whole = whole
        self._stall = stall
        self._next = Deadline(first)

    def token(self) -> None:
        self._next = Deadline(self._stall)

    def remaining(self) -> float:
        return min(self._next.remaining(), self._whole.remaining())


class LimitedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, limit: Limit) -> None:
        self._inner = inner
        self._limit = limit
        self._bytes = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, _least(timeout, self._limit))
        if not data and not self._bytes:
            # Else httpcore calls it a fault of the protocol, as if something had come.
            raise httpcore.ReadError("it was closed before a word came")
        self._bytes += len(data)
        if self._bytes > MAX_BYTES:
            raise ValueError(f"an answer of more than {MAX_BYTES} bytes")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _least(timeout, self._limit))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, _least(timeout, self._limit))
        return LimitedStream(inner, self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class LimitedBackend(httpcore.NetworkBackend):
    """The network, each of whose waits ends with ``limit``: by TimeoutError, or by the inner backend's own error."""

    def __init__(self, inner: httpcore.NetworkBackend, limit: Limit) -> None:
        self._inner = inner
        self._limit = limit

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        until = Deadline(_least(timeout, self._limit))
        addresses = _addresses(host, port, until)
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            # One that swallows everything leaves time for the next.
            share = _least(None, until) / left
            try:
                stream = self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except Exception:
                if left == 1:
                    raise
            else:
                return LimitedStream(stream, self._limit)
        raise ConnectionError(f"{host} has no address")


def _addresses(host: str, port: int, until: Deadline) -> list[str]:
    """Look a name up. The system knows no deadline for that, so it is left to itself when it takes too long."""
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(answer[4][0]) for answer in answers)))
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = found.get(timeout=max(0.0, until.remaining()))
    except queue.Empty:
        raise ConnectionError(f"the name {host} could not be looked up in time") from None
    if isinstance(answer, Exception):
        raise ConnectionError(cause.of(answer)) from answer
    return answer


def _least(timeout: float | None, limit: Limit) -> float:
    left = limit.remaining()
    if left <= 0:
        raise TimeoutError
    return left if timeout is None else min(timeout, left)


def retry_after(header: str | None) -> float | None:
    """Return the seconds of an HTTP header Retry-After, if it is there and is a number."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


class _Answer(httpx.SyncByteStream):
    """What comes of an answer, with httpx's errors."""

    def __init__(self, inner: httpcore.Response) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        with _errors():
            yield from self._inner.iter_stream()

    def close(self) -> None:
        self._inner.close()


class LimitedTransport(httpx.BaseTransport):
    """One connection each of whose waits ends with ``limit``. httpx's own transport takes no network from outside.

    Args:
        limit: what is left of the time.
        tls: for https.
    """

    def __init__(self, limit: Limit, tls: ssl.SSLContext | None = None) -> None:
        backend = LimitedBackend(httpcore.SyncBackend(), limit)
        self._connections = httpcore.ConnectionPool(ssl_context=tls, max_connections=1, network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer with its headers. Errors: httpx.TransportError, TimeoutError, ConnectionError."""
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors():
            answer = self._connections.handle_request(asked)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Answer(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        self._connections.close()


@contextmanager
def _errors() -> Iterator[None]:
    """Turn httpcore's errors into those of httpx, which have the same names."""
    try:
        yield
    except _CORE as error:
        raise getattr(httpx, type(error).__name__, httpx.TransportError)(str(error)) from error
