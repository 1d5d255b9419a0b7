# Copyright: (c) 2026, Ëtrid
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers on loopback whose certificates a client must refuse, and that keep every byte sent to them under TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ansible_collections.etrid.gizzi.tests.unit.made_certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"


def shown(authority: Authority, folder: Path, address: str = HOST, days: float = 365) -> ssl.SSLContext:
    """Return what a server shows a certificate of this authority with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue(folder, address, days=days))
    return context


def impostors(authority: Authority, folder: Path) -> dict[str, ssl.SSLContext]:
    """Return what men in the middle show a certificate with, by the words in which a refusal must name the reason."""
    return {
        "another authority": shown(Authority(text="Other"), folder),
        "has expired": shown(authority, folder, days=-0.5),
        "another host": shown(authority, folder, "192.0.2.1"),
    }


class Recorder:
    """Speaks TLS, gives every request one answer, and keeps what came after the handshake."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self._context, self._answer = context, answer
        self._got: list[bytes] = []
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"https://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def received(self) -> bytes:
        """Stop, and return what all connections have sent, also those whose handshake failed."""
        self.close()
        return b"".join(self._got)

    def close(self) -> None:
        # It wakes the thread that waits in accept(), which ends its last connection first.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            self._got.append(self._talk(connection))

    def _talk(self, connection: socket.socket) -> bytes:
        got = b""
        try:
            with self._context.wrap_socket(connection, server_side=True) as tls:
                # A request with its body, or whatever comes until the client leaves.
                while not _is_whole(got):
                    piece = tls.recv(65536)
                    if not piece:
                        return got
                    got += piece
                tls.sendall(self._answer)
        except OSError:
            connection.close()
        return got


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    if not end:
        return False
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) >= int(lengths[0] if lengths else 0)


def answer_of(status: str, body: bytes, **headers: str) -> bytes:
    """Return an HTTP answer, after which the connection is closed; a header's _ is a hyphen."""
    told = {"Content-Length": str(len(body)), "Connection": "close"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body
