"""Whom an update tells at its end, through a webhook and by mail."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email import message_from_string
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any, TypeVar

import pytest
from plays import PROJECT, RunPlay

DOCUMENT = {
    "playbook": "etrid.gizzi.model_update",
    "success": False,
    "results": [{"host": "v1", "verdict": "restored"}],
}
VARIABLES: dict[str, Any] = {
    "gizzi_topology": "distributed",
    "_update_playbook": "model_update",
    "__report": {
        "document": {**DOCUMENT, "message": "This needs a look: v1."},
        "text": "restored v1 llama3.1:8b\ntoo slow\n",
    },
}


class Webhook(BaseHTTPRequestHandler):
    """Takes one POST, or refuses it."""

    server: WebhookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing on the tests' output."""


class WebhookServer(ThreadingHTTPServer):
    """What was posted, and the status that is answered."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Webhook)
        self.calls: list[tuple[str, Any]] = []
        self.status = 204


class Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as one letter takes, and the login of RFC 4954 with its initial response."""

    server: SmtpServer

    def handle(self) -> None:
        self.say("220 ready")
        for line in self.rfile:
            verb = line.split()[0].upper()
            if verb == b"EHLO":
                self.say("250-here\r\n250 AUTH PLAIN")
            elif verb == b"AUTH":
                self.server.logins += 1
                self.say("235 authenticated")
            elif verb == b"DATA":
                self.say("354 go on")
                self.server.letters.append("".join(self.letter()))
                self.say("250 taken")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def letter(self) -> Iterator[str]:
        for line in self.rfile:
            if line == b".\r\n":
                return
            yield line.decode()

    def say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())


class SmtpServer(socketserver.ThreadingTCPServer):
    """The letters that came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Smtp)
        self.letters: list[str] = []
        self.logins = 0


Server = TypeVar("Server", bound=socketserver.BaseServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve for as long as the block takes."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    with serving(WebhookServer()) as server:
        yield server


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with serving(SmtpServer()) as server:
        yield server


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port that nobody listens on, or can begin to listen on while the test runs: it is taken."""
    with closing(socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        yield int(unused.getsockname()[1])


def mail(port: int) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "secure": "never",
        "to": ["ops@example.org"],
        "from": "gizzi@example.org",
        "username": "gizzi",
        "password": "the-password",
    }


def tell(run_play: RunPlay, webhook: str = "", mail: dict[str, Any] | None = None) -> str:
    """Run the last tasks of an update, which must not fail; return what is printed."""
    play = {
        "hosts": "validators",
        "vars": VARIABLES | {"__update": {"webhook": webhook, "mail": mail or {}}},
        "tasks": [{"ansible.builtin.include_tasks": str(PROJECT / "playbooks/tasks/model_update_tell.yml")}],
    }
    result = run_play(play, {"validators": {"hosts": {"v1": {}, "v2": {}}}}, "-vv")
    printed = result.stdout + result.stderr
    assert result.returncode == 0, printed
    return printed


def test_both_are_told(run_play: RunPlay, webhook: WebhookServer, smtp: SmtpServer) -> None:
    url = f"http://127.0.0.1:{webhook.server_port}/hook?token=of-the-hook"
    printed = tell(run_play, webhook=url, mail=mail(smtp.server_address[1]))
    assert webhook.calls == [("/hook?token=of-the-hook", VARIABLES["__report"]["document"])]
    (letter,) = map(message_from_string, smtp.letters)
    assert smtp.logins == 1
    assert str(make_header(decode_header(letter["Subject"]))) == "model_update: This needs a look: v1."
    assert letter["To"] == "ops@example.org"
    (text,) = letter.get_payload()
    body = text.get_payload(decode=True).decode()
    assert "llama3.1:8b" in body
    assert "too slow" in body
    assert "WARNING: " not in printed
    assert "of-the-hook" not in printed
    assert "the-password" not in printed


def test_who_could_not_be_told_is_said_and_ends_nothing(
    run_play: RunPlay, webhook: WebhookServer, closed_port: int
) -> None:
    webhook.status = 500
    url = f"http://127.0.0.1:{webhook.server_port}/hook?token=of-the-hook"
    printed = tell(run_play, webhook=url, mail=mail(closed_port))
    assert "WARNING: The webhook was not told (status 500). No mail was sent." in printed
    assert "of-the-hook" not in printed
    assert "the-password" not in printed


def test_a_webhook_that_nobody_serves_is_said(run_play: RunPlay, closed_port: int) -> None:
    printed = tell(run_play, webhook=f"http://127.0.0.1:{closed_port}/")
    assert "WARNING: The webhook was not told (status -1)." in printed
    assert "No mail" not in printed
