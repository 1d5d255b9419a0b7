"""Below the app: sockets, and requests that are too long."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from gizzi_api.server import listen
from gizzi_api.settings import Settings
from recorded_prometheus import TOKEN, Upstream
from served import served

QUERY = b"GET /api/prometheus/query?query="
TAIL = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()


@pytest.fixture
def address(settings: Callable[..., Settings]) -> Iterator[tuple[str, int]]:
    with served(settings(), Upstream("sound")) as url:
        parts = urlsplit(url)
        yield parts.hostname or "", parts.port or 0


def send(address: tuple[str, int], *parts: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as caller:
        for part in parts:
            caller.sendall(part)
        return b"".join(iter(lambda: caller.recv(65536), b""))


@pytest.mark.parametrize(
    ("length", "status", "reason"),
    [
        (10_000, b"422", b"The query has 10000 characters; 4096 are allowed."),
        (60_000, b"422", b"The query has 60000 characters; 4096 are allowed."),
        (70_000, b"414", b"The request is longer than 65536 bytes."),
        (1_000_000, b"414", b"The request is longer than 65536 bytes."),
    ],
)
def test_a_query_that_is_too_long_is_told_why(
    address: tuple[str, int], length: int, status: bytes, reason: bytes
) -> None:
    answer = send(address, QUERY, b"a" * length, TAIL)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert reason in answer


def test_a_request_without_end_is_cut_off(address: tuple[str, int]) -> None:
    start = time.monotonic()
    with socket.create_connection(address, timeout=10) as caller, pytest.raises(ConnectionError):
        caller.sendall(b"GET / HTTP/1.1\r\nX: ")
        while True:
            caller.sendall(b"a" * 65_536)
            assert time.monotonic() - start < 8
            time.sleep(0.05)


def test_what_is_not_http_is_told_so(address: tuple[str, int]) -> None:
    assert send(address, b"HELLO\r\n\r\n").endswith(b'{"detail": "Invalid HTTP request received."}')


def test_several_requests_on_one_connection_are_counted_apart(address: tuple[str, int]) -> None:
    with closing(HTTPConnection(*address, timeout=10)) as connection:
        for _unused in range(20):
            connection.request("GET", "/healthz", headers={"X": "a" * 10_000})
            answer = connection.getresponse()
            assert (answer.status, answer.will_close) == (200, False)
            answer.read()


def test_answers_leave_at_once() -> None:
    """Without this option an answer on a kept connection waits 40 ms for the caller's acknowledgement."""
    with listen("127.0.0.1", 0) as server, socket.create_connection(server.getsockname()):
        taken, _unused = server.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
