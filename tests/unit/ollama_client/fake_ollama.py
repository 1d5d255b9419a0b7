"""Ollama's protocol on a real socket: sound, or with one of the faults that servers have."""

from __future__ import annotations

import atexit
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ansible_collections.etrid.gizzi.tests.unit.recorded_ollama import recordings

MODEL = "llama3.1:8b"


class Server(ThreadingHTTPServer):
    """A server on a free port of loopback whose behaviour can be changed at any time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behave: Behaviour, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.tls = tls
        self.asked: list[dict[str, Any]] = []
        self.over = threading.Event()
        self.busy: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """As kill -9 does: connections in use break off."""
        self.over.set()
        self.shutdown()
        self.server_close()
        for one in list(self.busy):
            one.close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that leave are no error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    body: dict[str, Any]

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.body = json.loads(raw or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append({"path": self.path, "headers": headers, "body": self.body})
        self.server.busy.add(self.connection)
        try:
            self.server.behave(self)
        except OSError:
            self.close_connection = True
        finally:
            self.server.busy.discard(self.connection)

    def do_GET(self) -> None:
        self.do_POST()

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def line(self, **part: Any) -> None:
        self.chunk(json.dumps(part).encode() + b"\n")

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def pause(self, seconds: float = 3600.0) -> None:
        """Wait, but no longer than the server lives."""
        if self.server.over.wait(seconds):
            raise ConnectionAbortedError

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """In silence."""


Behaviour = Callable[[Handler], None]


def say(text: str, *, delay: float = 0.0, done_reason: str = "stop", model: str | None = None) -> Behaviour:
    """A sound answer, word by word with ``delay`` seconds between two."""

    def behave(handler: Handler) -> None:
        name = model or handler.body["model"]
        handler.begin()
        words = text.split(" ")
        for number, word in enumerate(words):
            if delay:
                handler.pause(delay)
            handler.line(model=name, response=word if number == 0 else f" {word}", done=False)
        handler.line(
            model=name, response="", done=True, done_reason=done_reason, prompt_eval_count=40, eval_count=len(words)
        )
        handler.end()

    return behave


def status(code: int, body: bytes = b'{"error": "something"}', kind: str = "application/json") -> Behaviour:
    return lambda handler: handler.reply(code, body, kind)


def hang(handler: Handler) -> None:
    handler.pause()


def hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def dribble(handler: Handler) -> None:
    """Alive byte by byte, and never a token."""
    handler.begin()
    while True:
        handler.chunk(b" ")
        handler.pause(0.02)


def dribble_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    while True:
        handler.wfile.write(b"x")
        handler.pause(0.02)


def stall(handler: Handler) -> None:
    handler.begin()
    handler.line(model=handler.body["model"], response="All is ", done=False)
    handler.pause()


def truncated(handler: Handler) -> None:
    """A clean end without the last line."""
    handler.begin()
    handler.line(model=handler.body["model"], response="HEALTHY", done=False)
    handler.end()


def cut(handler: Handler) -> None:
    """The connection breaks in the middle of a line."""
    handler.begin()
    handler.line(model=handler.body["model"], response="HEALTHY", done=False)
    handler.chunk(b'{"model": "llama3.1:8b", "respo')
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def error_in_stream(handler: Handler) -> None:
    handler.begin()
    handler.line(model=handler.body["model"], response="HEALTHY", done=False)
    handler.line(error="an error was encountered while running the model: CUDA error")
    handler.end()


def pieces(*texts: str, error: str | None = None) -> Behaviour:
    """These pieces and a clean end without the last line, or an error in its place."""

    def behave(handler: Handler) -> None:
        handler.begin()
        for text in texts:
            handler.line(model=handler.body["model"], response=text, done=False)
        if error:
            handler.line(error=error)
        handler.end()

    return behave


def recorded(name: str) -> Behaviour:
    """What a current Ollama answered, as if about the model that is asked for."""
    played = recordings()[name]

    def behave(handler: Handler) -> None:
        lines = [json.loads(line) for line in played["answer"]]
        if played["status"] != 200:
            handler.reply(played["status"], json.dumps(lines[0]).encode())
            return
        handler.begin()
        for line in lines:
            handler.line(**line | {"model": handler.body["model"]})
        handler.end()

    return behave


html = status(200, b"<!doctype html><title>Welcome to nginx!</title><p>HEALTHY", "text/html")
other_json = status(200, b'{"status": "HEALTHY"}')
json_list = status(200, b'["HEALTHY"]')
foreign_error = status(200, b'{"error": {"message": "HEALTHY", "type": "x"}}')
queue_full = status(503, b'{"error": "server busy, please try again.  maximum pending requests exceeded"}')
model_missing = status(404, b'{"error": "model \'llama3.1:8b\' not found"}')
empty = say("")


@contextmanager
def running(behave: Behaviour, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(behave, port, tls)
    server.start()
    try:
        yield server
    finally:
        if not server.over.is_set():
            server.stop()


def closed_port() -> int:
    """A port that nobody listens on, or can begin to listen on while the tests run: it is taken."""
    unused = socket.socket()
    unused.bind(("127.0.0.1", 0))
    atexit.register(unused.close)
    return int(unused.getsockname()[1])


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition; fail after ``seconds``."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come true in time"
        time.sleep(0.01)
