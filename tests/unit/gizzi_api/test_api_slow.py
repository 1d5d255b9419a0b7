"""Callers who take their time, on real sockets: they are cut off, and others are answered all the same."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gizzi_api.app import create_app
from gizzi_api.metrics import Metrics
from gizzi_api.middleware import Surround
from gizzi_api.server import MAX_WAITING
from gizzi_api.settings import Settings
from recorded_prometheus import Upstream
from served import served_app
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

Address = tuple[str, int]
ASK_LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
LARGE = b"a" * 20_000_000
LIMIT = 0.5
# For what must happen and has no reason to take long, on a busy machine.
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """Both ends of a connection are files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def serving(settings: Callable[..., Settings]) -> Callable[..., ExitStack]:
    """The API, and beside its routes two with an answer that no kernel takes off the server's hands at once.

    One of them is given out whole, and so over for the app, the other in pieces.
    """

    @contextmanager
    def serve(**limits: float) -> Iterator[Address]:
        app = create_app(settings(), Upstream("sound"))

        async def large(request: Request) -> Response:
            return Response(LARGE)

        async def pieces(request: Request) -> Response:
            return StreamingResponse(LARGE[:100_000] for _unused in range(200))

        app.add_route("/large", large)
        app.add_route("/pieces", pieces)
        with served_app(app, **limits) as url:
            parts = urlsplit(url)
            yield parts.hostname or "", parts.port or 0

    return serve


def alive(address: Address) -> int:
    """The status of /healthz, on a connection of its own."""
    with closing(HTTPConnection(*address, timeout=PATIENCE)) as connection:
        connection.request("GET", "/healthz")
        return connection.getresponse().status


def rest(caller: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    caller.settimeout(PATIENCE)
    parts = []
    try:
        while part := caller.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def held(port: int) -> int:
    """How many connections the server itself holds open; what the kernel has still to send is not among them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return sum(row[1].endswith(f":{port:04X}") and row[3] == established for row in rows)


def trickle(caller: socket.socket, byte: bytes) -> float:
    """Send a byte now and then until the server has had enough; return the seconds."""
    start = time.monotonic()
    caller.settimeout(PATIENCE)
    while time.monotonic() - start < PATIENCE:
        try:
            caller.sendall(byte)
        except ConnectionError:
            break
        time.sleep(LIMIT / 20)
    return time.monotonic() - start


def test_requests_of_which_only_half_came_keep_nobody_out(serving: Callable[..., ExitStack]) -> None:
    """As many as there is room for by default, and more: all of them within the 10 s that each has."""
    with serving() as address, ExitStack() as callers:
        for number in range(600):
            callers.enter_context(socket.create_connection(address, timeout=PATIENCE)).sendall(HALF)
            if number % 50 == 49:
                assert alive(address) == 200
        # Beside them, that of the last question.
        assert held(address[1]) <= MAX_WAITING + 1


def test_a_request_of_which_only_half_came_is_told_so_and_cut_off(serving: Callable[..., ExitStack]) -> None:
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address) as caller:
        caller.sendall(HALF)
        answer = rest(caller)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b'{"detail": "The request was not complete within 0.5 s."}')


def test_a_byte_now_and_then_does_not_help(serving: Callable[..., ExitStack]) -> None:
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address) as caller:
        caller.sendall(HALF + b"X: ")
        assert trickle(caller, b"a") < PATIENCE
        assert alive(address) == 200


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(serving: Callable[..., ExitStack]) -> None:
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address) as caller:
        assert rest(caller) == b""


def test_the_second_request_of_a_connection_has_no_more_time(serving: Callable[..., ExitStack]) -> None:
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address) as caller:
        caller.sendall(HALF + b"\r\n")
        assert caller.recv(65_536).startswith(b"HTTP/1.1 200 ")
        caller.sendall(HALF)
        assert b"HTTP/1.1 408 " in rest(caller)


def test_a_slow_body_is_not_waited_for(serving: Callable[..., ExitStack]) -> None:
    """No route has one: the answer comes at once, and the connection ends in time."""
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address, timeout=PATIENCE) as caller:
        caller.sendall(HALF + b"Content-Length: 1000000\r\n\r\n")
        assert caller.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert trickle(caller, b"a") < PATIENCE


@pytest.mark.parametrize("ask", [ASK_LARGE, ASK_LARGE.replace(b"/large", b"/pieces")])
def test_those_who_do_not_take_their_answers_keep_nobody_out(serving: Callable[..., ExitStack], ask: bytes) -> None:
    with serving(wait_seconds=LIMIT) as address, ExitStack() as callers:
        for _unused in range(10):
            caller = callers.enter_context(socket.create_connection(address))
            caller.sendall(ask)
            # The second comes when the first is answered, as far as the server is concerned.
            assert caller.recv(1)
            caller.sendall(ask)
            assert alive(address) == 200
        deadline = time.monotonic() + PATIENCE
        while held(address[1]):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_one_who_takes_an_answer_slowly_gets_all_of_it(serving: Callable[..., ExitStack]) -> None:
    """In longer than anybody may take for nothing."""
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address, timeout=PATIENCE) as caller:
        caller.sendall(ASK_LARGE)
        start, size = time.monotonic(), 0
        while part := caller.recv(65_536):
            size += len(part)
            if time.monotonic() - start < 4 * LIMIT:
                time.sleep(LIMIT / 20)
    assert size > len(LARGE)


def test_one_who_sends_requests_without_end_is_cut_off(serving: Callable[..., ExitStack]) -> None:
    """Ahead of the answers, where each would take memory."""
    with serving() as address, socket.create_connection(address, timeout=PATIENCE) as caller:
        with suppress(ConnectionError):
            caller.sendall(b"GET /healthz HTTP/1.1\r\n\r\n" * 5000)
        assert rest(caller).count(b"HTTP/1.1 200 OK") < 5000
        assert alive(address) == 200


def test_a_few_requests_ahead_are_answered_in_turn(serving: Callable[..., ExitStack]) -> None:
    with serving(wait_seconds=LIMIT) as address, socket.create_connection(address) as caller:
        caller.sendall(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(10)))
        answers = rest(caller)
    assert re.findall(rb"There is no /(\d) here", answers) == [b"%d" % number for number in range(10)]


@pytest.mark.anyio
async def test_more_requests_at_once_than_allowed_are_refused() -> None:
    held = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await held.wait()
        await Response("done")(scope, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Surround(slow, Metrics(), max_requests=2)), base_url="http://api"
    ) as client:
        running = [asyncio.create_task(client.get("/")) for _unused in range(2)]
        await asyncio.sleep(0)
        while (refused := await client.get("/")).status_code != 503:
            pass
        held.set()
        assert [answer.status_code for answer in await asyncio.gather(*running)] == [200, 200]
        assert (await client.get("/")).status_code == 200
    assert refused.json() == {"detail": "2 requests are being answered already."}
    assert refused.headers["Retry-After"] == "1"
